// SPDX-License-Identifier: Apache-2.0
// The microphone, scored as it goes: the last window, every half second or every hop, whichever is longer.
import { resample, runWindow } from "./engine.js";
import { aggregate, calibrate, windowSamples } from "./rules.js";

const OFTEN_S = 0.5;

// Start listening; `onScores` is called with the clip scores of the last window and its end in seconds. Returns a function
// that stops.
export async function listen(model, onScores) {
  const { spec } = model;
  const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: raw });
  const context = new AudioContext();
  await context.audioWorklet.addModule("recorder.js");
  const size = Math.ceil((windowSamples(spec) * context.sampleRate) / spec.sample_rate);
  const step = Math.max(OFTEN_S, Math.min(spec.hop_s, 1)) * context.sampleRate;
  let kept = new Float32Array(size), total = 0, due = step, busy = false;
  const node = new AudioWorkletNode(context, "recorder");
  node.port.onmessage = async ({ data }) => {
    kept.copyWithin(0, data.length);
    kept.set(data, size - data.length);
    total += data.length;
    if (total < due || busy) return; // a slow machine skips, and never falls behind
    due = total + step;
    busy = true;
    try {
      const window = (await resample(kept.slice(), context.sampleRate, spec)).slice(0, windowSamples(spec));
      const { clip } = await runWindow(model, window);
      onScores(calibrate(aggregate([clip], spec), spec), total / context.sampleRate);
    } finally {
      busy = false;
    }
  };
  context.createMediaStreamSource(stream).connect(node);
  return () => {
    stream.getTracks().forEach((track) => track.stop());
    context.close();
  };
}
