// SPDX-License-Identifier: Apache-2.0
// Runs beside the sound card: hands every block of the microphone, mixed down, to the page.
class Recorder extends AudioWorkletProcessor {
  process([channels]) {
    if (channels.length === 0) return true;
    const mono = new Float32Array(channels[0].length);
    for (const channel of channels) channel.forEach((x, i) => (mono[i] += x / channels.length));
    this.port.postMessage(mono, [mono.buffer]);
    return true;
  }
}
registerProcessor("recorder", Recorder);
