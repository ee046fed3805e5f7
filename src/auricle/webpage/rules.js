// SPDX-License-Identifier: Apache-2.0
// From a recording to scores and events, by the rules of auricle.json: the same as auricle's Python runtime.
// Pure functions; `spec` is the content of auricle.json, matrices are arrays of rows.

import { roundEven } from "./events.js";

const samplesOf = (seconds, spec) => roundEven(seconds * spec.sample_rate);
export const windowSamples = (spec) => samplesOf(spec.window_s, spec);
const hopSamples = (spec) => samplesOf(spec.hop_s, spec);

// The windows of a recording: at multiples of the hop, the last one padded, nothing dropped but a remainder shorter
// than half an output frame. With margins they stand side by side and see some sound of their neighbours.
export function cutWindows(samples, spec) {
  if (spec.margin_s) return cutWithMargins(samples, spec);
  const size = windowSamples(spec), hop = hopSamples(spec);
  const slack = Math.floor((spec.min_samples - 1) / 2);
  const count = 1 + Math.max(0, Math.ceil((samples.length - slack - size) / hop));
  return Array.from({ length: count }, (_, i) => padWindow(samples.subarray(i * hop, i * hop + size), size, spec.pad));
}

function cutWithMargins(samples, spec) {
  const hop = hopSamples(spec), margin = samplesOf(spec.margin_s, spec);
  const count = 1 + Math.max(0, Math.ceil((samples.length - margin) / hop) - 1); // the last one takes what is left
  return Array.from({ length: count }, (_, i) => {
    const part = samples.subarray(Math.max(0, i * hop - margin), i + 1 < count ? (i + 1) * hop + margin : samples.length);
    return padWindow(part, Math.max(spec.min_samples, part.length), "zero");
  });
}

function padWindow(part, size, rule) {
  if (part.length === size) return part;
  const window = new Float32Array(size);
  if (rule === "repeat" && part.length > 0) for (let i = 0; i < size; i++) window[i] = part[i % part.length];
  else window.set(part);
  return window;
}

const bounded = (p) => Math.min(Math.max(p, 1e-7), 1 - 1e-7);
const logit = (p) => Math.log(bounded(p) / (1 - bounded(p)));
const sigmoid = (x) => 0.5 * (1 + Math.tanh(0.5 * x));
const sum = (values) => values.reduce((a, b) => a + b, 0);
function softmax(values) {
  const peak = Math.max(...values), powers = values.map((v) => Math.exp(v - peak)), total = sum(powers);
  return powers.map((p) => p / total);
}
// Logarithms of shares, with that of "none of the labels" behind them where the model knows it.
function logShares(scores, none) {
  const all = none ? [...scores, 1 - sum(scores)] : scores;
  return all.map((p) => Math.log(Math.max(p, 1e-7)));
}

// Scores of windows to those of the recording.
export function aggregate(windows, spec) {
  const columns = spec.labels.map((_, i) => windows.map((row) => row[i]));
  const mean = (values) => sum(values) / values.length;
  if (spec.aggregate === "max") return columns.map((values) => Math.max(0, ...values));
  if (spec.aggregate === "mean") return columns.map(mean);
  if (spec.task === "multi") return columns.map((values) => 1 / (1 + Math.exp(-mean(values.map(logit)))));
  const rows = windows.map((row) => logShares(row, spec.negatives));
  return softmax(rows[0].map((_, i) => mean(rows.map((row) => row[i])))).slice(0, spec.labels.length);
}

// Bona fide or spoofed: the calibrated likelihood ratio at the stated share of spoofed recordings.
function verdict(scores, spec) {
  const { scale, offset, prior_spoof: prior } = spec.calibration;
  const [human, fake] = ["bonafide", "spoof"].map((name) => Math.log(Math.max(scores[spec.labels.indexOf(name)], 1e-37)));
  const share = sigmoid(scale * (human - fake) + offset + Math.log((1 - prior) / prior));
  return spec.labels.map((name) => (name === "bonafide" ? share : 1 - share));
}

// Clip scores that mean what they say.
export function calibrate(scores, spec) {
  const parts = spec.calibration;
  if (!parts) return scores;
  if (parts.method === "llr") return verdict(scores, spec);
  if (parts.method === "logistic") return scores.map((p, i) => sigmoid(logit(p) * parts.scale[i] + parts.bias[i]));
  if (spec.task === "multi") return scores.map((p) => sigmoid(logit(p) / parts.temperature));
  return softmax(logShares(scores, spec.negatives).map((v) => v / parts.temperature)).slice(0, scores.length);
}

// Where frame scores lie; for a model without them, cells of one hop that window scores are spread over.
function gridOf(spec) {
  const hop = hopSamples(spec);
  return spec.frames
    ? { hop: spec.frames.hop_samples, first: spec.frames.first_centre_samples }
    : { hop, first: hop / 2 };
}

// What events.js makes events by.
export function ruleOf(spec) {
  const { hop, first } = gridOf(spec);
  return { rate: spec.sample_rate, hop_samples: hop, first_centre_samples: first, postprocess: spec.postprocess };
}

// Frame scores of windows, row after row, to those of the recording: averaged where windows overlap, without their
// margins, cut at its end. Returns a column a label.
export function joinFrames(windows, clips, length, spec) {
  const grid = gridOf(spec), hop = hopSamples(spec), labels = spec.labels.length;
  const cells = spec.margin_s ? 1 : Math.ceil(windowSamples(spec) / hop);
  const known = spec.frames ? length : length + Math.floor(hop / 2);
  const frames = Math.max(0, Math.ceil((known - grid.first) / grid.hop));
  const columns = spec.labels.map(() => new Float64Array(frames)), counts = new Uint32Array(frames);
  clips.forEach((clip, number) => {
    const rows = windows ? windows[number] : Array(cells).fill(clip).flat();
    const [from, to] = ownRows(number, clips.length, rows.length / labels, grid, spec);
    const start = Math.floor((number * hop + Math.floor(grid.hop / 2)) / grid.hop);
    for (let i = from; i < to && start + i - from < frames; i++) {
      counts[start + i - from] += 1;
      for (let k = 0; k < labels; k++) columns[k][start + i - from] += rows[i * labels + k];
    }
  });
  const times = Float64Array.from({ length: frames }, (_, i) => (grid.first + i * grid.hop) / spec.sample_rate);
  return { times, columns: columns.map((sums) => averaged(sums, counts)) };
}

// The rows of a window that are its own: all but those of its margins.
function ownRows(number, count, rows, grid, spec) {
  if (!spec.margin_s || !spec.frames) return [0, rows];
  const first = number ? Math.floor(samplesOf(spec.margin_s, spec) / grid.hop) : 0;
  return [first, number + 1 < count ? first + Math.floor(hopSamples(spec) / grid.hop) : rows];
}

// A frame that no window scored repeats the one before it.
function averaged(sums, counts) {
  const result = new Float32Array(sums.length);
  for (let i = 0; i < sums.length; i++) result[i] = counts[i] > 0 ? sums[i] / counts[i] : i > 0 ? result[i - 1] : 0;
  return result;
}
