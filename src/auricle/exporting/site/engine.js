// SPDX-License-Identifier: Apache-2.0
// The model in this browser. Nothing leaves it: the only requests are for the files beside this page.
import { aggregate, calibrate, cutWindows, findEvents, joinFrames } from "./rules.js";

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

// Decode any format that this browser knows, mixed down to mono, at the model's rate.
export async function decode(buffer, spec) {
  const context = new OfflineAudioContext(1, 1, spec.sample_rate); // decodes to its own rate
  const audio = await context.decodeAudioData(buffer);
  return mixDown(audio);
}

function mixDown(audio) {
  if (audio.numberOfChannels === 1) return audio.getChannelData(0);
  const mono = new Float32Array(audio.length);
  for (let c = 0; c < audio.numberOfChannels; c++) audio.getChannelData(c).forEach((x, i) => (mono[i] += x));
  return mono.map((x) => x / audio.numberOfChannels);
}

// Bring samples to the model's rate.
export async function resample(samples, rate, spec) {
  if (rate === spec.sample_rate) return samples;
  const context = new OfflineAudioContext(1, Math.round((samples.length * spec.sample_rate) / rate), spec.sample_rate);
  const buffer = context.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}

// Run one window; returns clip scores and the rows of frame scores (null if the model has none).
export async function runWindow({ spec, session }, window) {
  const feeds = { waveform: new ort.Tensor("float32", window, [1, window.length]) };
  const found = await session.run(feeds, spec.frames ? ["clip", "frames"] : ["clip"]);
  const rows = found.frames && toRows(found.frames.data, spec.labels.length);
  return { clip: Array.from(found.clip.data), frames: rows ?? null };
}

function toRows(flat, width) {
  return Array.from({ length: flat.length / width }, (_, i) => Array.from(flat.subarray(i * width, (i + 1) * width)));
}

// Score a whole recording at the model's rate; `onProgress` is called with the share that is done.
export async function analyse(model, samples, onProgress = () => {}) {
  if (samples.length === 0) throw new Error("the recording holds no sample");
  const { spec } = model, windows = cutWindows(samples, spec), found = [];
  for (const window of windows) {
    found.push(await runWindow(model, window));
    onProgress(found.length / windows.length);
  }
  const clips = found.map((f) => f.clip), duration = samples.length / spec.sample_rate;
  const frames = joinFrames(spec.frames ? found.map((f) => f.frames) : null, clips, samples.length, spec);
  const clip = calibrate(aggregate(clips, spec), spec);
  const scores = spec.labels.map((label, i) => ({ label, score: clip[i] })).sort((a, b) => b.score - a.score);
  return { duration, scores, frames, events: findEvents(frames.values, duration, spec) };
}
