// SPDX-License-Identifier: Apache-2.0
// The page over a server: it scores what is sent to it.

import { Live } from "./live.js";
import { start } from "./page.js";
import { ask, token } from "./server.js";

const MOST_TAGS = 5;
const SENT_LANES = 40; // classes whose scores come with the events; of the others only the highest score

const dialog = document.getElementById("token");

// Scores come by rows; a lane wants columns.
function columnsOf({ labels, times, values, peaks }) {
  return { labels, times, peaks, columns: labels.map((_, k) => Float32Array.from(values, (row) => row[k])) };
}

start({
  promise: "WAV, FLAC, MP3, Ogg, Opus and more. Nothing leaves this server.",

  async models() {
    const found = await ask("v1/models", { dialog });
    return { ...found, models: found.models.map((model) => ({ ...model, rule: model.events })) };
  },

  // The recording travels once; the server gives all that is shown.
  async analyse(file, model, told) {
    const form = new FormData();
    form.append("file", file, file.name);
    const query = new URLSearchParams({ model: model.name, scores: true, lanes: SENT_LANES, tags: MOST_TAGS });
    const sent = (share) => (share < 1 ? told(`Sending … ${Math.floor(100 * share)} %`, share) : told("Scoring …"));
    const { scores, ...found } = await ask(`v1/detect?${query}`, { method: "POST", body: form, told: sent, dialog });
    return { ...found, scores: columnsOf(scores) };
  },

  live(on) {
    const session = new Live(on);
    const begin = session.start.bind(session);
    session.start = (model) => begin(model.name, token());
    return session;
  },
});
