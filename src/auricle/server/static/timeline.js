// SPDX-License-Identifier: Apache-2.0
// Waveform, spectrogram, scores and events over one axis of time: of a whole recording, or of the last seconds.

// Okabe and Ito, "Color Universal Design" (2008), without black and yellow: hues that everyone can tell apart.
const HUES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
// Labels without events are shown up to so many lanes, unless all are asked for.
const FEW_LANES = 5;

export const hueOf = (place) => HUES[place % HUES.length];

// Black or white, whichever is easier to read on a colour: the contrast ratio of WCAG 2.
export function inkOn(colour) {
  const linear = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 ? "#ffffff" : "#000000";
}

export function spell(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(1).padStart(4, "0")}`;
}

export class Timeline {
  // parts: the elements wave, picture, lanes, names, axis, playhead; onEvent is called with an event that was clicked.
  constructor(parts, onEvent) {
    this.parts = parts;
    this.onEvent = onEvent;
    this.rows = new Map();
    this.all = false;
  }

  // labels, and one threshold for each; the labels with the highest scores get a lane, in the model's order.
  begin(labels, thresholds) {
    this.labels = labels;
    this.thresholds = thresholds;
    this.spectrogram = null;
    this.frames = []; // {time, values}
    this.peaks = labels.map(() => 0);
    this.events = [];
    this.from = 0;
    this.to = 1;
    this.rows.clear();
    this.parts.lanes.replaceChildren();
    this.parts.names.replaceChildren();
  }

  addScores(times, values) {
    times.forEach((time, i) => {
      this.frames.push({ time, values: values[i] });
      values[i].forEach((value, k) => {
        if (value > this.peaks[k]) this.peaks[k] = value;
      });
    });
  }

  hue(label) {
    return hueOf(this.labels.indexOf(label));
  }

  show(from, to) {
    this.from = from;
    this.to = Math.max(to, from + 0.1);
    this.chooseLanes();
    this.drawSound();
    for (const [label, row] of this.rows) this.drawLane(label, row);
    this.drawAxis();
  }

  place(seconds) {
    return (100 * (seconds - this.from)) / (this.to - this.from);
  }

  chooseLanes() {
    const withEvents = new Set(this.events.map((event) => event.label));
    const ranked = this.labels.map((label, k) => ({ label, k })).sort((a, b) => this.peaks[b.k] - this.peaks[a.k] || a.k - b.k);
    const kept = new Set(withEvents);
    const most = this.all ? this.labels.length : FEW_LANES;
    for (const { label } of ranked) if (kept.size < most) kept.add(label);
    const wanted = this.labels.filter((label) => kept.has(label));
    if (wanted.length === this.rows.size && wanted.every((label) => this.rows.has(label))) return;
    this.rows = new Map(wanted.map((label) => [label, this.rows.get(label) ?? this.makeLane(label)]));
    this.parts.lanes.replaceChildren(...[...this.rows.values()].map((row) => row.lane));
    this.parts.names.replaceChildren(...wanted.map((label) => Object.assign(document.createElement("div"), { textContent: label, title: label })));
  }

  makeLane(label) {
    const lane = document.createElement("div");
    lane.className = "lane";
    lane.style.setProperty("--hue", this.hue(label));
    lane.style.setProperty("--ink", inkOn(this.hue(label)));
    const name = Object.assign(document.createElement("span"), { className: "lane-name", textContent: label });
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    lane.append(name, canvas);
    return { lane, canvas, buttons: new Map() };
  }

  drawSound() {
    const { spectrogram, parts } = this;
    if (!spectrogram) return;
    const columnS = spectrogram.columnSamples / spectrogram.rate;
    const first = Math.round(this.from / columnS);
    const last = Math.max(first + 1, Math.ceil(this.to / columnS));
    spectrogram.draw(parts.picture, first, last);
    spectrogram.drawWave(parts.wave, first, last, getComputedStyle(document.documentElement).getPropertyValue("--wave"));
  }

  drawLane(label, row) {
    const k = this.labels.indexOf(label);
    const scale = window.devicePixelRatio;
    const width = Math.max(1, Math.round(row.lane.clientWidth * scale));
    const height = Math.max(1, Math.round((row.lane.clientHeight - 22) * scale));
    Object.assign(row.canvas, { width, height });
    const context = row.canvas.getContext("2d");
    const x = (time) => ((time - this.from) / (this.to - this.from)) * width;
    const y = (value) => height * (1 - value);
    this.drawThreshold(context, y(this.thresholds[k]), width, scale);
    const seen = this.frames.filter(({ time }) => time >= this.from - 1 && time <= this.to + 1);
    if (seen.length) {
      const line = new Path2D();
      seen.forEach(({ time, values }, i) => (i ? line.lineTo(x(time), y(values[k])) : line.moveTo(x(time), y(values[k]))));
      const area = new Path2D(line);
      area.lineTo(x(seen.at(-1).time), height);
      area.lineTo(x(seen[0].time), height);
      context.fillStyle = `${this.hue(label)}38`;
      context.fill(area);
      context.strokeStyle = this.hue(label);
      context.lineWidth = 1.6 * scale;
      context.lineJoin = "round";
      context.stroke(line);
    }
    this.placeEvents(label, row);
  }

  drawThreshold(context, y, width, scale) {
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink-2");
    context.globalAlpha = 0.6;
    context.lineWidth = scale;
    context.setLineDash([4 * scale, 4 * scale]);
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(width, y);
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  placeEvents(label, row) {
    const seen = new Set();
    for (const event of this.events) {
      if (event.label !== label) continue;
      const left = Math.max(0, this.place(event.onset));
      const right = Math.min(100, this.place(event.offset ?? this.to));
      if (right <= 0 || left >= 100) continue;
      seen.add(event);
      const button = row.buttons.get(event) ?? this.makeEvent(event, row);
      button.classList.toggle("open", event.offset === undefined);
      button.firstChild.textContent = event.score === undefined ? "" : event.score.toFixed(2);
      button.title = `${label}, ${event.onset.toFixed(2)} to ${event.offset === undefined ? "…" : event.offset.toFixed(2)} s`;
      button.setAttribute("aria-label", `Play ${button.title}`);
      Object.assign(button.style, { left: `${left}%`, width: `${right - left}%` });
    }
    for (const [event, button] of row.buttons) {
      if (!seen.has(event)) {
        button.remove();
        row.buttons.delete(event);
      }
    }
  }

  makeEvent(event, row) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "found";
    button.tabIndex = -1; // the table below holds the same buttons in the order of time
    button.addEventListener("click", (click) => {
      click.stopPropagation();
      this.onEvent(event);
    });
    button.append(document.createElement("span"));
    row.buttons.set(event, button);
    row.lane.append(button);
    return button;
  }

  drawAxis() {
    const span = this.to - this.from;
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600].find((s) => span / s <= 10) ?? 7200;
    const ticks = [];
    for (let tick = Math.ceil(this.from / step - 1e-6); tick * step <= this.to + 1e-6; tick++) {
      const time = tick * step;
      const text = time < 60 ? `${Number(time.toFixed(1))} s` : spell(time).replace(/\.0$/, "");
      const label = Object.assign(document.createElement("span"), { textContent: text });
      label.style.left = `${this.place(time)}%`;
      label.className = this.place(time) < 2 ? "first" : this.place(time) > 97 ? "last" : "";
      ticks.push(label);
    }
    this.parts.axis.replaceChildren(...ticks);
  }

  movePlayhead(seconds) {
    this.parts.playhead.hidden = seconds === null;
    if (seconds !== null) this.parts.playhead.style.left = `${this.place(seconds)}%`;
  }
}
