"use strict";
// On each page beside the board: hears the board all the same. It shows and sounds what is open, and says when it cannot hear.

const QUIET_MS = 5000;        // the board speaks once a second; after this much silence we are cut off
const SLEPT_MS = 2500;
const SIGN_MS = 4000;
const TOLD_AGAIN_MS = 3000;
const FIRST_MS = 2000;        // a page that has only just opened is not called cut off yet
const GUARD_MS = 500;         // what just came up takes no touch: it was meant for what lay there before
const NAMED = 3;
const KEPT = "stayby.aside";

const strip = document.getElementById("watch");
const titleHere = document.title;
const openedMs = performance.now();
const me = sessionStorage.getItem(KEPT) ?? "aside-" + crypto.getRandomValues(new Uint32Array(2)).join("-");
const tabs = new BroadcastChannel("stayby.tabs");
const toldAt = new Map();
let line = null;              // the stream, if it is open
let last = { ms: performance.now(), wall: Date.now() };
let board = null;             // what the board said last
let lost = "Starting…";
let signedAt = -1e9;
let moved = true;             // whether a person touched this device since it last said that it lives
let guarded = false;
let painted = "";

sessionStorage.setItem(KEPT, me);

async function send(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  if (answer.status === 401) location.assign("/sign-in");
  if (!answer.ok) throw new Error("the board answered " + answer.status);
}

// --- the line to the board ---

function hear() {
  if (line) line.close();
  line = new EventSource("/events?page=" + me);
  line.onmessage = (message) => {
    board = JSON.parse(message.data);
    lost = "";
    show();
    tellSeen();
    last = { ms: performance.now(), wall: Date.now() };   // not before it is painted: what cannot be painted was not heard
    signOfLife();
  };
  line.onerror = () => lose("This page has lost the board. Trying again…");
}

function lose(why) {
  lost = why;
  show();
  if (line && line.readyState === EventSource.CLOSED) setTimeout(() => { if (line) { hear(); signOfLife(); } }, 1000);
}

function signOfLife() {
  if (performance.now() - signedAt < SIGN_MS) return;
  signedAt = performance.now();
  const sign = { page: me, touched: moved, reaches: reaches() };
  moved = false;
  send("/alive", sign).catch(() => lose("This page cannot reach the board. Trying again…"));
}

function look() {
  const silentMs = Math.max(performance.now() - last.ms, Date.now() - last.wall);
  if (line && !lost && silentMs > QUIET_MS) { hear(); lose("The board has been silent for 5 seconds. Trying again…"); }
  show();
}

// A browser keeps few lines to one place: of several pages beside the board only the one in front holds one.
function turn() {
  if (document.hidden) { reaches(); return; }
  const missed = line ? missedWords() : "";   // without a line another page had it
  if (missed) tellMissed(missed);
  tabs.postMessage(me);
  stayLit();
  const slept = Math.max(performance.now() - last.ms, Date.now() - last.wall) > SLEPT_MS;
  if (!line || slept) { hear(); lose("This page was asleep. Connecting again…"); }
  signedAt = -1e9;         // counted again at once
  signOfLife();
}

function tellMissed(words) {
  const says = document.getElementById("watch-missed");
  says.textContent = words;
  says.hidden = words === "";
}

function letGo() {
  if (line) line.close();
  line = null;
  lost = "This page was asleep.";
  show();
}

// --- what is shown and heard ---

const openAlerts = () => (lost || board.down ? [] : board.alerts);
const isDown = () => Boolean(lost || board.down) && performance.now() - openedMs > FIRST_MS;

function wordsOf(alert) {
  const marks = alert.marks.map((mark) => mark.split(".")[0] + ".").join(" ");
  const who = alert.who[0].replace(/, [\d:]+ left/, "").replace(/[\d:]+ late/, "late");
  return [alert.head + ", " + alert.place, (marks + " " + who).trim()];
}

// The card of an alert says itself what it is about.
const isHere = (alert) => location.pathname === "/handover/" + encodeURIComponent(alert.incident);

function show() {
  const heard = openAlerts();
  const alerts = heard.filter((one) => !isHere(one));
  const kind = isDown() ? "cut" : alerts.some((one) => !one.going) ? "urgent" : alerts.length ? "going" : "";
  const named = kind === "cut"
    ? [["NOT CONNECTED", "No alert can reach you here. " + (lost || board.down)]]
    : alerts.slice(0, NAMED).map(wordsOf);
  if (alerts.length > NAMED) named.push(["And " + (alerts.length - NAMED) + " more.", ""]);
  paintStrip(kind, named);
  const bar = document.getElementById("watch-sound");
  bar.textContent = SOUND_SAYS[soundState()];
  bar.hidden = bar.textContent === "";
  document.title = !line ? titleHere : kind === "cut" ? "NOT CONNECTED · Stayby" : alerts.length ? board.title : titleHere;
  document.body.dataset.sound = !line ? "" : kind === "cut" ? "cut" : heard.length ? board.sound : "";   // behind another page: that one sounds
  play(document.body.dataset.sound);
}

function paintStrip(kind, named) {
  const key = JSON.stringify([kind, named]);
  if (key === painted) return;
  painted = key;
  if (strip.dataset.kind !== kind) guard();
  strip.dataset.kind = kind;
  strip.hidden = kind === "";
  document.getElementById("watch-says").replaceChildren(...named.map(([head, more]) => {
    const item = document.createElement("p");
    const strong = document.createElement("strong");
    strong.textContent = head;
    item.dir = "auto";
    item.append(strong, " " + more);
    return item;
  }));
}

function guard() {
  guarded = true;
  setTimeout(() => { guarded = false; }, GUARD_MS);
}

// What is named here is on a screen: the desk may say so. A hidden page gets no animation frame, so it claims nothing.
function tellSeen() {
  for (const alert of openAlerts().slice(0, NAMED)) {
    if (alert.seen || performance.now() - (toldAt.get(alert.incident) ?? -1e9) < TOLD_AGAIN_MS) continue;
    toldAt.set(alert.incident, performance.now());
    requestAnimationFrame(() => setTimeout(() => {
      send("/seen", { incident: alert.incident }).catch(() => toldAt.delete(alert.incident));   // again at the next view
    }, 0));
  }
}

// --- this device ---

let light = null;
async function stayLit() {
  if (light && !light.released) return;
  try {
    light = await navigator.wakeLock.request("screen");
  } catch {
    light = null;     // no such thing here: the board itself asks the person to keep the screen on
  }
}

for (const kind of ["pointerdown", "keydown"]) {
  document.addEventListener(kind, () => {
    moved = true;
    tellMissed("");
    if (audio.state !== "running") soundOn().then(show, show);
  });
}
document.getElementById("watch-sound").onclick = () => soundOn().then(show, show);
document.getElementById("watch-open").onclick = (event) => { if (guarded) event.preventDefault(); };
tabs.onmessage = () => { if (document.hidden) letGo(); };
document.addEventListener("visibilitychange", turn);
addEventListener("pagehide", () => { if (line) line.close(); });
addEventListener("pageshow", (event) => { if (event.persisted) { line = null; turn(); } });
document.getElementById("watch-not").remove();
setInterval(look, 500);
turn();
