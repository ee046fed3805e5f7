// SPDX-License-Identifier: Apache-2.0
// The spectrogram and the waveform as tiles that a server computes: a day of sound is there at once.

import { COLOURS, RANGE_DB, REST_MS, ROWS, TILE, Tiles, FINEST_S, breathe } from "./picture.js";

const QUIETEST_DB = -120; // of the byte 0; 255 is full scale
const LEAST_LOUD_DB = -60;
const TRIES = 3;
const AT_ONCE = 3;
const AGAIN_MS = 1500;

const dbOf = (byte) => QUIETEST_DB * (1 - byte / 255);

// Colours of bytes, as the words of an image, where a loudness is the brightest.
function paletteOf(loudest) {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    const share = (dbOf(byte) - loudest) / RANGE_DB + 1;
    const [red, green, blue] = COLOURS[Math.round(255 * Math.min(1, Math.max(0, share)))];
    return (255 << 24) | (blue << 16) | (green << 8) | red;
  });
}

// Silence stays dark.
export const loudestOf = (levels) => Math.max(LEAST_LOUD_DB, dbOf(levels.reduce((most, byte) => Math.max(most, byte), 0)));

// Draws bytes into a canvas of their size.
export function paintLevels(canvas, levels, width, rows, loudest) {
  if (canvas.width !== width || canvas.height !== rows) Object.assign(canvas, { width, height: rows });
  const pen = canvas.getContext("2d"), pixels = pen.createImageData(width, rows), palette = paletteOf(loudest);
  const words = new Uint32Array(pixels.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = palette[levels[i]];
  pen.putImageData(pixels, 0, 0);
}

export class ServerPicture extends Tiles {
  // fetchTile(from, to, width) -> promise of {levels, peaks}; failed(error) is told of what could not be had.
  constructor(seconds, fetchTile, onTile, failed) {
    super(seconds, onTile);
    this.fetchTile = fetchTile;
    this.failed = failed;
    this.coming = new Set();
    this.tries = new Map();
    this.resting = false;
  }

  isMaking(key) {
    return this.coming.has(key) || (this.tries.get(key) ?? 0) >= TRIES;
  }

  // While the view moves, what is there has to do.
  async work() {
    if (this.resting) return;
    this.resting = true;
    await breathe();
    while (!this.closed && this.tiles.size && performance.now() - this.movedAt < REST_MS) await breathe(REST_MS / 3);
    this.resting = false;
    while (!this.closed && this.coming.size < AT_ONCE && this.wanted.length) this.load(this.wanted.shift());
  }

  async load({ level, index }) {
    const key = `${level}/${index}`, tileS = TILE * FINEST_S * 2 ** level;
    this.coming.add(key);
    try {
      const { levels, peaks } = await this.fetchTile(index * tileS, (index + 1) * tileS, TILE);
      this.coming.delete(key);
      if (!this.closed) this.keep(this.tileOf(level, index, levels, peaks));
    } catch (error) {
      this.coming.delete(key);
      this.tries.set(key, (this.tries.get(key) ?? 0) + 1);
      if (this.closed) return;
      this.failed(error);
      setTimeout(() => this.closed || this.onTile(), AGAIN_MS);
    }
    if (this.wanted.length) this.work();
  }

  tileOf(level, index, levels, peaks) {
    const columnS = FINEST_S * 2 ** level;
    const done = Math.max(1, Math.min(TILE, Math.ceil(this.seconds / columnS) - index * TILE));
    const tile = { level, index, levels, done, whole: true, low: new Float32Array(TILE), high: new Float32Array(TILE), highest: 0, colouredFor: NaN };
    for (let column = 0; column < TILE; column++) {
      tile.low[column] = peaks[2 * column] / 127;
      tile.high[column] = peaks[2 * column + 1] / 127;
      tile.highest = Math.max(tile.highest, tile.high[column], -tile.low[column]);
    }
    this.loudest = Math.max(this.loudest, loudestOf(levels));
    return tile;
  }

  // The tiles of the whole recording stay, so that there is always something to draw.
  keep(tile) {
    super.keep(tile);
    const [first] = this.tiles;
    if (first && first[1].level > 0 && TILE * FINEST_S * 2 ** first[1].level * 8 >= this.seconds) {
      this.tiles.delete(first[0]);
      this.tiles.set(...first);
    }
  }

  // In colours; again where a louder place was found since.
  imageOf(tile) {
    if (tile.image && Math.abs(tile.colouredFor - this.loudest) < 1) return tile.image;
    tile.image ??= document.createElement("canvas");
    paintLevels(tile.image, tile.levels, TILE, ROWS, this.loudest);
    tile.colouredFor = this.loudest;
    return tile.image;
  }
}
