// SPDX-License-Identifier: Apache-2.0
// Marks on the spectrogram: drawn by mouse, finger or keys, with handles at both ends and the name of their class.

import { spell } from "./clock.js";
import { MARKS, element } from "./elements.js";

const SHORTEST_S = 0.02;
const MOVED_PX = 4;
const MOST = 300; // of those in view
const SAVED_AFTER_MS = 700; // of the last move by keys

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const spanOf = ({ onset, offset }) => `${spell(onset)} to ${spell(offset)}`;

export class Regions {
  // parts: {regions, track}. on: {name(region), moved(region), seek(seconds), drawn(region)}
  constructor(parts, timeline, on) {
    Object.assign(this, { parts, timeline, on });
    this.labels = []; // LABELs of the recording
    this.draft = null; // {onset, offset, open}
    this.chosen = null;
    this.marking = true;
    this.saving = new Map(); // region -> timer
    this.observe();
  }

  begin(labels) {
    this.labels = labels;
    this.draft = this.chosen = null;
    this.draw();
  }

  all() {
    return this.draft ? [...this.labels, this.draft] : this.labels;
  }

  // --- hands

  observe() {
    const { track } = this.parts;
    let down = null;
    track.addEventListener("pointerdown", (event) => {
      if (!this.marking || event.button !== 0 || event.shiftKey) return;
      down = { x: event.clientX, time: this.timeline.secondsAt(event.clientX), drawn: false };
      track.setPointerCapture(event.pointerId);
      event.stopPropagation(); // it does not move the view
    });
    track.addEventListener("pointermove", (event) => {
      if (!down || (!down.drawn && Math.abs(event.clientX - down.x) < MOVED_PX)) return;
      down.drawn = true;
      const time = clamp(this.timeline.secondsAt(event.clientX), 0, this.timeline.duration);
      this.draft = { onset: Math.min(time, down.time), offset: Math.max(time, down.time), open: false };
      this.chosen = this.draft;
      this.draw();
    });
    const end = () => {
      if (down?.drawn && this.draft) {
        this.draft.offset = Math.max(this.draft.offset, this.draft.onset + SHORTEST_S);
        this.on.drawn(this.draft);
      }
      this.wasDrawn = Boolean(down?.drawn);
      down = null;
    };
    track.addEventListener("pointerup", end);
    track.addEventListener("pointercancel", end);
  }

  // R: a mark begins at a time, and ends at another.
  toggle(time) {
    if (this.draft?.open) return this.close();
    this.draft = { onset: time, offset: Math.min(time + SHORTEST_S, this.timeline.duration), open: true };
    this.chosen = this.draft;
    this.draw();
    return this.draft;
  }

  close() {
    this.draft.open = false;
    this.draw();
    this.focus("end");
    this.on.drawn(this.draft);
    return this.draft;
  }

  // The open end of a mark follows the playhead.
  follow(time) {
    if (!this.draft?.open || time === null) return;
    this.draft.offset = clamp(time, this.draft.onset + SHORTEST_S, this.timeline.duration);
    this.draw();
  }

  cancel() {
    const had = this.draft !== null;
    this.draft = this.chosen = null;
    this.draw();
    return had;
  }

  // Move one end; the other stays where it is.
  move(region, edge, time) {
    if (edge === "start") region.onset = clamp(time, 0, region.offset - SHORTEST_S);
    else region.offset = clamp(time, region.onset + SHORTEST_S, this.timeline.duration);
    this.draw();
  }

  saveSoon(region) {
    if (region === this.draft) return;
    clearTimeout(this.saving.get(region));
    this.saving.set(region, setTimeout(() => this.save(region), SAVED_AFTER_MS));
  }

  // What was moved and is not saved yet, now.
  save(region) {
    if (!this.saving.has(region)) return;
    clearTimeout(this.saving.get(region));
    this.saving.delete(region);
    this.on.moved(region);
  }

  choose(region) {
    this.chosen = region;
    this.draw();
  }

  focus(part) {
    this.parts.regions.querySelector(`.chosen .${part}`)?.focus();
  }

  // --- drawing

