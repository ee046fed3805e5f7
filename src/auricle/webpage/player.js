// SPDX-License-Identifier: Apache-2.0
// Plays parts of recordings that are on a server, piece by piece: a day of sound takes no memory.

const PIECE_S = 30;
const KEPT = 40;

export class Player {
  // fetchSound(recording, from, to) -> promise of a Blob. changed() after every change; failed(error).
  constructor(fetchSound, changed, failed) {
    Object.assign(this, { fetchSound, changed, failed });
    this.audio = new Audio();
    this.sounds = new Map(); // key -> promise of an address
    this.part = null; // {recording, from, to, stop, end}
    this.asked = 0;
    this.loading = false;
    for (const kind of ["play", "pause", "seeked"]) this.audio.addEventListener(kind, () => this.changed());
    this.audio.addEventListener("ended", () => this.continue());
  }

  get playing() {
    return this.part !== null && (this.loading || (!this.audio.paused && !this.audio.ended));
  }

  // Seconds in the recording that is played.
  get time() {
    return this.part && this.part.from + (this.loading ? 0 : this.audio.currentTime);
  }

  address(recording, from, to) {
    const key = `${recording}/${from.toFixed(3)}/${to.toFixed(3)}`;
    if (!this.sounds.has(key)) {
      this.sounds.set(key, this.fetchSound(recording, from, to).then((blob) => URL.createObjectURL(blob)));
      this.sounds.get(key).catch(() => this.sounds.delete(key));
      if (this.sounds.size > KEPT) {
        const [oldest, address] = this.sounds.entries().next().value;
        this.sounds.delete(oldest);
        address.then((url) => URL.revokeObjectURL(url), () => {});
      }
    }
    return this.sounds.get(key);
  }

  // So that it plays at once when it is wanted.
  prepare(recording, from, to) {
    this.address(recording, from, Math.min(to, from + PIECE_S)).catch(() => {});
  }

  // Play until `stop` (seconds in the recording); `end` is the length of the recording.
  async play(recording, from, stop, end = stop) {
    const turn = ++this.asked, to = Math.min(stop, from + PIECE_S);
    this.audio.pause();
    this.part = { recording, from, to, stop, end };
    this.loading = true;
    this.changed();
    try {
      const address = await this.address(recording, from, to);
      if (turn !== this.asked) return;
      this.audio.src = address;
      await this.audio.play();
      if (turn === this.asked) this.loading = false;
      if (to < stop) this.prepare(recording, to, stop);
    } catch (error) {
      if (turn !== this.asked || error.name === "AbortError") return;
      this.stop();
      if (error.name !== "NotAllowedError") this.failed(error); // else: nothing has been pressed on this page yet
    }
    this.changed();
  }

  continue() {
    const { recording, to, stop, end } = this.part;
    if (to < stop - 0.01) this.play(recording, to, stop, end);
    else this.stop();
  }

  stop() {
    this.asked++;
    this.audio.pause();
    this.part = null;
    this.loading = false;
    this.changed();
  }
}
