// SPDX-License-Identifier: Apache-2.0
// The spectrogram and the waveform as tiles, made when they are looked at and a few milliseconds at a time: hours of
// sound never freeze the tab. Pitch upwards on the mel scale, louder is brighter.

export const ROWS = 120;
export const TILE = 256; // columns
export const FINEST_S = 0.004; // seconds of a column of the finest tiles; each level doubles it
const MOST_COARSER = 14; // levels that are looked for what they know of a place
const MOST_FINER = 3;
const WINDOW_S = 0.05;
const LOWEST_HZ = 40;
export const RANGE_DB = 70;
const MOST_LOOKS = 4; // windows that a column is made of
const MOST_READ = 1 << 21; // samples of a file on disk at once
const COARSE_S = 10; // columns of a file on disk that are longer are made of one window, and twice as wide
const READ_AT_ONCE = 64; // columns
const SLICE_MS = 7; // of work before the page may do something else
export const REST_MS = 60; // without movement before tiles are made
const KEPT_TILES = 160;
const TICKS_HZ = [100, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000];
const LEAST_APART = 0.065; // of the usual height: closer labels would overlap
const LOUDNESS = [[4, 2, 14], [28, 16, 68], [79, 18, 123], [129, 37, 129], [181, 54, 122], [229, 80, 100], [251, 135, 97], [254, 194, 135], [252, 253, 191]];

// A colour such as #0f5d73 as a word of an image.
const wordOf = (colour) => {
  const rgb = parseInt(colour.trim().slice(1), 16);
  return ((255 << 24) | ((rgb & 255) << 16) | (rgb & 0xff00) | (rgb >> 16)) >>> 0;
};

const toMel = (hz) => 2595 * Math.log10(1 + hz / 700);
const toHz = (mel) => 700 * (10 ** (mel / 2595) - 1);

export const COLOURS = Array.from({ length: 256 }, (_, i) => {
  const place = (i / 255) * (LOUDNESS.length - 1);
  const low = Math.min(Math.floor(place), LOUDNESS.length - 2);
  return LOUDNESS[low].map((c, k) => Math.round(c + (LOUDNESS[low + 1][k] - c) * (place - low)));
});

// Where the axis of pitch is labelled: {text, share of the height}.
export function pitchTicks(rate, apart = LEAST_APART) {
  const low = toMel(LOWEST_HZ), high = toMel(rate / 2);
  const ticks = [];
  for (const hz of TICKS_HZ.filter((tick) => tick < 0.9 * (rate / 2) || tick === rate / 2).reverse()) {
    const share = (toMel(hz) - low) / (high - low);
    if (ticks.length && ticks.at(-1).share - share < apart) continue;
    ticks.push({ text: hz < 1000 ? `${hz / 1000}` : `${hz / 1000} kHz`, share });
  }
  return ticks.reverse();
}

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
          const a = start + k, b = a + half;
          const c = cos[k * stride], s = sin[k * stride];
          const tr = re[b] * c + im[b] * s, ti = im[b] * c - re[b] * s;
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

export const breathe = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

// Tiles of a sound and how they are drawn: what is not there yet is asked for, and drawn from coarser or finer ones.
// A tile is {level, index, done: columns, whole, low, high, highest}; a subclass makes them and their images.
export class Tiles {
  // onTile is called when a tile is there that was asked for.
  constructor(seconds, onTile) {
    this.seconds = seconds;
    this.onTile = onTile;
    this.tiles = new Map();
    this.wanted = [];
    this.closed = false;
    this.loudest = -60;
  }

  close() {
    this.closed = true;
    this.wanted = [];
  }

  // The level whose columns are about a pixel wide.
  levelOf(secondsOfPixel) {
    return Math.max(0, Math.ceil(Math.log2(secondsOfPixel / FINEST_S) - 0.5));
  }

  isStale() {
    return false;
  }

  isMaking() {
    return false;
  }

