"use strict";
// Paints the view that the board sends, and sends answers. What is said of an alert comes ready from the board, as plain text.

const SILENCE_MS = 5000;      // the board speaks once a second; after this much silence we are cut off
const ASLEEP_MS = 2500;       // a page that was put to sleep has missed at least one view
const ALIVE_MS = 4000;
const SEEN_AGAIN_MS = 3000;   // said again until the desk knows it
const SETTLE_MS = 500;        // buttons that just moved or changed take no touch: it was meant for another
const RELOAD_MS = 3000;
const ROOMY = 3;              // in a crowd, so many alerts are shown whole

const NOTE = "stayby.draft.note.";

const byId = (id) => document.getElementById(id);
const page = crypto.getRandomValues(new Uint32Array(2)).join("-");
const cards = new Map();
const opened = new Set();     // alerts of a crowd that the person wants to see whole
let heard = { ms: performance.now(), wall: Date.now() };
let lastAlive = 0;
let touched = true;           // whether a person touched this device since it last said that it lives
let view = null;
let source = null;
let newest = "";
const soon = new MessageChannel();    // no timer: a hidden page's timers wait, and it must sound at once
soon.port1.onmessage = takeNewest;
let cutWhy = "Starting…";

function make(tag, className, parent) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (parent) parent.append(node);
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
  node.hidden = text === "";
}

const timeOf = (wall, options) => new Date(wall).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...options });

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  }).catch(() => { throw new Error("the board cannot be reached. Try again, or call the desk."); });
  if (answer.status === 401) return signedOut();
  if (!answer.ok) throw new Error((await answer.json()).error);
}

function signedOut() {
  cut("You are signed out on this device.");
  location.assign("/sign-in");
}

// --- the line to the board ---

function connect() {
  if (source) source.close();
  source = new EventSource("/events?page=" + page);
  source.onmessage = (message) => {
    heard = { ms: performance.now(), wall: Date.now() };
    cutWhy = "";
    if (!newest) soon.port2.postMessage(null);
    newest = message.data;            // what comes faster than it can be painted is painted once
  };
  source.addEventListener("session", (message) => say(byId("ends"), JSON.parse(message.data)));
  source.onerror = () => cut("This page has lost the board. Trying again…");
}

function takeNewest() {
  const said = newest;
  newest = "";
  try {
    const me = view && view.me;
    view = JSON.parse(said);
    if (me && me !== view.me) return void location.reload();   // another one signed in on this device: begin clean
    paint();
  } catch (error) {   // whatever it is: a page that cannot paint must not look as if it did
    view = null;
    setTimeout(() => location.reload(), RELOAD_MS);
    cut("This page does not understand the board. It loads again by itself.");
    throw error;
  }
  beAlive();
  sound();
}

function cut(why) {
  cutWhy = why;
  for (const card of cards.values()) claimNoClose(card);
  paintConnection();
  sound();
  // An EventSource that was turned away for good does not come back by itself.
  if (source.readyState === EventSource.CLOSED) setTimeout(() => { connect(); beAlive(); }, 1000);
}

// Both clocks: one of them stands still while a device sleeps, and the other may be set.
const silentMs = () => Math.max(performance.now() - heard.ms, Date.now() - heard.wall);

function watch() {
  if (!cutWhy && silentMs() > SILENCE_MS) startAgain("The board has been silent for 5 seconds. Trying again…");
  say(byId("time"), timeOf(Date.now()));
  if (cutWhy) sound();
  paintSound();
}

function startAgain(why) {
  connect();
  cut(why);
}

function beAlive() {
  if (performance.now() - lastAlive < ALIVE_MS) return;
  lastAlive = performance.now();
  const sign = { page, touched, reaches: reaches() };
  touched = false;
  post("/alive", sign).catch(() => cut("This page cannot reach the board. Trying again…"));
}

// A page that nobody sees is left red, so that what is seen first after a sleep is never old news.
function wake() {
  if (!document.hidden && !cutWhy && silentMs() > ASLEEP_MS) startAgain("This page was asleep. Connecting again…");
  paintConnection();
  if (document.hidden) { reaches(); return; }
  const missed = missedWords();
  if (missed) say(byId("missed-says"), missed);
  if (missed) byId("missed").hidden = false;
  lastAlive = -1e9;      // counted again at once
  beAlive();
  stayAwake();
}