  // Elements are kept while they show the same marks: what has the focus keeps it.
  draw() {
    const { from, to } = this.timeline, shown = this.all().filter(({ onset, offset }) => offset > from && onset < to).slice(-MOST);
    this.made = new Map(shown.map((region) => [region, this.made?.get(region) ?? this.make(region)]));
    const boxes = [...this.made.values()], { regions } = this.parts;
    if (boxes.length !== regions.children.length || boxes.some((box, i) => box !== regions.children[i])) regions.replaceChildren(...boxes);
    for (const [region, box] of this.made) this.place(region, box);
  }

  place(region, box) {
    const { from, to, looks } = this.timeline, left = this.timeline.place(region.onset), right = this.timeline.place(region.offset);
    box.style.left = `${clamp(left, -5, 105)}%`;
    box.style.width = `${clamp(right, -5, 105) - clamp(left, -5, 105)}%`;
    box.classList.toggle("chosen", region === this.chosen);
    box.classList.toggle("flip", left > 80);
    box.dataset.verdict = region.verdict ?? "draft";
    box.style.setProperty("--hue", region.label ? looks.of(region.label).hue : "#ffffff");
    const name = region.label ? `${MARKS[region.verdict]} ${region.label}` : "name it";
    const [chip, ...handles] = box.children;
    if (chip.textContent !== name) chip.textContent = name;
    chip.style.marginLeft = left < 0 && right > 5 ? `${(-left / (right - left)) * 100}%` : "";
    chip.setAttribute("aria-label", `${region.label ? `${region.label}, ${region.verdict}` : "New mark"}, ${spanOf(region)}. Enter names it.`);
    for (const handle of handles) {
      const time = handle.className === "start" ? region.onset : region.offset;
      handle.hidden = region !== this.chosen;
      handle.setAttribute("aria-valuemin", 0);
      handle.setAttribute("aria-valuemax", this.timeline.duration.toFixed(2));
      handle.setAttribute("aria-valuenow", time.toFixed(2));
      handle.setAttribute("aria-valuetext", spell(time, 2));
    }
    box.hidden = right - left > 500 && (region.onset < from && region.offset > to) && region !== this.chosen;
  }

  make(region) {
    const chip = element("button", { type: "button", className: "chip" });
    chip.addEventListener("click", () => {
      if (this.chosen === region) this.on.name(region);
      else this.choose(region);
    });
    chip.addEventListener("focus", () => this.choose(region));
    chip.addEventListener("blur", () => this.save(region));
    chip.addEventListener("keydown", (press) => this.onKey(press, region, "end"));
    const handles = ["start", "end"].map((edge) => this.makeHandle(region, edge));
    const box = element("div", { className: "region" }, chip, ...handles);
    return box;
  }

  makeHandle(region, edge) {
    const handle = element("div", { className: edge, tabIndex: 0, role: "slider", "aria-label": edge === "start" ? "Beginning of the mark" : "End of the mark", "aria-orientation": "horizontal" });
    handle.addEventListener("keydown", (press) => this.onKey(press, region, edge));
    handle.addEventListener("pointerdown", (down) => {
      handle.setPointerCapture(down.pointerId);
      down.preventDefault();
      down.stopPropagation();
      handle.focus();
    });
    handle.addEventListener("pointermove", (move) => {
      if (handle.hasPointerCapture(move.pointerId)) this.move(region, edge, this.timeline.secondsAt(move.clientX));
    });
    handle.addEventListener("pointerup", () => this.saveSoon(region));
    handle.addEventListener("blur", () => this.save(region));
    handle.addEventListener("click", (click) => click.stopPropagation());
    return handle;
  }

  onKey(press, region, edge) {
    const step = (this.timeline.to - this.timeline.from) / (press.altKey ? 1000 : 100);
    const steps = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageUp: 10 * step, PageDown: -10 * step };
    if (press.key in steps) {
      const moved = press.shiftKey ? "start" : edge;
      this.move(region, moved, (moved === "start" ? region.onset : region.offset) + steps[press.key]);
      this.saveSoon(region);
    } else if (press.key === "Enter") {
      this.on.name(region);
    } else if (press.key === "Delete" || press.key === "Backspace") {
      if (region === this.draft) this.cancel();
      else {
        clearTimeout(this.saving.get(region));
        this.saving.delete(region);
        this.on.removed(region);
      }
    } else if (press.key === "Escape") {
      if (region === this.draft) this.cancel();
      else this.choose(null);
      this.parts.track.focus();
    } else {
      return;
    }
    press.preventDefault();
    press.stopPropagation();
  }
}
