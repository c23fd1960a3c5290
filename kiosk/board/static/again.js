"use strict";
// Loads a page again while something on it is awaited, unless somebody is about to touch or type. Without this: “Look again”.

const seconds = Number(document.currentScript.dataset.seconds);

setInterval(() => {
  if (document.activeElement === document.body) location.reload();
}, seconds * 1000);
