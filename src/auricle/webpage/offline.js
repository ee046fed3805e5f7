// SPDX-License-Identifier: Apache-2.0
// Keeps the files of the site in the browser, so that a reload works without a network.

const VERSION = "{version}";
const FILES = ["{files}"];
const OURS = `auricle ${registration.scope} `;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(OURS + VERSION).then((cache) => cache.addAll(FILES)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  const forget = async () => {
    const names = (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== OURS + VERSION);
    await Promise.all(names.map((name) => caches.delete(name)));
    await clients.claim();
  };
  event.waitUntil(forget());
});

addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(caches.open(OURS + VERSION).then((cache) => cache.match(event.request)).then((kept) => kept ?? fetch(event.request)));
});
