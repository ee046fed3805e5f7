// SPDX-License-Identifier: Apache-2.0
// What the studio's server can be asked for. Small pictures come a few at a time.

import { ask } from "./server.js";

const PICTURES_AT_ONCE = 3;
const PAGE = 200; // recordings of a request

const dialog = document.getElementById("token");
const addressed = (path, query) => `v1/studio${path}${query ? `?${new URLSearchParams(query)}` : ""}`;
const get = (path, query, options = {}) => ask(addressed(path, query), { dialog, ...options });

export const send = (method, path, json) => ask(addressed(path), { method, json, dialog });

const waiting = [];
let running = 0;
function next() {
  while (running < PICTURES_AT_ONCE && waiting.length) {
    const { start, resolve, reject } = waiting.shift();
    running++;
    start().then(resolve, reject).finally(() => {
      running--;
      next();
    });
  }
}

function inTurn(start) {
  return new Promise((resolve, reject) => {
    waiting.push({ start, resolve, reject });
    next();
  });
}

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

export const studio = {
  state: () => get(""),
  recording: (id) => get(`/recordings/${encodeURIComponent(id)}`),
  audio: (id, from, to) => get(`/recordings/${encodeURIComponent(id)}/audio`, { from: from.toFixed(3), to: to.toFixed(3) }, { bytes: true }),
  queue: (label, count) => get("/queue", label ? { label, count } : { count }),
  detections: (query) => get("/detections", query),
  exported: (format) => get("/export", { format }, { bytes: true }),
  search: (label, count) => send("POST", "/search", { label, count }),
  teach: () => send("POST", "/teach", {}),
  detect: () => send("POST", "/detect", { recordings: null }),
  tune: (label, precision) => send("POST", "/tune", { label, precision }),
  classOf: (name, change) => send("POST", "/classes", { name, ...change }),
  cutouts: (wishes) => send("POST", "/cutouts", wishes),
  undo: () => send("POST", "/undo", {}),

  // Pages of the recordings, as they come.
  async *recordings() {
    for (let offset = 0, total = 1; offset < total; offset += PAGE) {
      const found = await get("/recordings", { offset, limit: PAGE });
      total = found.total;
      yield found;
    }
  },

  // Returns {rows, hz_max, levels: bytes row after row from the highest frequency down, peaks: pairs of -127 to 127}.
  async tile(id, from, to, width) {
    const found = await get(`/recordings/${encodeURIComponent(id)}/tile`, { from, to, width });
    return { ...found, levels: bytesOf(found.spectrogram), peaks: new Int8Array(bytesOf(found.peaks).buffer) };
  },

  // Those of windows wait for each other; what is looked at as a whole does not wait for them.
  smallTile: (...part) => inTurn(() => studio.tile(...part)),
};
