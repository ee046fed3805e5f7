// SPDX-License-Identifier: Apache-2.0
// Times as people read them: 0:03.2, 12:05.0, 1:02:03.4.

export function spell(seconds, digits = 1) {
  const unit = 10 ** digits;
  const whole = Math.round(Math.max(0, seconds) * unit);
  const rest = whole % (60 * unit);
  const minutes = Math.floor(whole / (60 * unit));
  const tail = (rest / unit).toFixed(digits).padStart(digits ? 3 + digits : 2, "0");
  return minutes < 60 ? `${minutes}:${tail}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${tail}`;
}

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600];

// Where the axis is labelled: {time, text}, at most so many.
export function ticksOf(from, to, most) {
  const step = STEPS.find((s) => (to - from) / s <= most) ?? 86400;
  const digits = step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
  const ticks = [];
  for (let k = Math.ceil(from / step - 1e-6); k * step <= to + 1e-6; k++) ticks.push({ time: k * step, text: spell(k * step, digits) });
  return ticks;
}
