// SPDX-License-Identifier: Apache-2.0
// From the scores of a class to its events, by the rules of auricle.json: the same as auricle's Python runtime.
// `rule` is {rate, hop_samples, first_centre_samples, postprocess}.

// Round half to even, as Python does.
export function roundEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

// The median of `size` values around each; mirrored at both ends.
export function medianSmooth(values, size) {
  const half = Math.floor(size / 2), n = values.length;
  if (size === 1 || n === 0) return values;
  const at = (i) => {
    const place = ((i % (2 * n)) + 2 * n) % (2 * n);
    return values[place < n ? place : 2 * n - 1 - place];
  };
  const sorted = Array.from({ length: size }, (_, k) => at(k - half)).sort((a, b) => a - b);
  const result = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    result[i] = sorted[half];
    sorted.splice(findPlace(sorted, at(i - half)), 1);
    const next = at(i + 1 + half);
    sorted.splice(findPlace(sorted, next), 0, next);
  }
  return result;
}

// The first place in a sorted list that is not below a value.
function findPlace(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

const stepOf = (rule) => rule.hop_samples / rule.rate;

// The scores of a class as its events are made from them.
export function smoothLabel(values, label, rule) {
  const seconds = rule.postprocess.medians_s?.[label] ?? rule.postprocess.median_s;
  return medianSmooth(values, 2 * Math.max(0, roundEven((seconds / stepOf(rule) - 1) / 2)) + 1);
}

// Two thresholds, gaps filled, short ones dropped; `smooth` comes from smoothLabel.
export function eventsOfLabel(smooth, label, threshold, duration, rule) {
  const { min_event_s: least_s, max_gap_s: gap_s, off_ratios: ratios, off_ratio: ratio } = rule.postprocess;
  const step = stepOf(rule);
  const least = Math.max(1, Math.ceil(least_s / step - 1e-6));
  const gap = Math.max(0, Math.floor(gap_s / step + 1e-6));
  const second = (frame) => (rule.first_centre_samples + frame * rule.hop_samples) / rule.rate;
  const runs = findRuns(smooth, Math.fround(threshold), ratios?.[label] ?? ratio, gap);
  return runs.filter((run) => run.last - run.first + 1 >= least).map((run) => {
    const onset = Math.min(Math.max(0, second(run.first - 0.5)), duration);
    return { label, onset, offset: Math.min(Math.max(onset, second(run.last + 0.5)), duration), score: run.peak };
  });
}

function findRuns(scores, on, ratio, gap) {
  const off = Math.fround(on * Math.fround(ratio)), runs = [];
  let active = false;
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i];
    active = score >= on || (active && score >= off);
    if (!active) continue;
    const run = runs.at(-1);
    if (run && i - run.last - 1 <= gap) {
      run.last = i;
      run.peak = Math.max(run.peak, score);
    } else {
      runs.push({ first: i, last: i, peak: score });
    }
  }
  return runs;
}

// In the order of onsets, then of the model's labels.
export function sortEvents(events, labels) {
  const place = new Map(labels.map((label, i) => [label, i]));
  return events.sort((a, b) => a.onset - b.onset || place.get(a.label) - place.get(b.label));
}
