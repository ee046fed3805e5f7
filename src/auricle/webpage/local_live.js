// SPDX-License-Identifier: Apache-2.0
// The microphone, scored in this browser as it goes: the last window, every half second or as fast as the machine can.

import { runWindow } from "./engine.js";
import { MicrophoneSession } from "./microphone.js";
import { aggregate, calibrate, windowSamples } from "./rules.js";

const STEP_S = 0.5;
const LONGEST_S = 5; // what a network that takes any length is given

// Bring samples to another rate.
async function resample(samples, rate, wanted) {
  if (rate === wanted) return samples;
  const context = new OfflineAudioContext(1, Math.round((samples.length * wanted) / rate), wanted);
  const buffer = context.createBuffer(1, samples.length, rate);
  buffer.copyToChannel(samples, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return (await context.startRendering()).getChannelData(0);
}

export class LocalLive extends MicrophoneSession {
  constructor(on, model) {
    super(on);
    this.model = model;
    this.begun = new Map(); // label -> {onset, score}
    this.busy = false;
  }

  async start() {
    const { spec } = this.model;
    await this.prepare();
    await this.ask();
    this.on.ready({ labels: spec.labels, thresholds: spec.labels.map((label) => spec.thresholds[label]), latency_s: STEP_S });
    const size = spec.margin_s ? LONGEST_S * spec.sample_rate : windowSamples(spec);
    this.window = size;
    this.kept = new Float32Array(Math.ceil((size * this.rate) / spec.sample_rate));
    this.total = 0;
    this.due = STEP_S * this.rate;
    this.open((block) => this.take(block), () => this.stop());
  }

  async take(block) {
    this.on.block(block);
    this.kept.copyWithin(0, block.length);
    this.kept.set(block, this.kept.length - block.length);
    this.total += block.length;
    if (this.total < this.due || this.busy) return; // a slow machine skips, and never falls behind
    this.due = this.total + STEP_S * this.rate;
    this.busy = true;
    const end = this.total / this.rate;
    try {
      await this.score(end);
    } catch (error) {
      this.on.problem(error.message);
      this.stop();
    } finally {
      this.busy = false;
    }
  }

  async score(end) {
    const { spec } = this.model, width = spec.labels.length;
    const samples = (await resample(this.kept.slice(), this.rate, spec.sample_rate)).slice(0, this.window);
    const { clip, frames } = await runWindow(this.model, samples);
    let scores = calibrate(aggregate([clip], spec), spec);
    if (frames) {
      const rows = frames.length / width, first = Math.max(0, rows - Math.ceil((STEP_S * spec.sample_rate) / spec.frames.hop_samples));
      scores = spec.labels.map((_, k) => {
        let most = 0;
        for (let i = first; i < rows; i++) most = Math.max(most, frames[i * width + k]);
        return most;
      });
    }
    if (!this.worklet.port.onmessage) return; // stopped meanwhile
    this.on.message({ times: [end - STEP_S / 2], scores: [scores] });
    spec.labels.forEach((label, k) => this.follow(label, scores[k], end));
  }

  follow(label, score, end) {
    const { thresholds, postprocess } = this.model.spec, begun = this.begun.get(label);
    const on = thresholds[label], off = on * (postprocess.off_ratios?.[label] ?? postprocess.off_ratio);
    if (!begun && score >= on) {
      this.begun.set(label, { onset: Math.max(0, end - STEP_S), score });
      this.on.message({ label, onset: Math.max(0, end - STEP_S) });
    } else if (begun && score >= off) {
      begun.score = Math.max(begun.score, score);
    } else if (begun) {
      this.close(label, end - STEP_S);
    }
  }

  close(label, offset) {
    const { onset, score } = this.begun.get(label);
    this.begun.delete(label);
    this.on.message({ label, onset, offset: Math.max(offset, onset), score });
  }

  stop() {
    this.release();
    for (const label of [...this.begun.keys()]) this.close(label, this.total / this.rate);
    this.on.end();
  }

  abandon() {
    this.release();
  }
}
