// SPDX-License-Identifier: Apache-2.0
// Windows to judge, as a grid of small spectrograms: one key a verdict, and the next one at once.

import { spell } from "./clock.js";
import { MARKS, element } from "./elements.js";
import { ROWS } from "./picture.js";
import { loudestOf, paintLevels } from "./server_picture.js";

const WIDTH = 96; // columns of a small spectrogram
const REASONS = { least_sure: "least sure", surest: "surest", random: "random" };

// Some sound around a window, so that its beginning and end can be seen.
const around = ({ onset, offset }) => {
  const more = Math.min(1, Math.max(0.25, (offset - onset) / 4)), from = Math.max(0, onset - more);
  return { from, to: Math.max(offset + more, from + 0.2) };
};

export class Cards {
  // on: {focus(item), key(press, item)}; fetchTile(recording, from, to, width); looks of the classes.
  constructor(list, on, fetchTile) {
    Object.assign(this, { list, on, fetchTile });
    this.items = [];
    this.at = 0;
    list.addEventListener("keydown", (press) => this.onKey(press));
  }

  get current() {
    return this.items[this.at] ?? null;
  }

  show(items, looks, at = 0) {
    this.items = items;
    this.looks = looks;
    this.at = Math.min(at, Math.max(0, items.length - 1));
    this.observer?.disconnect();
    this.observer = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) if (isIntersecting) this.paint(target);
    }, { rootMargin: "300px" });
    this.list.replaceChildren(...items.map((item, i) => this.make(item, i)));
    for (const card of this.list.children) this.observer.observe(card);
    this.mark();
  }

  make(item, i) {
    const { from, to } = around(item), span = to - from;
    const box = element("span", { className: "bounds" });
    box.style.left = `${(100 * (item.onset - from)) / span}%`;
    box.style.right = `${(100 * (to - item.offset)) / span}%`;
    const canvas = element("canvas", { width: WIDTH, height: ROWS, "aria-hidden": "true" });
    const card = element(
      "li",
      { className: "window", role: "option", tabIndex: -1, "aria-selected": "false" },
      element("div", { className: "thumb" }, canvas, box, element("span", { className: "verdict-mark" })),
      element("p", { className: "what" }, element("b", { textContent: item.label }), element("span", { className: "score", textContent: item.score?.toFixed(2) ?? "" })),
      element("p", { className: "where" }, element("span", { className: "path", textContent: item.path, title: item.path }), element("span", { textContent: spell(item.onset) })),
      ...(item.reason ? [element("span", { className: `reason ${item.reason}`, textContent: REASONS[item.reason] ?? item.reason })] : []),
    );
    Object.assign(card.dataset, { path: item.path, onset: item.onset, offset: item.offset, label: item.label });
    card.style.setProperty("--hue", this.looks.of(item.label).hue);
    card.addEventListener("click", () => this.focus(i));
    card.addEventListener("focus", () => this.enter(i));
    this.update(item, card, i);
    return card;
  }

  update(item, card = this.list.children[this.items.indexOf(item)], i = this.items.indexOf(item)) {
    if (!card) return;
    card.dataset.verdict = item.verdict ?? "";
    card.querySelector(".verdict-mark").textContent = item.verdict ? (item.other ? `→ ${item.other}` : MARKS[item.verdict]) : "";
    const said = item.verdict ? `, judged ${item.other ? `no, but ${item.other}` : item.verdict}` : ", not judged";
    const why = item.reason ? `, ${REASONS[item.reason] ?? item.reason}` : "";
    const score = item.score === null || item.score === undefined ? "" : `, score ${item.score.toFixed(2)}`;
    card.setAttribute("aria-label", `${i + 1} of ${this.items.length}: ${item.label}, ${item.path}, ${spell(item.onset)} to ${spell(item.offset)}${score}${why}${said}`);
  }

  async paint(card) {
    this.observer.unobserve(card);
    const item = this.items[[...this.list.children].indexOf(card)];
    if (!item) return;
    const { from, to } = around(item);
    try {
      const { levels, rows } = await this.fetchTile(item.recording, from, to, WIDTH);
      paintLevels(card.querySelector("canvas"), levels, WIDTH, rows, loudestOf(levels));
    } catch {
      card.querySelector(".thumb").classList.add("missing");
    }
  }

  mark() {
    [...this.list.children].forEach((card, i) => {
      card.tabIndex = i === this.at ? 0 : -1;
      card.setAttribute("aria-selected", String(i === this.at));
    });
  }

  enter(i) {
    this.at = i;
    this.mark();
    this.on.focus(this.items[i], this.items[i + 1] ?? null);
  }

  focus(i) {
    const card = this.list.children[i];
    if (!card) return;
    if (document.activeElement === card) this.enter(i);
    else card.focus();
    card.scrollIntoView({ block: "nearest" });
  }

  // The next one that has no verdict; false where there is none.
  advance() {
    const order = [...this.items.keys()], later = order.slice(this.at + 1), before = order.slice(0, this.at + 1);
    const next = [...later, ...before].find((i) => !this.items[i].verdict);
    if (next === undefined) return false;
    this.focus(next);
    return true;
  }

  get columns() {
    const [first, ...others] = [...this.list.children];
    const wrap = others.findIndex((card) => card.offsetTop > (first?.offsetTop ?? 0));
    return wrap < 0 ? this.list.children.length : wrap + 1;
  }

  onKey(press) {
    const last = this.items.length - 1;
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns };
    if (press.key in moves) this.focus(Math.min(last, Math.max(0, this.at + moves[press.key])));
    else if (press.key === "Home" || press.key === "End") this.focus(press.key === "Home" ? 0 : last);
    else if (!this.on.key(press, this.current)) return;
    press.preventDefault();
    press.stopPropagation();
  }
}
