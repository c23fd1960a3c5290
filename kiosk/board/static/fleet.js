"use strict";
// The page of all units looks again every 3 seconds, quietly: what is open stays open, what has the focus keeps it.

const EVERY_MS = 3000;
const LOST_MS = 8000;
let heardAt = performance.now();
let touched = false;          // a finger is down: what lies under it must not be replaced before it is lifted

for (const [kind, down] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]]) {
  addEventListener(kind, () => { if (down) touched = true; else setTimeout(() => { touched = false; }, 0); }, true);
}

const inner = (page, id) => page.getElementById(id);

function keep(fresh) {
  const before = inner(document, "fleet");
  const after = inner(fresh, "fleet");
  for (const one of before.querySelectorAll("details[open][id]")) {
    const same = fresh.getElementById(one.id);
    if (same) same.open = true;
  }
  const focused = document.activeElement && before.contains(document.activeElement) ? document.activeElement.closest("details[id]") : null;
  const chosen = String(getSelection());
  if (touched || (chosen && before.contains(getSelection().anchorNode))) return;      // or somebody copies a line
  before.replaceWith(document.adoptNode(after));
  if (focused) document.getElementById(focused.id)?.querySelector("summary").focus({ preventScroll: true });
}

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch("/fleet", { headers: { accept: "text/html" }, signal: AbortSignal.timeout(EVERY_MS) });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!inner(fresh, "fleet")) { location.reload(); return; }          // signed out, or no manager any more
      heardAt = performance.now();
      const says = inner(fresh, "headline").textContent;
      if (inner(document, "headline").textContent !== says) inner(document, "headline").textContent = says;
      keep(fresh);
    } catch {
      // said below, once it has lasted
    }
  }
  inner(document, "lost-board").hidden = document.hidden || performance.now() - heardAt < LOST_MS;
  setTimeout(look, EVERY_MS);
}

setTimeout(look, EVERY_MS);