// --- painting ---

function paintConnection() {
  const down = cutWhy || (view ? view.down : "");
  const red = Boolean(down) || document.hidden;
  if (document.body.classList.contains("down") !== red) {
    document.body.classList.toggle("down", red);
    settle();
  }
  const old = down && view && view.alerts.length ? " What stands below is old, from " + timeOf(heard.wall, { second: "2-digit" }) + "." : "";
  const why = "No alert can reach you here. " + (down || "This page is asleep.") + old;
  say(byId("down-why"), red ? why : "");
  say(byId("card-down"), red ? "NOT CONNECTED. This card may be old. " + why : "");
  document.title = down ? "NOT CONNECTED · Stayby" : view.title;
  paintBadge(down ? "?" : view.alerts.length);
}

let badge = -1;
function paintBadge(count) {
  if (count === badge || !navigator.setAppBadge) return;
  badge = count;
  (count === "?" ? navigator.setAppBadge() : navigator.setAppBadge(count)).catch(tellDevice);
}

function paint() {
  paintConnection();
  say(byId("headline"), view.headline);
  const counted = byId("crowd").hidden;
  say(byId("crowd"), view.crowd);
  if (byId("crowd").hidden !== counted) settle();    // it stands above all of them
  byId("calm").hidden = view.alerts.length > 0 || !view.connected;
  say(byId("desks"), view.desks);
  sayLines(byId("waiting"), "li", view.waiting);
  paintFaults();
  paintTools();
  paintAlerts();
  refreshCard();
}

// --- faults: each sounds until somebody at this device has seen it ---

const SEEN_FAULTS = "stayby.faults";
const seenFaults = () => new Set(JSON.parse(localStorage.getItem(SEEN_FAULTS) ?? "[]"));

function paintFaults() {
  const key = JSON.stringify(view.faults);
  const list = byId("faults");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...view.faults.map((fault) => {
    const item = make("li");
    make("span", "what", item).textContent = fault.what;
    make("span", "do", item).textContent = fault.do;
    for (const node of item.children) node.dir = "auto";
    if (fault.more.length) tellMore(item, fault);
    return item;
  }));
  const seen = seenFaults();
  rememberFaults(view.faults.map((fault) => fault.what).filter((what) => seen.has(what)));
}

function tellMore(item, fault) {
  const more = make("details", "", item);
  Object.assign(make("summary", "", more), { textContent: "More, for a technician" }).setAttribute("aria-label", "More: " + fault.what);
  for (const line of fault.more) Object.assign(make("p", "", more), { textContent: line, dir: "auto" });
}

function rememberFaults(what) {
  localStorage.setItem(SEEN_FAULTS, JSON.stringify(what));
  byId("quiet-faults").hidden = !newFault();
}

function newFault() {
  const seen = seenFaults();
  return view.faults.some((fault) => !seen.has(fault.what));
}

// --- alerts ---

function paintAlerts() {
  const open = new Set(view.alerts.map((alert) => alert.incident));
  for (const [incident, card] of cards) {
    if (open.has(incident)) continue;
    if (card.alert.closing || card.closed) oops("Closed: " + card.alert.place + ".");
    card.root.remove();
    sessionStorage.removeItem(noteOf(incident));
    cards.delete(incident);
    opened.delete(incident);
    settle(card.at);
  }
  const list = byId("alerts");
  const news = [];
  view.alerts.forEach((alert, place) => {
    let card = cards.get(alert.incident);
    if (!card) {
      card = makeCard(alert);
      cards.set(alert.incident, card);
    }
    card.at = place;
    if (list.children[place] !== card.root) { moveTo(list, card.root, place); settle(place); }
    paintCard(card, alert, view.crowd !== "" && place >= ROOMY && !opened.has(alert.incident));
    card.known = alert.seen;
    tellSeen(card, alert.incident);
    const says = alert.closing ? alert.closing + " You can undo it." : alert.who[0].replace(/, [\d:]+ left/, "").replace(/[\d:]+ late/, "late");
    const short = alert.head + ", " + alert.place + ". " + says;
    if (card.short !== short) { card.short = short; news.push(short); }
  });
  if (news.length) byId("announce").textContent = (view.crowd ? view.crowd + " " : "") + news.slice(0, 3).join(" ");
}

