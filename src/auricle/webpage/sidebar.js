// SPDX-License-Identifier: Apache-2.0
// What is always in view: the classes with their verdicts and how well precision is known, and the recordings.

import { spell } from "./clock.js";
import { $, dot, element, plural } from "./elements.js";

const MOST_RECORDINGS = 200; // in the list; others are found by name

const percent = (share) => `${Math.round(100 * share)}`;

export function spellPrecision({ value, low, high, n }) {
  if (low === high) return `${percent(value)} % right (all ${n} that count are judged)`;
  return `${percent(value)} % right (${percent(low)} to ${percent(high)}, ${plural(n, "verdict")})`;
}

// How well the precision of a class is known, in one line.
function knownOf({ precision, verdicts_to_go: left }) {
  if (precision && left === 0) return spellPrecision(precision);
  const known = precision ? `${spellPrecision(precision)}; ` : "";
  return left === null || left === undefined ? known.slice(0, -2) : `${known}${plural(left, "more verdict")} to know it ± 5`;
}

function countsOf({ yes, no, unsure }) {
  const part = (mark, count, name) => element("span", { className: name, title: `${count} ${name}`, role: "img", "aria-label": `${count} ${name}` }, `${mark} ${count}`);
  return element("span", { className: "counts" }, part("✓", yes, "yes"), part("✕", no, "no"), part("?", unsure, "unsure"));
}

function classRow(found, place, { looks, current, choose }) {
  const known = knownOf(found), shortcut = place < 9 ? element("kbd", { textContent: place + 1, "aria-hidden": "true" }) : "";
  const bar = element("span", { className: "known-bar", "aria-hidden": "true" });
  if (found.precision) {
    bar.style.setProperty("--low", found.precision.low);
    bar.style.setProperty("--high", found.precision.high);
    bar.style.setProperty("--value", found.precision.value);
  } else {
    bar.hidden = true;
  }
  const button = element(
    "button",
    { type: "button", className: "class", "aria-pressed": String(found.name === current) },
    element("span", { className: "class-name" }, dot(looks.of(found.name)), element("b", { textContent: found.name }), shortcut),
    countsOf(found),
    bar,
    element("small", { textContent: known }),
  );
  button.style.setProperty("--hue", looks.of(found.name).hue);
  button.addEventListener("click", () => choose(found.name));
  return element("li", {}, button);
}

// Rows are made again only where something changed; the row that has the focus keeps it.
let shown = "";
export function showClasses(classes, options) {
  const now = JSON.stringify([classes, options.current]);
  if (now === shown) return;
  shown = now;
  const list = $("classes"), focused = [...list.children].findIndex((row) => row.contains(document.activeElement));
  list.replaceChildren(...classes.map((found, place) => classRow(found, place, options)));
  if (focused >= 0) list.children[focused]?.firstElementChild.focus();
  $("classes-none").hidden = classes.length > 0;
  $("classes-count").textContent = classes.length || "";
}

export class RecordingList {
  constructor(open) {
    this.open = open;
    this.recordings = [];
    this.current = null;
    $("recordings-find").addEventListener("input", () => this.draw());
    $("recordings").addEventListener("keydown", (press) => this.onKey(press));
  }

  add(recordings, total) {
    this.recordings.push(...recordings);
    this.total = total;
    this.draw();
  }

  choose(id) {
    this.current = id;
    for (const button of $("recordings").querySelectorAll("button")) {
      if (button.dataset.id === String(id)) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  // A recording has so many labels now.
  count(id, labels) {
    const found = this.recordings.find((recording) => recording.id === id);
    if (!found || found.labels === labels) return;
    found.labels = labels;
    const note = $("recordings").querySelector(`[data-id="${CSS.escape(id)}"] .labels`);
    if (note) note.textContent = labels ? plural(labels, "label") : "";
  }

  draw() {
    const word = $("recordings-find").value.trim().toLowerCase();
    const found = this.recordings.filter(({ path }) => path.toLowerCase().includes(word));
    $("recordings").replaceChildren(...found.slice(0, MOST_RECORDINGS).map((recording) => this.row(recording)));
    $("recordings-count").textContent = word ? `${found.length} of ${this.total}` : this.total ?? "";
    $("recordings-more").hidden = found.length <= MOST_RECORDINGS;
    $("recordings-more").textContent = `${found.length - MOST_RECORDINGS} more; search by name`;
  }

  row({ id, path, duration, labels }) {
    const cut = path.lastIndexOf("/") + 1;
    const button = element(
      "button",
      { type: "button", className: "recording" },
      element("span", { className: "path", title: path }, element("small", { textContent: path.slice(0, cut) }), path.slice(cut)),
      element("span", { className: "length" }, duration === null ? "…" : spell(duration, 0)),
      element("span", { className: "labels", textContent: labels ? plural(labels, "label") : "" }),
    );
    button.dataset.id = id;
    if (id === this.current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.open(id));
    return element("li", {}, button);
  }

  onKey(press) {
    const buttons = [...$("recordings").querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 };
    if (!(press.key in moves)) return;
    buttons[moves[press.key]]?.focus();
    press.preventDefault();
  }
}
