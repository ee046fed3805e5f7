// SPDX-License-Identifier: Apache-2.0
// The microphone, in blocks of a twentieth of a second.

const PLAIN = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

// What sessions with a microphone share: `prepare`, then `open`, then `release`.
export class MicrophoneSession {
  // on: {ready, block, message, problem, end}
  constructor(on) {
    this.on = on;
  }

  async prepare() {
    if (!navigator.mediaDevices) throw new Error("The browser gives the microphone only to pages on localhost or over https.");
    this.context = new AudioContext();
    this.rate = this.context.sampleRate;
    await this.context.audioWorklet.addModule(new URL("./capture.js", import.meta.url));
  }

  async ask() {
    this.media = await navigator.mediaDevices.getUserMedia({ audio: PLAIN });
  }

  // `take` is called with each block, `lost` when the microphone goes away.
  open(take, lost) {
    this.worklet = new AudioWorkletNode(this.context, "capture", { numberOfOutputs: 0 });
    this.worklet.port.onmessage = ({ data }) => take(data);
    this.context.createMediaStreamSource(this.media).connect(this.worklet);
    this.media.getAudioTracks()[0].addEventListener("ended", lost);
  }

  release() {
    this.media?.getTracks().forEach((track) => track.stop());
    if (this.context && this.context.state !== "closed") this.context.close();
    if (this.worklet) this.worklet.port.onmessage = null;
  }
}
