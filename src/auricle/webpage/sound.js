// SPDX-License-Identifier: Apache-2.0
// Sound to draw: samples of a decoded recording, of the microphone, or of a WAV file of any length that stays on disk.
// All have: rate, length (samples), read(start, count) -> Float32Array or a promise of one, and onDisk.

export const VIEW_RATE = 16000;
const LONGEST_DECODED_S = 2 * 3600; // the browser decodes a recording as a whole, into memory
const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const WAV_BITS = new Set([8, 16, 24, 32]);

const MOST_KEPT_S = 1200; // of a sound without an end

// Samples in memory; `push` adds some. Of a long sound, what came first is let go.
export class MemorySound {
  constructor(rate, samples = new Float32Array(0)) {
    this.rate = rate;
    this.samples = samples;
    this.first = 0; // samples before it were let go
    this.length = samples.length;
    this.onDisk = false;
    this.grows = false;
  }

  get seconds() {
    return this.length / this.rate;
  }

  push(block) {
    this.grows = true;
    const held = this.length - this.first;
    if (held + block.length > this.samples.length) {
      const kept = held > MOST_KEPT_S * this.rate ? this.samples.subarray(held >> 1, held) : this.samples.subarray(0, held);
      this.first = this.length - kept.length;
      const larger = new Float32Array(kept.length * 2 + block.length);
      larger.set(kept);
      this.samples = larger;
    }
    this.samples.set(block, this.length - this.first);
    this.length += block.length;
  }

  read(start, count) {
    const from = start - this.first, held = this.length - this.first;
    if (from >= 0 && from + count <= held) return this.samples.subarray(from, from + count);
    const part = new Float32Array(count);
    const first = Math.max(0, from), last = Math.min(held, from + count);
    if (first < last) part.set(this.samples.subarray(first, last), first - from);
    return part;
  }

  // All of it; null where some was let go.
  whole() {
    return this.first ? null : this.samples.subarray(0, this.length);
  }
}

// Plain samples of a WAV file, read where they are needed: a day of sound takes no memory.
class WavSound {
  constructor(file, { rate, channels, bits, float, at, bytes }) {
    Object.assign(this, { file, rate, channels, bits, float, at, onDisk: true });
    this.frame = (channels * bits) / 8;
    this.length = Math.floor(bytes / this.frame);
  }

  get seconds() {
    return this.length / this.rate;
  }

  async read(start, count) {
    const first = Math.max(0, start), last = Math.min(this.length, start + count);
    const part = new Float32Array(count);
    if (last <= first) return part;
    const from = this.at + first * this.frame;
    const bytes = await this.file.slice(from, from + (last - first) * this.frame).arrayBuffer();
    if (this.bits === 16 && this.channels === 1 && LITTLE_ENDIAN) {
      const whole = new Int16Array(bytes, 0, bytes.byteLength >> 1);
      for (let i = 0; i < whole.length; i++) part[first - start + i] = whole[i] / 32768;
      return part;
    }
    const view = new DataView(bytes), width = this.bits / 8, frames = Math.floor(view.byteLength / this.frame);
    for (let i = 0; i < frames; i++) {
      let sum = 0;
      for (let c = 0; c < this.channels; c++) sum += this.value(view, i * this.frame + c * width);
      part[first - start + i] = sum / this.channels;
    }
    return part;
  }

  value(view, at) {
    if (this.float) return view.getFloat32(at, true);
    if (this.bits === 16) return view.getInt16(at, true) / 32768;
    if (this.bits === 8) return (view.getUint8(at) - 128) / 128;
    if (this.bits === 32) return view.getInt32(at, true) / 2147483648;
    return ((view.getInt8(at + 2) << 16) | view.getUint16(at, true)) / 8388608;
  }
}

// The header of a plain WAV file; null for anything else.
async function readWavHeader(file) {
  const view = new DataView(await file.slice(0, 65536).arrayBuffer());
  const word = (at) => String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));
  if (view.byteLength < 44 || word(0) !== "RIFF" || word(8) !== "WAVE") return null;
  let form = null;
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const name = word(at), size = view.getUint32(at + 4, true);
    if (name === "fmt " && at + 24 <= view.byteLength) {
      const kind = view.getUint16(at + 8, true), tag = kind === 0xfffe && size >= 40 ? view.getUint16(at + 32, true) : kind;
      const [channels, rate, bits] = [view.getUint16(at + 10, true), view.getUint32(at + 12, true), view.getUint16(at + 22, true)];
      const known = (tag === 1 && WAV_BITS.has(bits)) || (tag === 3 && bits === 32);
      if (!known || !channels || !rate) return null;
      form = { rate, channels, bits, float: tag === 3 };
    } else if (name === "data") {
      return form && { ...form, at: at + 8, bytes: Math.min(size, file.size - at - 8) };
    }
    at += 8 + size + (size % 2);
  }
  return null;
}

// Decode any format that this browser knows, mixed down to mono, at a rate; the browser resamples.
export async function decodeSound(buffer, rate) {
  const audio = await new OfflineAudioContext(1, 1, rate).decodeAudioData(buffer);
  if (audio.numberOfChannels === 1) return audio.getChannelData(0);
  const mono = new Float32Array(audio.length);
  for (let c = 0; c < audio.numberOfChannels; c++) audio.getChannelData(c).forEach((x, i) => (mono[i] += x));
  return mono.map((x) => x / audio.numberOfChannels);
}

// A file as sound to draw; raises where this browser cannot.
export async function openSound(file, seconds) {
  const header = await readWavHeader(file);
  if (header) return new WavSound(file, header);
  if (seconds > LONGEST_DECODED_S) throw new Error("The browser draws recordings of more than two hours only from WAV files; scores and events are complete.");
  try {
    return new MemorySound(VIEW_RATE, await decodeSound(await file.arrayBuffer(), VIEW_RATE));
  } catch {
    throw new Error("The browser cannot draw or play this format; the scores are complete.");
  }
}

// Samples of -1 to 1 as a WAV file of 16 bits.
export function encodeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  const bytes = 2 * samples.length;
  text(0, "RIFF");
  view.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  [16, 1 | (1 << 16), rate, 2 * rate, 2 | (16 << 16)].forEach((value, i) => view.setUint32(16 + 4 * i, value, true));
  text(36, "data");
  view.setUint32(40, bytes, true);
  const whole = Int16Array.from(samples, (x) => Math.round(32767 * Math.max(-1, Math.min(1, x))));
  return new Blob([view, whole], { type: "audio/wav" });
}
