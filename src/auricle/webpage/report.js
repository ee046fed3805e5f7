// SPDX-License-Identifier: Apache-2.0
// The page over what its own file holds: a recording, its scores, its events, and the truth where it is known.

import { start } from "./page.js";
import { MemorySound, VIEW_RATE, decodeSound } from "./sound.js";

const given = JSON.parse(document.querySelector("#data").textContent);

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const floatsOf = (base64) => new Float32Array(bytesOf(base64).buffer);

start({
  given: {
    ...given,
    found: {
      ...given.found,
      scores: { ...given.scores, times: floatsOf(given.scores.times), columns: given.scores.columns.map(floatsOf) },
    },
    sound: async () => new MemorySound(VIEW_RATE, await decodeSound(bytesOf(given.address.split(",")[1]).buffer, VIEW_RATE)),
  },
});