// To move a node takes the focus from it: what has the focus stays, and the others move around it.
function moveTo(list, root, place) {
  const focused = document.activeElement;
  list.insertBefore(root, list.children[place] ?? null);
  if (focused && root.contains(focused)) focused.focus({ preventScroll: true });
}

// Over a break a board may have died with a close in its hands: what is gone then is not said to be closed.
function claimNoClose(card) {
  card.closed = false;
  card.alert = { ...card.alert, closing: "" };
}

function makeCard(alert) {
  const root = make("article");
  const head = make("div", "head", root);
  const card = {
    root, alert, at: 0, quietUntil: Infinity, toldAt: -1e9, head: make("span", "", head), clock: make("span", "clock", head), place: make("h2", "", root),
  };
  card.marks = make("ul", "marks", root);
  card.lines = make("div", "lines", root);
  card.who = make("ul", "who", root);
  for (const name of ["next", "note", "ask"]) card[name] = make("p", name, root);
  card.told = make("label", "told", root);
  make("span", "", card.told);
  card.text = Object.assign(make("input", "", card.told), { maxLength: 200, type: "text", dir: "auto", autocomplete: "off" });
  card.kept = make("small", "", card.told);
  card.text.value = sessionStorage.getItem(noteOf(alert.incident)) ?? "";
  card.text.oninput = () => keepNote(card);
  keepNote(card);
  card.answers = make("div", "answers", root);
  card.place.dir = "auto";
  root.addEventListener("keydown", (event) => pressKey(card, event));
  return card;
}

// What is half typed outlives a reload, in this tab and for this person only; signing out clears it (pages.js).
const noteOf = (incident) => NOTE + view.me + "." + incident;
function keepNote(card) {
  const name = noteOf(card.alert.incident);
  if (card.text.value) sessionStorage.setItem(name, card.text.value); else sessionStorage.removeItem(name);
  say(card.kept, card.text.value && "Kept on this device until you close the alert.");
}

function paintCard(card, alert, brief) {
  card.alert = alert;
  const says = JSON.stringify([alert, brief]);
  if (card.says === says) return;   // of a thousand cards few change at once
  card.says = says;
  const look = alert.tone + (alert.going ? " going" : "") + (brief ? " brief" : "");
  if (card.root.className !== look) card.root.className = look;
  Object.assign(card.root.dataset, { incident: alert.incident, revision: alert.revision, state: alert.state });
  say(card.head, alert.head);
  say(card.clock, alert.clock);
  say(card.place, alert.place);
  card.root.setAttribute("aria-label", alert.head + ", " + alert.place);
  sayLines(card.marks, "li", brief ? alert.marks.map((mark) => mark.split(/[.:]/)[0]) : alert.marks);
  sayLines(card.lines, "p", brief ? [] : alert.lines);
  sayLines(card.who, "li", brief ? alert.who.slice(0, 1) : alert.who);
  say(card.next, brief ? "" : alert.next);
  say(card.note, alert.note);
  card.note.classList.toggle("bad", alert.note_bad);
  say(card.ask, alert.ask_close);
  say(card.told.firstChild, alert.ask_note);
  card.told.hidden = alert.ask_note === "";
  paintAnswers(card, alert, brief);
}

function sayLines(node, tag, lines) {
  node.hidden = lines.length === 0;
  while (node.children.length > lines.length) node.lastChild.remove();
  lines.forEach((line, place) => {
    const child = node.children[place] ?? make(tag, "", node);
    child.dir = "auto";
    say(child, line);
  });
}

const MORE = { key: "m", label: "Show all of it", look: "quiet" };

