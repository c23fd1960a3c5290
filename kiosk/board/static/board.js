"use strict";
// Paints the view that the board sends, sounds, and sends answers. All words come ready from the board, as plain text.

const SILENCE_MS = 5000;      // the board speaks once a second; after this much silence we are cut off
const ALIVE_MS = 4000;
const SEEN_AGAIN_MS = 3000;   // said again until the desk knows it
const SETTLE_MS = 500;        // buttons that just moved or changed take no touch: it was meant for another
const REPEAT_MS = { emergency: 3000, check: 8000, cut: 10000 };

const byId = (id) => document.getElementById(id);
const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
const cards = new Map();
let lastHeard = performance.now();
let lastAlive = 0;
let view = null;
let source = null;
let cutWhy = "Starting…";

function make(tag, className, parent) {
  const node = document.createElement(tag);
  node.className = className;
  if (parent) parent.append(node);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = text === "";
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.json()).error);
}

// --- the line to the board ---

function connect() {
  if (source) source.close();
  source = new EventSource("/events?page=" + page);
  source.onmessage = (message) => {
    lastHeard = performance.now();
    cutWhy = "";
    view = JSON.parse(message.data);
    paint();
    beAlive();
    sound();
  };
  source.onerror = () => cut("This page has lost the board. Trying again…");
}

function cut(why) {
  cutWhy = why;
  paintConnection();
  // An EventSource that was turned away for good does not come back by itself.
  if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
}

function watch() {
  const silent = performance.now() - lastHeard;
  if (!cutWhy && silent > SILENCE_MS) {
    cut("The board has been silent for 5 seconds. Trying again…");
    lastHeard = performance.now();
    connect();
  }
  byId("time").textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (cutWhy) sound();
}

function beAlive() {
  if (performance.now() - lastAlive < ALIVE_MS) return;
  lastAlive = performance.now();
  post("/alive", { page }).catch(() => cut("This page cannot reach the board. Trying again…"));
}

// --- painting ---

function paintConnection() {
  const down = cutWhy || (view ? view.down : "");
  if (document.body.classList.contains("down") !== Boolean(down)) {
    document.body.classList.toggle("down", Boolean(down));
    settle();
  }
  say(byId("down-why"), down ? "No alert can reach you here. " + down : "");
  document.title = down ? "NOT CONNECTED · Stayby" : view.title;
}

function paint() {
  paintConnection();
  say(byId("headline"), view.headline);
  byId("calm").hidden = view.alerts.length > 0 || !view.connected;
  say(byId("desks"), view.desks);
  paintFaults();
  paintAlerts();
}

function paintFaults() {
  const key = JSON.stringify(view.faults);
  const list = byId("faults");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...view.faults.map((fault) => {
    const item = make("li", "");
    item.append(fault.what);
    make("span", "", item).textContent = fault.do;
    return item;
  }));
}

function paintAlerts() {
  const open = new Set(view.alerts.map((alert) => alert.incident));
  for (const [incident, card] of cards) {
    if (!open.has(incident)) { card.root.remove(); cards.delete(incident); settle(); }
  }
  const main = byId("alerts");
  view.alerts.forEach((alert, place) => {
    let card = cards.get(alert.incident);
    if (!card) {
      card = makeCard();
      cards.set(alert.incident, card);
    }
    if (main.children[place] !== card.root) { main.insertBefore(card.root, main.children[place] || null); settle(); }
    paintCard(card, alert);
    card.known = alert.seen;
    tellSeen(card, alert.incident);
  });
}

function makeCard() {
  const root = make("article", "");
  const head = make("div", "head", root);
  const card = { root, toldAt: -1e9, head: make("span", "", head), clock: make("span", "clock", head), place: make("h2", "", root) };
  for (const name of ["silent", "drill"]) card[name] = make("strong", "mark", root);
  card.lines = make("div", "lines", root);
  card.who = make("ul", "who", root);
  for (const name of ["next", "note", "ask"]) card[name] = make("p", name, root);
  card.answers = make("div", "answers", root);
  return card;
}

