// SPDX-License-Identifier: Apache-2.0
// The page over a model in this browser: nothing is sent anywhere, and after the first visit no network is needed.

import { analyse, loadModel } from "./engine.js";
import { LocalLive } from "./local_live.js";
import { start } from "./page.js";
import { ruleOf } from "./rules.js";
import { decodeSound } from "./sound.js";

let loaded = null;

start({
  promise: "Sound stays in this browser: nothing is uploaded, and the page works without a network.",

  async models() {
    try {
      loaded = await loadModel();
    } catch (error) {
      throw new Error(`The model could not be loaded: ${error.message}. Serve this folder over HTTP: python -m http.server`);
    }
    const { spec, site } = loaded, { name, labels, thresholds } = spec;
    document.querySelector("#footer").textContent = `Made by auricle ${site.auricle}; runs on ONNX Runtime Web ${site.runtime} (MIT), ${site.precision}.`;
    return { default: name, models: [{ name, labels, thresholds, rule: ruleOf(spec) }] };
  },

  async analyse(file, _model, told) {
    told("Decoding …");
    const samples = await decodeSound(await file.arrayBuffer(), loaded.spec.sample_rate).catch(() => {
      throw new Error(`this browser cannot decode ${file.name}; try WAV, FLAC, MP3 or Ogg`);
    });
    const found = await analyse(loaded, samples, (share) => told(`Scoring … ${Math.floor(100 * share)} %`, share));
    return { path: file.name, flags: [], error: null, ...found };
  },

  live: (on) => new LocalLive(on, loaded),
});

navigator.serviceWorker?.register("offline.js").catch(() => {}); // without one, a reload needs the network