function buttonsOf(alert, brief) {
  const own = alert.buttons.map((button) => ({ ...button, act: () => answer(alert, button) }));
  if (brief) return [...(alert.going ? [] : own.slice(0, 1)), { ...MORE, act: () => { opened.add(alert.incident); paintAlerts(); } }];
  return [...own, { key: "a", label: alert.card, look: "help", act: () => openCard(alert.incident) }];
}

function paintAnswers(card, alert, brief) {
  const buttons = buttonsOf(alert, brief);
  const key = alert.drill + buttons.map((button) => button.key + button.label + button.look).join("\n");
  if (card.key === key) return;
  card.key = key;
  const focused = card.answers.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  card.answers.replaceChildren(...buttons.map((button) => {
    const node = make("button", button.look);
    node.type = "button";
    node.dataset.key = button.key;
    node.textContent = button.label;
    node.setAttribute("aria-label", button.label + ", " + alert.place);
    node.setAttribute("aria-keyshortcuts", button.key);
    node.onclick = () => { if (takesTouch(card)) button.act(); };
    return node;
  }));
  if (focused !== null) (card.answers.querySelector(`[data-key="${focused}"]`) ?? card.answers.firstChild).focus({ preventScroll: true });
  settle(card.at);
}

// Single keys count only inside the alert that has the focus, so that no stray key answers for anybody.
function pressKey(card, event) {
  if (event.repeat && event.target.closest("button")) event.preventDefault();   // a key that is held down answers once
  if (event.target === card.text || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
  const button = card.answers.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (button) { event.preventDefault(); button.click(); }
}

// What changes at one place moves what lies below it and nothing above: there the buttons go on taking touches.
let movedFrom = Infinity;
let releasing = false;
function settle(from = 0) {
  if (movedFrom === Infinity) queueMicrotask(quiet);   // once for all that this painting moves: there may be a thousand cards
  movedFrom = Math.min(movedFrom, from);
}

function quiet() {
  for (const card of cards.values()) {
    if (card.at < movedFrom) continue;
    card.quietUntil = performance.now() + SETTLE_MS;
    for (const node of card.answers.children) if (!node.hasAttribute("aria-disabled")) node.setAttribute("aria-disabled", "true");
  }
  movedFrom = Infinity;
  if (!releasing) setTimeout(release, SETTLE_MS);
  releasing = true;
}

const takesTouch = (card) => card.at < movedFrom && performance.now() >= card.quietUntil;

function release() {
  releasing = false;
  for (const card of cards.values()) {
    if (takesTouch(card)) for (const node of card.answers.children) node.removeAttribute("aria-disabled");
    else releasing = true;
  }
  if (releasing) setTimeout(release, SETTLE_MS / 5);
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
  if (card) say(card.note, button.kind === "undo" ? "Keeping it open…" : "Sending your answer…");
  if (card) card.says = "";     // what was said here is said anew by the next view
  if (card) card.closed = button.kind === "close";
  const note = card && button.kind === "close" ? card.text.value : "";
  post("/reply", {
    incident: alert.incident, unit: alert.unit, kind: button.kind, eta_s: button.eta_s, outcome: button.outcome, note,
  }).catch((error) => oops("Not sent: " + error.message));
}

let oopsTimer = 0;
function oops(text) {
  clearTimeout(oopsTimer);
  say(byId("oops"), text);
  oopsTimer = setTimeout(() => say(byId("oops"), ""), 8000);
}

// --- the card for the ambulance ---

const shown = { incident: "", key: "" };

function openCard(incident) {
  shown.incident = incident;
  shown.key = "";
  byId("card-body").replaceChildren(inShort(incident));
  byId("card").showModal();
  refreshCard();
}

// What this page knows by itself, until the whole card is there, and when the board cannot be reached.
function inShort(incident) {
  const alert = cards.get(incident).alert;
  const main = make("div", "handover");
  for (const line of [...alert.marks, ...alert.call, ...alert.lines, ...alert.who]) {
    Object.assign(make("p", "", main), { dir: "auto" }).textContent = line;
  }
  return main;
}

async function refreshCard() {
  const dialog = byId("card");
  if (!dialog.open) return;
  const others = view.alerts.filter((one) => one.incident !== shown.incident && !one.going);
  say(byId("card-more"), others.length ? "Nobody is going yet: " + others.map((one) => one.head + ", " + one.place).slice(0, 3).join("; ") : "");
  const alert = view.alerts.find((one) => one.incident === shown.incident);
  const key = alert ? alert.revision + "/" + alert.who[0].replace(/[\d:]+/, "") : "over";
  if (cutWhy || key === shown.key) return;
  shown.key = key;
  try {
    const answer = await fetch("/handover/" + encodeURIComponent(shown.incident));
    const card = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".handover");
    if (!answer.ok || !card) throw new Error("the board has no card of it");
    if (dialog.open && shown.key === key) byId("card-body").replaceChildren(card);
  } catch (error) {
    shown.key = "";
    oops("The whole card is not here yet: " + error.message);
  }
}

