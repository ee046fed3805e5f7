// SPDX-License-Identifier: Apache-2.0
// The microphone as a stream to the server, and what the server says to it.

import { MicrophoneSession } from "./microphone.js";
import { addressOf } from "./server.js";

const LATENCY_S = 4; // that is asked for: models that can be quicker than their windows answer within it
const MOST_WAITING_S = 5; // of sound that the network has not taken yet; more becomes a gap

export class Live extends MicrophoneSession {
  constructor(on) {
    super(on);
    this.droppedS = 0;
  }

  // The server comes first: whoever it refuses is not asked for the microphone in vain.
  async start(model, token) {
    await this.prepare();
    const ready = await this.connect(model, token);
    await this.ask();
    if (this.socket.readyState !== WebSocket.OPEN) throw new Error("The connection to the server was lost.");
    this.on.ready(ready);
    this.open((block) => this.send(block), () => this.stop());
  }

  connect(model, token) {
    const protocols = token ? ["auricle", `auricle.token.${token}`] : ["auricle"];
    this.socket = new WebSocket(addressOf("v1/stream").replace(/^http/, "ws"), protocols);
    return new Promise((resolve, reject) => {
      const hello = { model, sample_rate: this.rate, format: "s16le", latency_s: LATENCY_S };
      this.socket.onopen = () => this.socket.send(JSON.stringify(hello));
      this.socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.ready) resolve(message.ready);
        else this.on.message(message);
      };
      this.socket.onclose = ({ code, reason }) => {
        const text = reason || "The connection to the server was lost.";
        reject(new Error(text));
        const started = Boolean(this.worklet);
        this.release();
        if (!started) return;
        if (code !== 1000) this.on.problem(text);
        this.on.end();
      };
    });
  }

  send(block) {
    this.on.block(block);
    const samples = Int16Array.from(block, (x) => Math.round(32767 * Math.max(-1, Math.min(1, x))));
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > 2 * this.rate * MOST_WAITING_S) {
      this.droppedS += block.length / this.rate;
      return;
    }
    if (this.droppedS) {
      this.socket.send(JSON.stringify({ gap_s: this.droppedS }));
      this.droppedS = 0;
    }
    this.socket.send(samples);
  }

  // What is still to be scored arrives before the end.
  stop() {
    this.release();
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ end: true }));
  }

  // Ends a session that came to nothing.
  abandon() {
    this.release();
    if (this.socket) {
      this.socket.onclose = null;
      this.socket.close();
    }
  }
}