  keep(tile) {
    const key = `${tile.level}/${tile.index}`;
    this.tiles.delete(key);
    this.tiles.set(key, tile);
    if (this.tiles.size > KEPT_TILES) this.tiles.delete(this.tiles.keys().next().value);
    this.onTile();
  }

  // Draw the picture and the waveform of a span; tiles that are not there yet are asked for.
  // Colours: of the waveform, and of what is not known yet or will never be, which is no silence.
  draw(picture, wave, from, to, colours) {
    if (from !== this.from || to !== this.to) Object.assign(this, { from, to, movedAt: performance.now() });
    const level = this.levelOf((to - from) / Math.max(1, picture.width)), tileS = TILE * FINEST_S * 2 ** level;
    const first = Math.max(0, Math.floor(from / tileS));
    const last = Math.min(Math.floor(to / tileS), Math.floor((this.seconds - 1e-9) / tileS));
    const pen = picture.getContext("2d"), line = wave.getContext("2d");
    pen.fillStyle = colours.unknown;
    pen.fillRect(0, 0, picture.width, picture.height);
    // The waveform is written as pixels, which takes a fraction of the time of a thousand rectangles.
    const image = this.imageFor(wave), words = new Uint32Array(image.data.buffer), ink = wordOf(colours.wave);
    this.wanted = [];
    const parts = [];
    for (let index = first; index <= last; index++) {
      const key = `${level}/${index}`, tile = this.tiles.get(key);
      if (!this.isMaking(key) && (!tile || this.isStale(tile))) this.wanted.push({ level, index });
      if (!tile?.whole) parts.push(...this.standIns(level, index, (tile?.done ?? 0) / TILE));
      if (tile) parts.push({ tile, begin: 0, end: tile.done });
    }
    const highest = parts.reduce((most, { tile }) => Math.max(most, tile.highest), 0.05);
    for (const part of parts) this.drawPart(pen, picture, words, wave, ink, part, from, to, highest);
    line.putImageData(image, 0, 0);
    if (this.wanted.length) this.work();
  }

  // Pixels of a canvas without colour, the same for as long as it has its size.
  imageFor({ width, height }) {
    if (this.image?.width !== width || this.image.height !== height) this.image = new ImageData(width, height);
    else this.image.data.fill(0);
    return this.image;
  }

  // What a coarser tile, or else finer ones, know of a place behind a share of it.
  standIns(level, index, share) {
    for (let up = 1; up < MOST_COARSER; up++) {
      const tile = this.tiles.get(`${level + up}/${Math.floor(index / 2 ** up)}`);
      if (!tile) continue;
      const width = TILE / 2 ** up, start = width * (index % 2 ** up);
      const begin = start + share * width, end = Math.min(tile.done, start + width);
      return begin < end ? [{ tile, begin, end }] : [];
    }
    for (let down = 1; down <= Math.min(level, MOST_FINER); down++) {
      const finer = Array.from({ length: 2 ** down }, (_, i) => this.tiles.get(`${level - down}/${index * 2 ** down + i}`));
      const found = finer.filter(Boolean).map((tile) => ({ tile, begin: 0, end: tile.done }));
      if (found.length) return found;
    }
    return [];
  }

  // Columns from `begin` to `end` of a tile, also parts of columns.
  drawPart(pen, picture, words, wave, ink, { tile, begin, end }, from, to, highest) {
    const columnS = FINEST_S * 2 ** tile.level, scale = picture.width / (to - from);
    const x = (column) => ((tile.index * TILE + column) * columnS - from) * scale;
    const left = x(begin), right = x(end), wide = columnS * scale;
    if (right <= 0 || left >= picture.width) return;
    pen.imageSmoothingEnabled = wide < 2;
    pen.drawImage(this.imageOf(tile), begin, 0, end - begin, ROWS, left, 0, right - left, picture.height);
    const middle = wave.height / 2, tall = (0.92 * middle) / highest;
    const step = Math.max(1, Math.floor(1 / wide)); // columns of a pixel
    for (let column = Math.max(Math.floor(begin), Math.floor(begin - left / wide)); column < end; column += step) {
      const start = Math.max(left, x(column));
      if (start >= wave.width) break;
      let low = tile.low[column], high = tile.high[column];
      for (let next = column + 1; next < Math.min(column + step, end); next++) {
        if (tile.low[next] < low) low = tile.low[next];
        if (tile.high[next] > high) high = tile.high[next];
      }
      const first = Math.max(0, Math.round(start)), stop = Math.min(wave.width, Math.max(first + 1, Math.round(Math.min(right, x(column + step)))));
      const top = Math.max(0, Math.round(middle - tall * high)), bottom = Math.min(wave.height, Math.max(top + 1, Math.round(middle - tall * low)));
      for (let y = top; y < bottom; y++) words.fill(ink, y * wave.width + first, y * wave.width + stop);
    }
  }
}