// --- this device: sound, break, screen ---

function paintTools() {
  say(byId("break"), view.duty === "break" ? "End my break" : "Take a break");
  byId("break").hidden = view.duty === "off";
  byId("break").classList.toggle("on", view.duty === "break");
  byId("manage").hidden = false;
  say(byId("manage"), view.manager ? "For the manager" : "My follow-ups");
  say(byId("leave"), view.me + ": sign out");
}

function wanted() {
  if (cutWhy || !view || view.down) return view || cutWhy !== "Starting…" ? "cut" : "";
  return view.sound || (newFault() ? "fault" : "");
}

function sound() {
  document.body.dataset.sound = wanted();
  play(wanted());
  paintSound();
}

function paintSound() {
  const state = soundState();
  document.body.dataset.hear = state;
  say(byId("mute"), SOUND_SAYS[state]);
  say(byId("hush"), muted ? "Sound on" : "Mute");
}

function unmute() {
  return soundOn().then(sound, (error) => oops("Sound stays off: " + error.message));
}

async function trySound() {
  await unmute();
  playedAt = {};
  play("emergency");
  oops(soundState() === "on" ? "This is the sound of an alert. If you hear nothing, turn up the volume." : SOUND_SAYS[soundState()]);
}

let lock = null;
async function stayAwake() {
  if (document.hidden || (lock && !lock.released)) return;
  try {
    lock = await navigator.wakeLock.request("screen");
    lock.onrelease = stayAwake;
    byId("awake").hidden = true;
  } catch {   // no such thing here, or a battery that is low: then the person must do it
    byId("awake").hidden = localStorage.getItem("stayby.awake") === "told";
  }
}

function tellDevice(error) {
  say(byId("device"), "This device keeps less of the board than it could: " + error.message);
}

for (const kind of ["pointerdown", "keydown"]) {
  document.addEventListener(kind, () => {
    touched = true;
    if (!muted && audio.state !== "running") unmute();
  });
}
byId("mute").onclick = unmute;
byId("try").onclick = trySound;
byId("hush").onclick = () => {
  if (muted) return void unmute();
  muted = true;
  sound();
  oops("Muted. Keep this page in sight: where you neither see nor hear it, nobody counts on you.");
};
byId("missed-ok").onclick = () => { byId("missed").hidden = true; };
byId("break").onclick = () => post("/break", { on: view.duty !== "break" }).catch((error) => oops("Not changed: " + error.message));
byId("quiet-faults").onclick = () => { rememberFaults(view.faults.map((fault) => fault.what)); sound(); };
byId("awake-ok").onclick = () => { localStorage.setItem("stayby.awake", "told"); byId("awake").hidden = true; };
byId("card-back").onclick = () => byId("card").close();
audio.onstatechange = paintSound;

document.addEventListener("visibilitychange", wake);
document.addEventListener("freeze", () => { source.close(); cutWhy = "This page was asleep. Connecting again…"; paintConnection(); });
document.addEventListener("resume", () => startAgain("This page was asleep. Connecting again…"));
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => { if (event.persisted) startAgain("This page was asleep. Connecting again…"); });

if (navigator.serviceWorker) navigator.serviceWorker.register("/sw.js").catch(tellDevice);
setInterval(watch, 500);
connect();
stayAwake();
