// SPDX-License-Identifier: Apache-2.0
// From a recording to scores and events, by the rules of auricle.json: the same as auricle's Python runtime.
// Pure functions; `spec` is the content of auricle.json, matrices are arrays of rows.

// Round half to even, as Python does.
export function roundEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

const samplesOf = (seconds, spec) => roundEven(seconds * spec.sample_rate);
export const windowSamples = (spec) => samplesOf(spec.window_s, spec);
const hopSamples = (spec) => samplesOf(spec.hop_s, spec);

// The windows of a recording: at multiples of the hop, the last one padded, nothing dropped but a remainder shorter
// than half an output frame.
export function cutWindows(samples, spec) {
  const size = windowSamples(spec), hop = hopSamples(spec);
  const slack = Math.floor((spec.min_samples - 1) / 2);
  const count = 1 + Math.max(0, Math.ceil((samples.length - slack - size) / hop));
  return Array.from({ length: count }, (_, i) => padWindow(samples.subarray(i * hop, i * hop + size), size, spec.pad));
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

// Frame scores of windows to those of the recording: averaged where windows overlap, cut at its end.
export function joinFrames(windows, clips, length, spec) {
  const grid = gridOf(spec), hop = hopSamples(spec), labels = spec.labels.length;
  const cells = Math.ceil(windowSamples(spec) / hop);
  const reach = spec.frames ? length : length + Math.floor(hop / 2);
  const frames = Math.max(0, Math.ceil((reach - grid.first) / grid.hop));
  const sums = Array.from({ length: frames }, () => new Float64Array(labels)), counts = new Uint32Array(frames);
  clips.forEach((clip, number) => {
    const rows = windows ? windows[number] : Array(cells).fill(clip);
    const start = Math.floor((number * hop + Math.floor(grid.hop / 2)) / grid.hop);
    rows.forEach((row, i) => {
      if (start + i >= frames) return;
      counts[start + i] += 1;
      row.forEach((score, label) => (sums[start + i][label] += score));
    });
  });
  const result = [];
  for (let i = 0; i < frames; i++) {
    if (counts[i] > 0) result.push(Array.from(sums[i], (v) => Math.fround(v / counts[i])));
    else result.push(i > 0 ? result[i - 1] : Array(labels).fill(0));
  }
  return { values: result, times: result.map((_, i) => (grid.first + i * grid.hop) / spec.sample_rate) };
}

// The median of `size` values around each; mirrored at both ends.
export function medianSmooth(values, size) {
  const half = Math.floor(size / 2), n = values.length;
  if (size === 1 || n === 0) return values;
  const at = (i) => {
    const place = ((i % (2 * n)) + 2 * n) % (2 * n);
    return values[place < n ? place : 2 * n - 1 - place];
  };
  return values.map((_, i) => Array.from({ length: size }, (_, k) => at(i - half + k)).sort((a, b) => a - b)[half]);
}

// Events of all labels in the order of their onsets: smoothing, two thresholds, gaps filled, short ones dropped.
export function findEvents(frames, duration, spec) {
  const grid = gridOf(spec), rule = spec.postprocess, step = grid.hop / spec.sample_rate;
  const least = Math.max(1, Math.ceil(rule.min_event_s / step - 1e-6));
  const gap = Math.max(0, Math.floor(rule.max_gap_s / step + 1e-6));
  const second = (frame) => (grid.first + frame * grid.hop) / spec.sample_rate;
  const events = spec.labels.flatMap((label, i) => {
    const seconds = rule.medians_s?.[label] ?? rule.median_s, ratio = rule.off_ratios?.[label] ?? rule.off_ratio;
    const size = 2 * Math.max(0, roundEven((seconds / step - 1) / 2)) + 1;
    const scores = medianSmooth(frames.map((row) => row[i]), size);
    const runs = findRuns(scores, Math.fround(spec.thresholds[label]), ratio, gap);
    return runs.filter((run) => run.last - run.first + 1 >= least).map((run) => {
      const onset = Math.min(Math.max(0, second(run.first - 0.5)), duration);
      return { label, onset, offset: Math.min(Math.max(onset, second(run.last + 0.5)), duration), score: run.peak };
    });
  });
  return events.sort((a, b) => a.onset - b.onset || spec.labels.indexOf(a.label) - spec.labels.indexOf(b.label));
}

function findRuns(scores, on, ratio, gap) {
  const off = Math.fround(on * Math.fround(ratio)), runs = [];
  let active = false;
  scores.forEach((score, i) => {
    active = score >= on || (active && score >= off);
    if (!active) return;
    const run = runs.at(-1);
    if (run && i - run.last - 1 <= gap) Object.assign(run, { last: i, peak: Math.max(run.peak, score) });
    else runs.push({ first: i, last: i, peak: score });
  });
  return runs;
}
