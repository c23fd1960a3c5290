"use strict";
// Keeps the empty page, and nothing of any alert, so that the board opens at once and says NOT CONNECTED when it is.

const CACHE = "stayby-shell-1";
const SHELL = [
  "/", "/board.css", "/handover.css", "/handover.js", "/sound.js", "/board.js", "/icon.svg", "/icon-192.png", "/manifest.webmanifest",
];
const PATIENCE_MS = 4000;

async function fresh(request) {
  const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
  // A redirect is the way to sign in: it is passed on, and never kept in the board's place.
  if (answer.ok && !answer.redirected) await (await caches.open(CACHE)).put(new URL(request.url).pathname, answer.clone());
  return answer;
}

async function kept(request, error) {
  const answer = await caches.match(new URL(request.url).pathname, { cacheName: CACHE });
  if (answer) return answer;
  throw error;
}

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(Promise.all(SHELL.map((path) => fresh(new Request(path)))));
});
self.addEventListener("activate", (event) => {
  const others = async () => Promise.all((await caches.keys()).filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  event.waitUntil(Promise.all([others(), self.clients.claim()]));
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin || !SHELL.includes(url.pathname)) return;
  event.respondWith(fresh(request).catch((error) => kept(request, error)));
});
