// SPDX-License-Identifier: Apache-2.0
// A timeline whose lanes have detections as high as their scores: those above the dashed line count.

import { Timeline, cssValue } from "./timeline.js";
import { fillOf } from "./colours.js";

export class ReviewTimeline extends Timeline {
  get movable() {
    return true;
  }

  get movableView() {
    return this.duration > 0;
  }

  hasLine(label) {
    return (this.thresholds.get(label) ?? null) !== null;
  }

  shownLabels() {
    return this.labels.filter((label) => this.chosen?.has(label));
  }

  countOf(label) {
    const threshold = this.thresholds.get(label) ?? 0;
    return this.events.filter((event) => event.label === label && event.score >= threshold).length;
  }

  // Lanes again, for other classes or lines.
  setClasses(labels, thresholds) {
    const had = new Map(this.thresholds);
    this.labels = labels;
    this.thresholds = new Map(labels.map((label, i) => [label, thresholds[i]]));
    this.given = new Map(this.thresholds);
    for (const label of labels) this.looks.of(label);
    for (const [label, row] of this.rows) {
      if (this.hasLine(label) !== Boolean(row.bar) || !this.thresholds.has(label) || had.get(label) === undefined) this.rows.delete(label);
    }
  }

  // The line says what is known of the precision above it.
  drawLane(label, row, ...sizes) {
    super.drawLane(label, row, ...sizes);
    const note = this.notes?.get(label);
    if (row.bar && note) row.bar.firstChild.textContent += ` · ${note}`;
  }

  setThreshold(label, value) {
    const threshold = Math.min(1, Math.max(0, Math.round(1000 * value) / 1000));
    this.thresholds.set(label, threshold);
    this.notes?.delete(label); // of another threshold, it is not known here
    this.drawLane(label, this.rows.get(label));
    this.on.thresholds(label, threshold);
  }

  // The height of a detection is its score.
  drawCurve(pen, label, x, floor, scale) {
    const threshold = this.thresholds.get(label) ?? 0, look = this.looks.of(label), grey = cssValue("--ink-2").trim();
    for (const event of this.events) {
      if (event.label !== label || event.offset < this.from || event.onset > this.to) continue;
      const left = x(event.onset), width = Math.max(2 * scale, x(event.offset) - left), top = floor * (1 - event.score) + scale;
      const counts = event.score >= threshold;
      pen.globalAlpha = counts ? 0.28 : 0.14;
      pen.fillStyle = counts ? look.hue : grey;
      pen.fillRect(left, top, width, floor - top);
      pen.globalAlpha = 1;
      pen.fillStyle = counts ? fillOf(pen, look) : grey;
      pen.fillRect(left, top, width, 2.5 * scale);
    }
  }

  // Below the line there is the verdict, where there is one.
  drawEvent(pen, event, x, height, scale) {
    if (event.offset < this.from || event.onset > this.to || !event.verdict) return;
    pen.fillStyle = cssValue({ yes: "--good", no: "--bad", unsure: "--ink-2" }[event.verdict]);
    pen.font = `600 ${12 * scale}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText({ yes: "✓", no: "✕", unsure: "?" }[event.verdict], x((event.onset + event.offset) / 2), height - 7 * scale);
    pen.textAlign = "start";
  }
}
