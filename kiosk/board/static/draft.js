"use strict";
// Keeps half-typed text of a form in this tab until it is sent, and says so. Signing out clears it (pages.js), and who signed
// in elsewhere on this device meanwhile does not get it: a form's token is of one sign-in.

const SENT = "stayby.draft.sent";
const draftForm = document.querySelector("form[data-draft]");
const draftKey = "stayby.draft." + (draftForm?.elements.token?.value ?? "") + location.pathname + location.search;

// What was sent from another page is kept no longer: this page came after it. An error page has no such script.
const sentKey = sessionStorage.getItem(SENT);
if (sentKey && sentKey !== draftKey) sessionStorage.removeItem(sentKey);
sessionStorage.removeItem(SENT);

if (draftForm) keepDraft(draftForm);

function keepDraft(form) {
  const typed = [...form.querySelectorAll("textarea, input[maxlength]")];
  const says = document.createElement("p");
  says.className = "quiet";
  says.setAttribute("role", "status");
  form.querySelector("button.main").before(says);
  const texts = () => typed.map((one) => one.value);
  const asLoaded = texts();
  const kept = JSON.parse(sessionStorage.getItem(draftKey) ?? "null");
  if (kept && kept.join() !== asLoaded.join()) {
    typed.forEach((one, place) => { one.value = kept[place] ?? one.value; });
    says.textContent = "What you typed before is back. It is not sent yet.";
  } else {
    sessionStorage.removeItem(draftKey);
  }
  form.addEventListener("input", () => {
    const now = texts();
    const same = now.join() === asLoaded.join();
    if (same) sessionStorage.removeItem(draftKey); else sessionStorage.setItem(draftKey, JSON.stringify(now));
    says.textContent = same ? "" : "Not sent yet. Kept on this device until you send it or sign out.";
  });
  form.addEventListener("submit", () => sessionStorage.setItem(SENT, draftKey));
}
