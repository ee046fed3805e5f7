// SPDX-License-Identifier: Apache-2.0
// Waveform, spectrogram, scores and events over one axis of time: of a whole recording, a part of it, or the last
// seconds of the microphone. A class has a lane; the line in it is its threshold, and can be dragged.

import { spell, ticksOf } from "./clock.js";
import { Looks, fillOf, inkOn } from "./colours.js";
import { eventsOfLabel, smoothLabel, sortEvents } from "./events.js";
import { Picture, pitchTicks } from "./picture.js";

const FEW_LANES = 5; // classes without events get a lane up to so many
const MOST_LANES = 12; // classes with events, until more are asked for
const POINTS_OF_PIXEL = 3; // of a curve; of more frames, the highest of a group counts
const NARROW_PX = 5; // events as wide as this have no round corners
const SHORTEST_VIEW_S = 0.2;
const LANE_TOP = 5; // of the canvas in its lane, as in page.css
const EVENT_HEIGHT = 15;
const NARROWEST_PX = 20;
const PITCH_PX = 12.4; // from one label of the axis of pitch to the next
const MOVED_PX = 4; // a pointer that moved less has clicked

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const make = (name, className, text = "") => Object.assign(document.createElement(name), { className, textContent: text });
// Asking for a style between two changes of the page would lay it out each time.
const styles = new Map();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => styles.clear());
export function cssValue(name) {
  if (!styles.has(name)) styles.set(name, getComputedStyle(document.documentElement).getPropertyValue(name));
  return styles.get(name);
}
export const overlap = (a, b) => a.label === b.label && a.onset < b.offset && b.onset < a.offset;

