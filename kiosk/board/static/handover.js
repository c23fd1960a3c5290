"use strict";
// The buttons of the card for the ambulance, on the board and on its own page: copy it, print it.

async function copyCard(button) {
  const card = button.closest(".handover");
  const text = [...card.querySelectorAll("[data-copy]")].map((node) => node.innerText.trim()).join("\n");
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {   // a page without TLS may not write there: the person can, once it is selected
    getSelection().selectAllChildren(card.querySelector(".say"));
    button.textContent = "Selected: copy it now";
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-do]");
  if (button?.dataset.do === "copy") copyCard(button);
  if (button?.dataset.do === "print") print();
});
