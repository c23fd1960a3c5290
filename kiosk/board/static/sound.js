"use strict";
// What is heard and felt: three urgencies, each repeated until somebody answers, and never a silence that looks like sound.

const REPEAT_MS = { emergency: 3000, check: 8000, fault: 10000, cut: 10000 };
const STUCK_MS = 3000;   // a sound clock that stands still for this long makes no sound
const TUNES = {
  emergency: () => [0, 0.25, 0.5, 1.0, 1.25, 1.5].forEach((at, step) => tone(step % 3 === 2 ? 1245 : 932, at, 0.2, 0.5)),
  check: () => [0, 0.35].forEach((at, step) => tone(step ? 523 : 659, at, 0.3, 0.15)),
  fault: () => tone(220, 0, 0.5, 0.2),
  cut: () => tone(220, 0, 0.5, 0.2),
};
const SHAKES = { emergency: [300, 150, 300, 150, 600], check: [200, 200, 200], fault: [400], cut: [400] };
const SOUND_SAYS = {
  on: "",
  off: "Sound is off. Touch here to switch it on.",
  muted: "Sound is off: you muted it. Touch here to switch it on.",
  stuck: "Sound is off: this device plays none. Keep your eyes on this page, or open it on another device.",
};

const audio = new AudioContext();
let muted = false;
let playedAt = {};
let soundClock = { at: -1, sinceMs: 0 };

const UNHEARD_MS = 10000;   // a glance at another page is no absence
let unheardSince = 0;       // the time of day since which this page was neither seen nor heard; 0: it is one of the two

// Whether an alert here would reach anybody now, by sight or by sound. Else the desk must not count on who has this page.
function reaches() {
  if (!document.hidden || soundState() === "on") return true;
  unheardSince ||= Date.now();
  return Date.now() - unheardSince < UNHEARD_MS;
}

// What is told to who comes back to a page that could not reach them; "" when it could.
function missedWords() {
  const since = unheardSince;
  unheardSince = 0;
  if (!since || Date.now() - since < UNHEARD_MS) return "";
  const at = (wall) => new Date(wall).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return "From " + at(since) + " to " + at(Date.now()) + " no alert could reach you here: this page was hidden and its sound was off. Nobody counted on this page.";
}

function tone(hz, at, seconds, volume) {
  const oscillator = new OscillatorNode(audio, { type: "square", frequency: hz });
  const gain = new GainNode(audio, { gain: 0 });
  const start = audio.currentTime + at;
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(volume, start + 0.01);
  gain.gain.setValueAtTime(volume, start + seconds - 0.03);
  gain.gain.linearRampToValueAtTime(0, start + seconds);
  oscillator.connect(gain).connect(audio.destination);
  oscillator.start(start);
  oscillator.stop(start + seconds);
}

// Whether a tone would be heard now: "on", "off" (the browser waits for a touch), "muted", or "stuck" (no sound device).
function soundState() {
  if (muted) return "muted";
  if (audio.state !== "running") return "off";
  if (soundClock.at !== audio.currentTime) soundClock = { at: audio.currentTime, sinceMs: performance.now() };
  return performance.now() - soundClock.sinceMs > STUCK_MS ? "stuck" : "on";
}

function play(kind) {
  if (!kind || performance.now() - (playedAt[kind] ?? -1e9) < REPEAT_MS[kind]) return;
  playedAt[kind] = performance.now();
  if (soundState() === "on") TUNES[kind]();
  // Before the first touch a browser shakes nothing, and complains of being asked.
  if (navigator.vibrate && navigator.userActivation?.hasBeenActive) navigator.vibrate(SHAKES[kind]);
}

function soundOn() {
  muted = false;
  soundClock = { at: -1, sinceMs: performance.now() };
  return audio.resume();
}