// The first place in sorted times that is not before a time.
function placeOf(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Timeline {
  // parts: elements by name. on: {event, seek, thresholds, view} are called with what was clicked or changed.
  constructor(parts, on) {
    this.parts = parts;
    this.on = on;
    this.rows = new Map();
    this.observe();
    this.begin([], []);
  }

  // A new recording. `thresholds` has one for each label; `rule` makes events (null where this page cannot).
  begin(labels, thresholds, rule = null) {
    this.labels = labels;
    this.thresholds = new Map(labels.map((label, i) => [label, thresholds[i]]));
    this.given = new Map(this.thresholds);
    this.rule = rule;
    this.looks = new Looks();
    if (labels.length <= MOST_LANES) labels.forEach((label) => this.looks.of(label));
    this.times = [];
    this.columns = new Map(); // label -> scores, as far as they are known
    this.peaks = new Map();
    this.smooth = new Map();
    this.groups = new Map();
    this.events = [];
    this.truth = null;
    this.chosen = null; // the labels that were picked by hand; null: those that occur
    this.picture?.close();
    this.picture = null;
    this.from = 0;
    this.to = 1;
    this.duration = 1;
    this.rows.clear();
    this.parts.lanes.replaceChildren();
    this.parts.laneNames.replaceChildren();
    this.movePlayhead(null);
  }

  setSound(sound) {
    this.setPicture(sound && new Picture(sound, () => this.soon("sound")), sound?.rate);
  }

  // The tiles to draw, of a sound with a sample rate.
  setPicture(picture, rate) {
    this.picture?.close();
    this.picture = picture;
    this.rate = rate;
    this.drawPitch();
  }

  // The axis of pitch: labels that fit.
  drawPitch() {
    const height = this.parts.pitch.clientHeight;
    const ticks = this.picture ? pitchTicks(this.rate, height ? PITCH_PX / height : undefined) : [];
    this.parts.pitch.replaceChildren(...ticks.map(({ text, share }) => {
      const tick = make("span", "", text);
      tick.style.bottom = `${100 * share}%`;
      return tick;
    }));
  }

  // Scores of a recording: {times, labels, columns}; those of other labels are known by their peaks alone.
  setScores({ times, labels, columns, peaks }) {
    this.times = times;
    labels.forEach((label, i) => this.columns.set(label, columns[i]));
    for (const label of this.labels) this.peaks.set(label, peaks?.[label] ?? this.highest(label));
  }

  highest(label) {
    return this.columns.get(label)?.reduce((most, value) => Math.max(most, value), 0) ?? 0;
  }

  // More scores of a recording in progress: a row a time.
  addScores(times, values) {
    times.forEach((time, i) => {
      this.times.push(time);
      this.labels.forEach((label, k) => {
        if (!this.columns.has(label)) this.columns.set(label, []);
        this.columns.get(label).push(values[i][k]);
        if (values[i][k] > (this.peaks.get(label) ?? 0)) this.peaks.set(label, values[i][k]);
      });
    });
  }

  // --- which classes are shown

  shownLabels() {
    if (this.chosen) return this.labels.filter((label) => this.chosen.has(label));
    const occurring = new Set([...this.events, ...(this.truth ?? [])].map((event) => event.label));
    const ranked = [...this.labels].sort((a, b) => (this.peaks.get(b) ?? 0) - (this.peaks.get(a) ?? 0));
    const kept = new Set(ranked.filter((label) => occurring.has(label)).slice(0, MOST_LANES));
    for (const label of ranked) if (kept.size < FEW_LANES && this.columns.has(label)) kept.add(label);
    return this.labels.filter((label) => kept.has(label));
  }

  choose(label, shown) {
    this.chosen ??= new Set(this.shownLabels());
    if (shown) this.chosen.add(label);
    else this.chosen.delete(label);
    this.draw();
  }

  shownEvents() {
    const shown = new Set(this.rows.keys());
    return this.events.filter((event) => shown.has(event.label));
  }

  makeRows() {
    const wanted = this.shownLabels();
    if (wanted.length === this.rows.size && wanted.every((label) => this.rows.has(label))) return;
    this.rows = new Map(wanted.map((label) => [label, this.rows.get(label) ?? this.makeLane(label)]));
    this.parts.lanes.replaceChildren(...[...this.rows.values()].map((row) => row.lane));
    this.parts.laneNames.replaceChildren(...wanted.map((label) => Object.assign(make("div", "", label), { title: label })));
  }

  makeLane(label) {
    const lane = make("div", "lane"), canvas = document.createElement("canvas");
    const { hue, pattern } = this.looks.of(label);
    lane.style.setProperty("--hue", hue);
    lane.dataset.pattern = pattern;
    canvas.setAttribute("aria-hidden", "true");
    lane.append(make("span", "lane-name", label), canvas);
    const row = { lane, canvas, bar: null };
    if (this.hasLine(label)) lane.append((row.bar = this.makeBar(label)));
    canvas.addEventListener("click", (click) => this.clickLane(label, click));
    return row;
  }

  // --- thresholds

  hasLine(label) {
    return (this.thresholds.get(label) ?? null) !== null && this.columns.has(label);
  }

  get movable() {
    return this.rule !== null;
  }

  countOf(label) {
    return this.events.filter((event) => event.label === label).length;
  }

  makeBar(label) {
    const bar = make("div", "bar");
    if (!this.movable) return bar;
    bar.classList.add("movable");
    bar.tabIndex = 0;
    const attributes = { role: "slider", "aria-label": `Threshold of ${label}`, "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 1 };
    for (const [name, value] of Object.entries(attributes)) bar.setAttribute(name, value);
    bar.append(make("span", "value"));
    bar.addEventListener("keydown", (press) => {
      const steps = { ArrowUp: 0.01, ArrowRight: 0.01, ArrowDown: -0.01, ArrowLeft: -0.01, PageUp: 0.1, PageDown: -0.1 };
      const now = this.thresholds.get(label);
      if (press.key in steps) this.setThreshold(label, now + steps[press.key]);
      else if (press.key === "Home" || press.key === "End") this.setThreshold(label, press.key === "Home" ? 0 : 1);
      else if (press.key === "Escape") this.setThreshold(label, this.given.get(label));
      else return;
      press.preventDefault();
      press.stopPropagation();
    });
    bar.addEventListener("pointerdown", (down) => {
      bar.setPointerCapture(down.pointerId);
      down.preventDefault();
      down.stopPropagation();
      bar.focus();
    });
    bar.addEventListener("pointermove", (move) => {
      if (!bar.hasPointerCapture(move.pointerId)) return;
      const box = this.rows.get(label).canvas.getBoundingClientRect();
      this.setThreshold(label, 1 - (move.clientY - box.top) / (box.height - EVENT_HEIGHT - 3));
    });
    bar.addEventListener("dblclick", () => this.setThreshold(label, this.given.get(label)));
    return bar;
  }

  // The events of the label follow at once.
  setThreshold(label, value) {
    const threshold = clamp(Math.abs(value - this.given.get(label)) < 1e-9 ? value : Math.round(1000 * value) / 1000, 0, 1);
    this.thresholds.set(label, threshold);
    if (!this.smooth.has(label)) this.smooth.set(label, smoothLabel(this.columns.get(label), label, this.rule));
    const found = eventsOfLabel(this.smooth.get(label), label, threshold, this.duration, this.rule);
    this.events = sortEvents([...this.events.filter((event) => event.label !== label), ...found], this.labels);
    this.drawLane(label, this.rows.get(label));
    this.drawOverview();
    this.on.thresholds(label, threshold);
  }

  // --- the view

  show(from, to) {
    this.aim(from, to);
    this.draw();
  }

  aim(from, to) {
    const span = clamp(to - from, SHORTEST_VIEW_S, Math.max(SHORTEST_VIEW_S, this.duration));
    this.from = clamp(from, 0, Math.max(0, this.duration - span));
    this.to = this.from + span;
  }

  // The same for what moves with a hand: several moves before a picture of the screen are drawn once.
  follow(from, to) {
    this.aim(from, to);
    this.soon("all");
  }

  // Around a time; without one around the playhead where it is in view, else around the middle.
  zoom(factor, time = null, show = this.show) {
    const around = time ?? (this.parts.playhead.hidden ? (this.from + this.to) / 2 : this.playhead);
    const span = clamp((this.to - this.from) * factor, SHORTEST_VIEW_S, this.duration);
    const share = (around - this.from) / (this.to - this.from);
    show.call(this, around - share * span, around + (1 - share) * span);
  }

  pan(share, show = this.show) {
    const by = share * (this.to - this.from);
    show.call(this, this.from + by, this.to + by);
  }

  // Bring a span into view; near what is asked for, the view stays as it is.
  reveal(onset, offset = onset) {
    if (onset >= this.from && offset <= this.to) return;
    const span = Math.max(this.to - this.from, 1.5 * (offset - onset));
    const middle = (onset + offset) / 2;
    this.show(middle - span / 2, middle + span / 2);
  }

  get zoomed() {
    return this.to - this.from < this.duration - 1e-6;
  }

  secondsAt(clientX) {
    const box = this.parts.stage.getBoundingClientRect();
    return this.from + ((clientX - box.left) / box.width) * (this.to - this.from);
  }

  // Wheel, pinch and drag; a pointer that did not move has clicked.
  observe() {
    const { stage, overview } = this.parts, pointers = new Map();
    let moved = 0, pinch = null;
    stage.addEventListener("wheel", (wheel) => {
      if (!this.movableView) return;
      if (wheel.ctrlKey || wheel.metaKey) this.zoom(1.002 ** clamp(wheel.deltaY, -300, 300), this.secondsAt(wheel.clientX), this.follow);
      else if (this.zoomed && (wheel.shiftKey || Math.abs(wheel.deltaX) > Math.abs(wheel.deltaY))) this.pan((wheel.deltaX || wheel.deltaY) / stage.clientWidth, this.follow);
      else return;
      wheel.preventDefault();
    }, { passive: false });
    stage.addEventListener("pointerdown", (down) => {
      pointers.set(down.pointerId, down);
      moved = pointers.size > 1 ? MOVED_PX : 0;
      pinch = null;
    });
    stage.addEventListener("pointermove", (move) => {
      const before = pointers.get(move.pointerId);
      if (!before || !this.movableView) return;
      pointers.set(move.pointerId, move);
      moved += Math.abs(move.clientX - before.clientX) + Math.abs(move.clientY - before.clientY);
      if (pointers.size === 2) {
        const [a, b] = [...pointers.values()].map((pointer) => pointer.clientX);
        const width = Math.max(20, Math.abs(a - b));
        if (pinch) this.zoom(pinch / width, this.secondsAt((a + b) / 2), this.follow);
        pinch = width;
      } else if (this.zoomed && moved >= MOVED_PX) {
        this.pan((before.clientX - move.clientX) / stage.clientWidth, this.follow);
      }
    });
    for (const kind of ["pointerup", "pointercancel", "pointerleave"]) stage.addEventListener(kind, (up) => pointers.delete(up.pointerId));
    this.wasDragged = () => moved >= MOVED_PX && this.zoomed;
    const jump = (pointer) => {
      const box = overview.getBoundingClientRect(), half = (this.to - this.from) / 2;
      const middle = (this.duration * (pointer.clientX - box.left)) / box.width;
      this.follow(middle - half, middle + half);
    };
    overview.addEventListener("pointerdown", (down) => {
      overview.setPointerCapture(down.pointerId);
      jump(down);
    });
    overview.addEventListener("pointermove", (move) => overview.hasPointerCapture(move.pointerId) && jump(move));
  }

  get movableView() {
    return !this.live && this.labels.length > 0;
  }

  clickLane(label, click) {
    if (this.wasDragged()) return;
    const time = this.secondsAt(click.clientX), slack = (4 * (this.to - this.from)) / this.parts.stage.clientWidth;
    const hit = this.events.find((event) => event.label === label && event.onset - slack <= time && time <= (event.offset ?? this.now) + slack);
    const box = this.rows.get(label).canvas.getBoundingClientRect();
    if (hit && click.clientY > box.bottom - EVENT_HEIGHT - 4) this.on.event(hit);
    else this.on.seek(time);
  }

  // --- drawing

  // Draw before the next picture of the screen, once however often it is asked for: "all", or the "sound" alone.
  soon(what) {
    if (!this.waiting) {
      requestAnimationFrame(() => {
        const drawn = this.waiting;
        this.waiting = null;
        if (drawn === "all") this.draw();
        else this.drawSound();
      });
    }
    if (this.waiting !== "all") this.waiting = what;
  }

  // Sizes are asked for before anything is written, or each lane would be laid out anew.
  draw() {
    const { overview, stage, picture, wave } = this.parts;
    if (stage.clientWidth < NARROWEST_PX) return; // nothing is seen of it: whatever shows it draws it
    this.makeRows();
    overview.hidden = !this.zoomed || !this.movableView;
    const sizes = [...this.rows.values()].map((row) => this.fit(row.canvas)), width = stage.clientWidth;
    for (const canvas of [picture, wave]) this.fit(canvas);
    const size = overview.hidden ? null : this.fit(overview);
    this.drawSound({ fitted: true });
    [...this.rows].forEach(([label, row], i) => this.drawLane(label, row, sizes[i]));
    if (size) this.drawOverview(size);
    this.drawAxis(width);
    this.movePlayhead(this.playhead);
    this.on.view();
  }

  // Where what has begun and not ended ends so far: sounds of the future are not known.
  get now() {
    return Math.min(this.to, this.picture?.seconds ?? this.to);
  }

  place(seconds) {
    return (100 * (seconds - this.from)) / (this.to - this.from);
  }

  // Fit a canvas to its box; returns its pen and the pixels of a CSS pixel.
  fit(canvas) {
    const scale = Math.min(2, window.devicePixelRatio);
    const width = Math.max(1, Math.round(canvas.clientWidth * scale)), height = Math.max(1, Math.round(canvas.clientHeight * scale));
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    return { pen: canvas.getContext("2d"), scale, width, height };
  }

  drawSound({ fitted = false } = {}) {
    const { picture, wave } = this.parts;
    if (!fitted && this.parts.stage.clientWidth < NARROWEST_PX) return;
    if (!fitted) for (const canvas of [picture, wave]) this.fit(canvas);
    this.picture?.draw(picture, wave, this.from, this.to, { wave: cssValue("--wave"), unknown: cssValue("--wash") });
  }

  drawLane(label, row, { pen, scale, width, height } = this.fit(row.canvas)) {
    pen.clearRect(0, 0, width, height);
    const floor = height - (EVENT_HEIGHT + 3) * scale;
    const x = (time) => ((time - this.from) / (this.to - this.from)) * width;
    this.drawTruth(pen, label, x, floor, scale, height);
    this.drawCurve(pen, label, x, floor, scale);
    let drawn = -Infinity; // to the right of it nothing is drawn yet
    for (const event of this.events) {
      if (event.label !== label || event.onset > this.to) continue;
      const right = Math.max(x(event.offset ?? this.now), x(event.onset) + 3 * scale);
      if (right < 0 || right < drawn + 1) continue;
      this.drawEvent(pen, event, x, height, scale);
      drawn = Math.max(drawn, right);
    }
    const threshold = this.thresholds.get(label);
    if (!row.bar) return;
    row.bar.style.top = `${LANE_TOP + (1 - threshold) * (floor / scale)}px`;
    if (!row.bar.firstChild) return; // a line that does not move
    row.bar.setAttribute("aria-valuenow", threshold.toFixed(3));
    row.bar.setAttribute("aria-valuetext", `${threshold.toFixed(2)}, ${this.countOf(label)} events`);
    row.bar.firstChild.textContent = threshold.toFixed(2);
  }

  drawTruth(pen, label, x, floor, scale, height) {
    if (!this.truth) return;
    pen.fillStyle = fillOf(pen, { hue: cssValue("--truth").trim(), pattern: "stripes" });
    for (const event of this.truth) {
      if (event.label !== label || event.offset < this.from || event.onset > this.to) continue;
      pen.globalAlpha = 0.32;
      pen.fillRect(x(event.onset), 0, Math.max(scale, x(event.offset) - x(event.onset)), height);
      pen.globalAlpha = 1;
    }
  }

  // The highest score of each pixel, as a line over an area.
  drawCurve(pen, label, x, floor, scale) {
    const values = this.columns.get(label);
    if (!values || !this.times.length) return;
    const step = this.times.length > 1 ? this.times[1] - this.times[0] : 1;
    const first = placeOf(this.times, this.from - step), last = Math.min(this.times.length, placeOf(this.times, this.to + step) + 1);
    const width = pen.canvas.width, group = 4 ** Math.max(0, Math.floor(Math.log((last - first) / (POINTS_OF_PIXEL * width)) / Math.log(4)));
    const scores = this.highestOfGroups(label, group), points = [];
    let newest = null;
    for (let i = Math.floor(first / group); i < Math.ceil(last / group); i++) {
      const at = Math.round(x(this.times[Math.min(this.times.length - 1, Math.floor((i + 0.5) * group))])), score = scores[i];
      if (newest !== null && newest[0] === at) newest[1] = Math.max(newest[1], score);
      else points.push((newest = [at, score]));
    }
    if (!points.length) return;
    if (points.length > width / 2) return this.drawColumns(pen, label, points, floor, scale);
    const line = new Path2D();
    points.forEach(([at, score], i) => line[i ? "lineTo" : "moveTo"](at, floor * (1 - score) + scale));
    const area = new Path2D(line);
    area.lineTo(points.at(-1)[0], floor);
    area.lineTo(points[0][0], floor);
    const { hue } = this.looks.of(label);
    pen.fillStyle = `${hue}30`;
    pen.fill(area);
    pen.strokeStyle = hue;
    pen.lineWidth = 1.5 * scale;
    pen.lineJoin = "round";
    pen.stroke(line);
  }

  // A score at each pixel: written as pixels, which takes a fraction of the time of a line with so many corners.
  drawColumns(pen, label, points, floor, scale) {
    const width = pen.canvas.width, height = Math.max(1, Math.ceil(floor + 2 * scale)), image = new ImageData(width, height);
    const words = new Uint32Array(image.data.buffer), hue = parseInt(this.looks.of(label).hue.slice(1), 16);
    const colour = ((hue & 255) << 16) | (hue & 0xff00) | (hue >> 16), area = (0x30 << 24) | colour, line = (0xff << 24) | colour;
    const thick = Math.max(1, Math.round(1.5 * scale)), bottom = Math.min(height, Math.round(floor));
    let before = null;
    points.forEach(([at, score], i) => {
      const top = Math.max(0, Math.round(floor * (1 - score) + scale)), stop = i + 1 < points.length ? points[i + 1][0] : at + 1;
      const from = Math.min(top, before ?? top), to = Math.min(height, Math.max(top, before ?? top) + thick);
      for (let x = Math.max(0, at); x < Math.min(width, stop); x++) {
        for (let y = top; y < bottom; y++) words[y * width + x] = area;
        for (let y = x === at ? from : top; y < (x === at ? to : top + thick); y++) words[y * width + x] = line;
      }
      before = top;
    });
    this.scratch ??= document.createElement("canvas");
    if (this.scratch.width !== width || this.scratch.height !== height) Object.assign(this.scratch, { width, height });
    this.scratch.getContext("2d").putImageData(image, 0, 0);
    pen.drawImage(this.scratch, 0, 0);
  }

  // The highest score of each group of 4, 16, 64, … frames, each made of the groups before.
  highestOfGroups(label, group) {
    const values = this.columns.get(label);
    if (group === 1) return values;
    const key = `${group} ${label}`, kept = this.groups.get(key);
    if (kept?.of === values.length) return kept;
    const finer = this.highestOfGroups(label, group / 4);
    const groups = Object.assign(new Float32Array(Math.ceil(finer.length / 4)), { of: values.length });
    for (let i = 0; i < finer.length; i++) if (finer[i] > groups[i >> 2]) groups[i >> 2] = finer[i];
    this.groups.set(key, groups);
    return groups;
  }

  // A found event is filled; one where the truth says there is none is an outline.
  drawEvent(pen, event, x, height, scale) {
    const end = event.offset ?? this.now;
    if (end < this.from || event.onset > this.to) return;
    const look = this.looks.of(event.label), left = Math.max(-9, x(event.onset)), width = Math.max(3 * scale, Math.min(x(end), x(this.to) + 9) - left);
    const wrong = this.truth !== null && !this.truth.some((true_) => overlap(true_, event));
    const top = height - EVENT_HEIGHT * scale, tall = (EVENT_HEIGHT - 1) * scale;
    if (!wrong && width <= NARROW_PX * scale) {
      pen.fillStyle = look.hue;
      pen.fillRect(left, top, width, tall);
      return;
    }
    pen.beginPath();
    pen.roundRect(left, top, width, tall, Math.min(4 * scale, width / 2));
    pen.fillStyle = wrong ? cssValue("--card") : fillOf(pen, look);
    pen.globalAlpha = event.offset === undefined ? 0.7 : 1;
    pen.fill();
    pen.globalAlpha = 1;
    if (wrong) {
      pen.strokeStyle = look.hue;
      pen.lineWidth = 1.6 * scale;
      pen.setLineDash([4 * scale, 3 * scale]);
      pen.stroke();
      pen.setLineDash([]);
    }
    if (width < 34 * scale || event.score === undefined) return;
    const text = event.score.toFixed(2), at = Math.max(left, 0) + 5 * scale;
    pen.font = `${11 * scale}px system-ui, sans-serif`;
    if (look.pattern !== "solid" && !wrong) {
      pen.fillStyle = look.hue;
      pen.fillRect(at - 3 * scale, top, 30 * scale, tall);
    }
    pen.fillStyle = wrong ? cssValue("--ink-1") : inkOn(look.hue);
    pen.textBaseline = "middle";
    pen.fillText(text, at, top + tall / 2 + scale / 2);
  }

  drawAxis(width) {
    const most = clamp(Math.floor(width / (this.to < 3600 ? 80 : 100)), 3, 12);
    const ticks = ticksOf(this.from, this.to, most), { axis } = this.parts;
    while (axis.childElementCount > ticks.length) axis.lastChild.remove();
    while (axis.childElementCount < ticks.length) axis.append(make("span", ""));
    ticks.forEach(({ time, text }, i) => {
      const label = axis.children[i], place = this.place(time), side = place < 3 ? "first" : place > 96 ? "last" : "";
      if (label.textContent !== text) label.textContent = text;
      if (label.className !== side) label.className = side;
      label.style.left = `${place}%`;
    });
  }

  // The whole recording in a strip, with what is in view; only where the view is a part.
  drawOverview(size = null) {
    const { overview } = this.parts;
    if (overview.hidden) return;
    const { pen, scale, width, height } = size ?? this.fit(overview);
    pen.clearRect(0, 0, width, height);
    const x = (time) => (time / this.duration) * width;
    pen.drawImage(this.overviewOf(width, height, scale), 0, 0);
    pen.strokeStyle = cssValue("--ink-1");
    pen.lineWidth = 2 * scale;
    pen.fillStyle = `${cssValue("--ink-1").trim()}18`;
    const left = x(this.from), wide = Math.max(6 * scale, x(this.to) - left);
    pen.fillRect(left, 0, wide, height);
    pen.strokeRect(left + scale, scale, wide - 2 * scale, height - 2 * scale);
  }

  // All events of the recording, drawn once for as long as they are the same.
  overviewOf(width, height, scale) {
    const labels = [...this.rows.keys()], kept = this.overviewKept;
    const now = [this.events, this.events.length, width, height, this.duration, labels.join("\n")];
    if (kept && now.every((value, i) => value === kept.of[i])) return kept.image;
    const image = Object.assign(document.createElement("canvas"), { width, height }), pen = image.getContext("2d");
    const x = (time) => (time / this.duration) * width, tall = height / Math.max(1, labels.length);
    for (const event of this.shownEvents()) {
      pen.fillStyle = this.looks.of(event.label).hue;
      pen.fillRect(x(event.onset), labels.indexOf(event.label) * tall, Math.max(1.5 * scale, x(event.offset) - x(event.onset)), Math.max(2, tall - 1));
    }
    this.overviewKept = { image, of: now };
    return image;
  }

  movePlayhead(seconds) {
    this.playhead = seconds;
    const inView = seconds !== null && seconds !== undefined && seconds >= this.from && seconds <= this.to;
    this.parts.playhead.hidden = !inView;
    if (inView) this.parts.playhead.style.left = `${this.place(seconds)}%`;
  }

  describeView() {
    return this.zoomed ? `${spell(this.from)} to ${spell(this.to)} of ${spell(this.duration)}` : `all of ${spell(this.duration)}`;
  }
}