// Tiles that are computed here, from the samples.
export class Picture extends Tiles {
  constructor(sound, onTile) {
    super(sound.seconds, onTile);
    this.sound = sound;
    this.window = 2 * Math.round((WINDOW_S * sound.rate) / 2);
    this.fft = new Fft(2 ** Math.ceil(Math.log2(this.window)));
    this.hann = Float32Array.from({ length: this.window }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / this.window));
    this.frame = new Float32Array(this.fft.size);
    this.spectrum = new Float32Array(this.fft.size / 2 + 1);
    this.rows = this.triangles();
    this.busy = false;
    this.making = null;
  }

  triangles() {
    const low = toMel(LOWEST_HZ), high = toMel(this.sound.rate / 2);
    const centre = (r) => toHz(low + ((high - low) * r) / (ROWS - 1));
    const binHz = this.sound.rate / this.fft.size;
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

  levelOf(secondsOfPixel) {
    const level = super.levelOf(secondsOfPixel);
    return this.sound.onDisk && FINEST_S * 2 ** level > COARSE_S ? level + 1 : level; // reading takes its time
  }

  draw(...where) {
    this.seconds = this.sound.seconds; // a microphone's grow
    super.draw(...where);
  }

  isMaking(key) {
    return key === this.making;
  }

  isStale(tile) {
    return !tile.whole || (tile.length < this.sound.length && tile.length < tile.stop);
  }

  // A tile in colours; again where a louder place was found since.
  imageOf(tile) {
    if (tile.image && Math.abs(tile.colouredFor - this.loudest) < 1) return tile.image;
    tile.image ??= Object.assign(document.createElement("canvas"), { width: TILE, height: ROWS });
    const context = tile.image.getContext("2d");
    const pixels = context.createImageData(TILE, ROWS);
    for (let column = 0; column < TILE; column++) {
      for (let r = 0; r < ROWS; r++) {
        const share = (tile.db[column * ROWS + r] - this.loudest) / RANGE_DB + 1;
        const [red, green, blue] = COLOURS[Math.round(255 * Math.min(1, Math.max(0, share)))];
        const at = 4 * ((ROWS - 1 - r) * TILE + column);
        pixels.data[at] = red;
        pixels.data[at + 1] = green;
        pixels.data[at + 2] = blue;
        pixels.data[at + 3] = 255;
      }
    }
    context.putImageData(pixels, 0, 0);
    tile.colouredFor = this.loudest;
    return tile.image;
  }

  // While the view moves, coarser tiles have to do: the time is for the movement.
  async rest() {
    await breathe();
    while (!this.closed && !this.sound.grows && this.tiles.size && performance.now() - this.movedAt < REST_MS) await breathe(REST_MS / 3);
  }

  // Make tiles until none is wanted; what is looked at now comes first.
  async work() {
    if (this.busy) return;
    this.busy = true;
    while (!this.closed && this.wanted.length) {
      await this.rest();
      if (this.closed || !this.wanted.length) break;
      const { level, index } = this.wanted.shift();
      const key = `${level}/${index}`, before = this.tiles.get(key);
      this.making = key;
      // A new tile is shown as it grows, a better one when it is whole.
      const tile = await this.make(level, index, before, before ? () => {} : (grown) => this.keep(grown));
      if (this.closed) break;
      this.making = null;
      this.keep(tile);
    }
    this.busy = false;
  }

  // Of a sound that has grown, what an earlier tile knows is taken over but for its last columns.
  async make(level, index, before, onGrowth) {
    const { sound, window } = this, columnSamples = FINEST_S * 2 ** level * sound.rate;
    const start = index * TILE * columnSamples, stop = start + TILE * columnSamples, length = sound.length;
    const columns = Math.max(1, Math.min(TILE, Math.ceil((length - start) / columnSamples)));
    const begin = before?.whole ? Math.max(0, before.done - 2) : 0;
    const tile = { level, index, stop, length, done: 0, whole: false, db: new Float32Array(TILE * ROWS).fill(-200), low: new Float32Array(TILE), high: new Float32Array(TILE), highest: 0 };
    if (begin) {
      tile.db.set(before.db.subarray(0, begin * ROWS));
      for (const name of ["low", "high"]) tile[name].set(before[name].subarray(0, begin));
      tile.highest = before.highest;
    }
    const wide = Math.max(1, Math.ceil(columnSamples / (window / 2)));
    // Of a file on disk, stretches are read as they are; of a long one, single windows, some at a time.
    const stretches = sound.onDisk && columnSamples <= MOST_READ / 16;
    const looks = sound.onDisk && !stretches ? 1 : Math.min(MOST_LOOKS, wide);
    const placeOf = (column, look) => Math.floor(start + (column + (look + 0.5) / looks) * columnSamples - window / 2);
    const atOnce = stretches ? Math.floor(MOST_READ / columnSamples) : READ_AT_ONCE;
    let read = [], stretch = null, origin = 0, since = performance.now();
    for (let column = begin; column < columns; column++) {
      const left = Math.min(atOnce, columns - column);
      if (stretches && (column - begin) % atOnce === 0) {
        origin = placeOf(column, 0);
        stretch = await sound.read(origin, Math.ceil(left * columnSamples) + window);
      } else if (sound.onDisk && !stretches && (column - begin) % atOnce === 0) {
        read = await Promise.all(Array.from({ length: left }, (_, i) => sound.read(placeOf(column + i, 0), window)));
      }
      for (let look = 0; look < looks; look++) {
        const at = placeOf(column, look);
        const part = stretches ? stretch.subarray(at - origin, at - origin + window) : sound.onDisk ? read[(column - begin) % atOnce] : sound.read(at, window);
        this.look(tile, column, part, columnSamples / looks);
      }
      tile.done = column + 1;
      if (performance.now() - since < SLICE_MS) continue;
      tile.colouredFor = NaN;
      onGrowth(tile);
      await this.rest();
      if (this.closed) return tile;
      since = performance.now();
    }
    tile.colouredFor = NaN;
    tile.whole = true;
    return tile;
  }

  look(tile, column, part, width) {
    const { window, hann, frame, spectrum } = this;
    for (let i = 0; i < window; i++) frame[i] = part[i] * hann[i];
    this.fft.power(frame, spectrum);
    for (let r = 0; r < ROWS; r++) {
      const { first, weights } = this.rows[r];
      let sum = 1e-12;
      for (let k = 0; k < weights.length; k++) sum += weights[k] * spectrum[first + k];
      const db = 10 * Math.log10(sum), place = column * ROWS + r;
      if (db > tile.db[place]) tile.db[place] = db;
      if (db > this.loudest) this.loudest = db;
    }
    // Of the window, the waveform takes what lies in the column.
    const half = Math.min(window, Math.ceil(width)) / 2;
    for (let i = Math.floor(window / 2 - half); i < window / 2 + half; i++) {
      const x = part[i];
      if (x < tile.low[column]) tile.low[column] = x;
      else if (x > tile.high[column]) tile.high[column] = x;
    }
    tile.highest = Math.max(tile.highest, tile.high[column], -tile.low[column]);
  }
}