function paintCard(card, alert) {
  const fresh = card.root.className === "";
  card.root.className = alert.tone + (alert.going ? " going" : "");
  Object.assign(card.root.dataset, { incident: alert.incident, revision: alert.revision, state: alert.state });
  say(card.head, alert.head);
  say(card.clock, alert.clock);
  say(card.place, alert.place);
  say(card.silent, alert.silent ? "SILENT: go quietly. Show nothing at the desk." : "");
  say(card.drill, alert.drill ? "This is a drill." : "");
  sayLines(card.lines, "p", alert.lines);
  sayLines(card.who, "li", alert.who);
  say(card.next, alert.next);
  say(card.note, alert.note);
  card.note.classList.toggle("bad", alert.note_bad);
  say(card.ask, alert.ask_close);
  paintAnswers(card, alert);
  const short = alert.head + ", " + alert.place + ". " + alert.who[0].replace(/, [\d:]+ left/, "").replace(/[\d:]+ late/, "late");
  if (card.short !== short) { card.short = short; byId("announce").textContent = short; }
  if (fresh && navigator.vibrate && !alert.going) navigator.vibrate([300, 150, 300, 150, 600]);
}

function sayLines(node, tag, lines) {
  while (node.children.length > lines.length) node.lastChild.remove();
  lines.forEach((line, place) => say(node.children[place] || make(tag, "", node), line));
}

function paintAnswers(card, alert) {
  const key = JSON.stringify(alert.buttons);
  if (card.key === key) return;
  card.key = key;
  card.answers.replaceChildren(...alert.buttons.map((button) => {
    const node = make("button", button.look);
    node.type = "button";
    node.dataset.key = button.key;
    node.textContent = button.label;
    node.setAttribute("aria-label", button.label + ", " + alert.place);
    node.onclick = () => answer(alert, button);
    return node;
  }));
  settle();
}

let settling = 0;
function settle() {
  clearTimeout(settling);
  for (const node of document.querySelectorAll(".answers button")) node.disabled = true;
  settling = setTimeout(() => {
    for (const node of document.querySelectorAll(".answers button")) node.disabled = false;
  }, SETTLE_MS);
}

// --- answers ---

function afterPaint(task) {
  requestAnimationFrame(() => setTimeout(task, 0));
}

// A hidden page gets no animation frame, so it never claims that anybody could see the alert.
function tellSeen(card, incident) {
  if (card.known || performance.now() - card.toldAt < SEEN_AGAIN_MS) return;
  card.toldAt = performance.now();
  afterPaint(() => post("/seen", { incident }).catch(() => { card.toldAt = -1e9; }));  // again at the next view
}

function answer(alert, button) {
  const card = cards.get(alert.incident);
  if (card) say(card.note, "Sending your answer…");
  post("/reply", {
    incident: alert.incident, unit: alert.unit, kind: button.kind, eta_s: button.eta_s, outcome: button.outcome,
  }).catch((error) => oops(error));
}

let oopsTimer = 0;
function oops(error) {
  clearTimeout(oopsTimer);
  say(byId("oops"), "Not sent: " + error.message);
  oopsTimer = setTimeout(() => say(byId("oops"), ""), 8000);
}

// --- sound ---

const audio = new AudioContext();
let soundedAt = { emergency: -1e9, check: -1e9, cut: -1e9 };

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

const TUNES = {
  emergency: () => [0, 0.25, 0.5, 1.0, 1.25, 1.5].forEach((at, step) => tone(step % 3 === 2 ? 1245 : 932, at, 0.2, 0.5)),
  check: () => [0, 0.35].forEach((at, step) => tone(step ? 523 : 659, at, 0.3, 0.15)),
  cut: () => tone(220, 0, 0.5, 0.2),
};

function sound() {
  const mute = byId("mute");
  mute.hidden = audio.state === "running";
  const kind = view && view.sound ? view.sound : cutWhy || (view && view.down) ? "cut" : "";
  document.body.dataset.sound = kind;
  if (!kind || performance.now() - soundedAt[kind] < REPEAT_MS[kind]) return;
  soundedAt[kind] = performance.now();
  if (audio.state === "running") TUNES[kind]();
  if (kind === "emergency" && navigator.vibrate) navigator.vibrate([300, 150, 300]);
}

function unmute() {
  audio.resume().then(sound, (error) => oops(error));
}

document.addEventListener("pointerdown", () => { if (audio.state !== "running") unmute(); });
document.addEventListener("keydown", () => { if (audio.state !== "running") unmute(); });
byId("mute").onclick = unmute;
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => { if (event.persisted) connect(); });

setInterval(watch, 500);
connect();
