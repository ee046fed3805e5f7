// SPDX-License-Identifier: Apache-2.0
// The model in this browser. Nothing leaves it: the only requests are for the files beside this page.

import { eventsOfLabel, smoothLabel, sortEvents } from "./events.js";
import { aggregate, calibrate, cutWindows, joinFrames, ruleOf } from "./rules.js";

const MOST_TAGS = 5;

// Load auricle.json and the network that site.json names.
export async function loadModel() {
  const site = await (await fetch("site.json")).json();
  const spec = await (await fetch("auricle.json")).json();
  ort.env.wasm.wasmPaths = new URL("ort/", document.baseURI).href;
  ort.env.wasm.numThreads = 1; // more need headers that plain file servers do not send
  const bytes = new Uint8Array(await (await fetch(site.network)).arrayBuffer());
  const session = await ort.InferenceSession.create(bytes, {
    executionProviders: ["wasm"],
    extra: { session: { disable_quant_qdq: "1" } }, // 8-bit weights are restored once, not in every call
  });
  return { spec, site, session };
}

// Run one window; returns clip scores and the frame scores, row after row (null if the model has none).
export async function runWindow({ spec, session }, window) {
  const feeds = { waveform: new ort.Tensor("float32", window, [1, window.length]) };
  const found = await session.run(feeds, spec.frames ? ["clip", "frames"] : ["clip"]);
  return { clip: Array.from(found.clip.data), frames: found.frames ? Float32Array.from(found.frames.data) : null };
}

// Score a whole recording at the model's rate; `told` is called with the share that is done.
export async function analyse(model, samples, told = () => {}) {
  if (samples.length === 0) throw new Error("the recording holds no sample");
  const { spec } = model, windows = cutWindows(samples, spec), found = [];
  for (const window of windows) {
    found.push(await runWindow(model, window));
    told(found.length / windows.length);
    await new Promise((resolve) => setTimeout(resolve)); // the page stays alive
  }
  const clips = found.map((f) => f.clip), duration = samples.length / spec.sample_rate;
  const { times, columns } = joinFrames(spec.frames ? found.map((f) => f.frames) : null, clips, samples.length, spec);
  const clip = calibrate(aggregate(clips, spec), spec);
  const tags = spec.labels.map((label, i) => ({ label, score: clip[i] })).sort((a, b) => b.score - a.score).slice(0, MOST_TAGS);
  return { duration, tags, scores: { times, labels: spec.labels, columns }, events: findEvents(columns, duration, spec) };
}

// Events of all labels in the order of their onsets.
export function findEvents(columns, duration, spec) {
  const rule = ruleOf(spec);
  const found = spec.labels.flatMap((label, i) => eventsOfLabel(smoothLabel(columns[i], label, rule), label, spec.thresholds[label], duration, rule));
  return sortEvents(found, spec.labels);
}
