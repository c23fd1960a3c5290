"use strict";
// Where somebody signs in: forgets what the person before had half typed, and puts a pad of digits under the PIN, for a screen
// without a keyboard. Without this the form works all the same.

for (const name of Object.keys(sessionStorage)) if (name.startsWith("stayby.draft.")) sessionStorage.removeItem(name);

const pad = document.getElementById("pad");
const pin = document.getElementById("pin");

function key(label, name, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.setAttribute("aria-label", name);
  button.addEventListener("click", act);
  pad.append(button);
}

if (pad && pin) {
  for (const digit of ["1", "2", "3", "4", "5", "6", "7", "8", "9"]) key(digit, digit, () => add(digit));
  key("Clear", "Clear", () => { pin.value = ""; });
  key("0", "0", () => add("0"));
  key("⌫", "Delete the last digit", () => { pin.value = pin.value.slice(0, -1); });
  pad.hidden = false;
}

function add(digit) {
  if (pin.value.length < pin.maxLength) pin.value += digit;
}
