// SPDX-License-Identifier: Apache-2.0
// Samples to a picture: time to the right, pitch upwards on the mel scale, louder is brighter.
// It takes samples in blocks, so that a file and a microphone go the same way.

export const ROWS = 120;
const WINDOW_S = 0.05;
const LOWEST_HZ = 40;
const RANGE_DB = 70;
const LOUDNESS = [[4, 2, 14], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191]];

const toMel = (hz) => 2595 * Math.log10(1 + hz / 700);
const toHz = (mel) => 700 * (10 ** (mel / 2595) - 1);

export const COLOURS = Array.from({ length: 256 }, (_, i) => {
  const place = (i / 255) * (LOUDNESS.length - 1);
  const low = Math.min(Math.floor(place), LOUDNESS.length - 2);
  return LOUDNESS[low].map((c, k) => Math.round(c + (LOUDNESS[low + 1][k] - c) * (place - low)));
});

// In-place FFT of a power of two: Cooley and Tukey (1965), decimation in time.
class Fft {
  constructor(size) {
    this.size = size;
    this.cos = Float32Array.from({ length: size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.sin = Float32Array.from({ length: size / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / size));
    const bits = Math.log2(size);
    this.order = Uint32Array.from({ length: size }, (_, i) => {
      let reversed = 0;
      for (let b = 0; b < bits; b++) reversed |= ((i >> b) & 1) << (bits - 1 - b);
      return reversed;
    });
    this.re = new Float32Array(size);
    this.im = new Float32Array(size);
  }

  power(input, into) {
    const { re, im, order, size, cos, sin } = this;
    for (let i = 0; i < size; i++) re[i] = input[order[i]];
    im.fill(0);
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const a = start + k;
          const b = a + half;
          const c = cos[k * stride];
          const s = sin[k * stride];
          const tr = re[b] * c + im[b] * s;
          const ti = im[b] * c - re[b] * s;
          re[b] = re[a] - tr;
          im[b] = im[a] - ti;
          re[a] += tr;
          im[a] += ti;
        }
      }
    }
    for (let k = 0; k <= size / 2; k++) into[k] = re[k] * re[k] + im[k] * im[k];
  }
}

export class Spectrogram {
  // columnS: seconds of a column; it holds the loudest window inside.
  constructor(rate, columnS) {
    this.rate = rate;
    this.window = 2 * Math.round((WINDOW_S * rate) / 2);
    this.fft = new Fft(2 ** Math.ceil(Math.log2(this.window)));
    this.hann = Float32Array.from({ length: this.window }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / this.window));
    this.columnSamples = columnS * rate;
    this.hop = Math.max(1, Math.min(this.window, Math.ceil(this.columnSamples / 2)));
    this.frame = new Float32Array(this.fft.size);
    this.spectrum = new Float32Array(this.fft.size / 2 + 1);
    this.rows = this.triangles();
    this.kept = new Float32Array(0);
    this.keptAt = 0;
    this.columns = []; // Float32Array of ROWS decibels, lowest pitch first
    this.peaks = []; // [lowest, highest] sample
    this.loudest = -60;
  }

  get seconds() {
    return (this.keptAt + this.kept.length) / this.rate;
  }

  triangles() {
    const low = toMel(LOWEST_HZ);
    const high = toMel(this.rate / 2);
    const centre = (r) => toHz(low + ((high - low) * r) / (ROWS - 1));
    const binHz = this.rate / this.fft.size;
    return Array.from({ length: ROWS }, (_, r) => {
      const width = Math.max(centre(Math.min(r + 1, ROWS - 1)) - centre(Math.max(r - 1, 0)), 2 * binHz) / 2;
      const first = Math.max(0, Math.ceil((centre(r) - width) / binHz));
      const last = Math.min(this.fft.size / 2, Math.floor((centre(r) + width) / binHz));
      const weights = [];
      for (let k = first; k <= last; k++) weights.push(Math.max(1e-3, 1 - Math.abs(k * binHz - centre(r)) / width));
      const sum = weights.reduce((a, b) => a + b, 0);
      return { first, weights: weights.map((w) => w / sum) };
    });
  }

  push(samples) {
    this.note(samples, this.keptAt + this.kept.length);
    const all = new Float32Array(this.kept.length + samples.length);
    all.set(this.kept);
    all.set(samples, this.kept.length);
    let start = 0;
    for (; start + this.window <= all.length; start += this.hop) this.look(all, start);
    this.kept = all.slice(start);
    this.keptAt += start;
  }

  note(samples, at) {
    for (let i = 0; i < samples.length; i++) {
      const column = Math.floor((at + i) / this.columnSamples);
      const peak = (this.peaks[column] ??= [0, 0]);
      if (samples[i] < peak[0]) peak[0] = samples[i];
      else if (samples[i] > peak[1]) peak[1] = samples[i];
    }
  }

  look(all, start) {
    for (let i = 0; i < this.window; i++) this.frame[i] = all[start + i] * this.hann[i];
    this.fft.power(this.frame, this.spectrum);
    const column = Math.floor((this.keptAt + start + this.window / 2) / this.columnSamples);
    const rows = (this.columns[column] ??= new Float32Array(ROWS).fill(-200));
    this.rows.forEach(({ first, weights }, r) => {
      let sum = 1e-12;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * this.spectrum[first + k];
      const db = 10 * Math.log10(sum);
      if (db > rows[r]) rows[r] = db;
      if (db > this.loudest) this.loudest = db;
    });
  }

  // Draws the columns [first, last) over the whole canvas.
  draw(canvas, first, last) {
    const width = Math.max(1, last - first);
    canvas.width = width;
    canvas.height = ROWS;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, ROWS);
    for (let x = 0; x < width; x++) {
      const rows = this.columns[first + x] ?? this.columns[first + x - 1];
      for (let r = 0; r < ROWS; r++) {
        const share = rows ? (rows[r] - this.loudest) / RANGE_DB + 1 : 0;
        const colour = COLOURS[Math.round(255 * Math.min(1, Math.max(0, share)))];
        image.data.set([...colour, 255], 4 * ((ROWS - 1 - r) * width + x));
      }
    }
    context.putImageData(image, 0, 0);
  }

  drawWave(canvas, first, last, colour) {
    const width = Math.max(1, last - first);
    canvas.width = width;
    canvas.height = 100;
    const context = canvas.getContext("2d");
    context.fillStyle = colour;
    const highest = Math.max(0.05, ...this.peaks.slice(first, last).map((p) => (p ? Math.max(p[1], -p[0]) : 0)));
    for (let x = 0; x < width; x++) {
      const [low, high] = this.peaks[first + x] ?? [0, 0];
      const top = 50 - (46 * high) / highest;
      context.fillRect(x, top, 1, Math.max(1, 50 - (46 * low) / highest - top));
    }
  }
}
