// SPDX-License-Identifier: Apache-2.0
// The events in the order of time, and the classes to choose from.

import { spell } from "./clock.js";

const MOST_ROWS = 200; // until more are asked for
const MOST_CLASSES = 60; // in the list of the filter; more are found by name

const element = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });

function dotOf({ hue, pattern }) {
  const dot = element("i");
  dot.className = "dot";
  dot.dataset.pattern = pattern;
  dot.style.setProperty("--hue", hue);
  return dot;
}

// `rows` are events; those with `verdict` are compared with the truth. Returns how many are left out.
export function fillTable(table, rows, { looks, all, playable, play }) {
  const verdicts = rows.some((row) => row.verdict);
  table.querySelector("th:last-child").hidden = !verdicts;
  const shown = all ? rows : rows.slice(0, MOST_ROWS);
  table.tBodies[0].replaceChildren(...shown.map((event) => {
    const row = document.createElement("tr");
    const cell = (...content) => row.insertCell().append(...content);
    const button = Object.assign(element("button", "▶"), { type: "button", disabled: !playable });
    button.setAttribute("aria-label", `Play ${event.label} at ${spell(event.onset)}`);
    button.addEventListener("click", () => play(event));
    cell(button);
    cell(dotOf(looks.of(event.label)), event.label);
    cell(spell(event.onset, 2));
    cell(event.offset === undefined ? "…" : spell(event.offset, 2));
    cell(event.score === undefined ? "" : event.score.toFixed(2));
    if (verdicts) {
      cell({ found: "✓", missed: "○", false: "✕" }[event.verdict], element("span", ` ${event.verdict}`));
      row.lastChild.className = `verdict ${event.verdict}`;
    }
    return row;
  }));
  return rows.length - shown.length;
}

// The classes that a word is in, those with events first, then by their highest scores.
export function fillClasses(list, timeline, word, choose) {
  const shown = new Set(timeline.shownLabels()), counts = new Map();
  for (const event of timeline.events) counts.set(event.label, (counts.get(event.label) ?? 0) + 1);
  const wanted = timeline.labels.filter((label) => label.toLowerCase().includes(word.trim().toLowerCase()));
  const peak = (label) => timeline.peaks.get(label) ?? 0;
  wanted.sort((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0) || peak(b) - peak(a));
  list.replaceChildren(...wanted.slice(0, MOST_CLASSES).map((label) => {
    const item = document.createElement("li"), field = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: shown.has(label) });
    const known = timeline.columns.has(label);
    box.disabled = !known && !counts.has(label);
    box.addEventListener("change", () => choose(label, box.checked));
    const count = counts.get(label) ?? 0;
    const note = count ? `${count} ${count === 1 ? "event" : "events"}` : `highest score ${peak(label).toFixed(2)}`;
    field.append(box, ...(shown.has(label) ? [dotOf(timeline.looks.of(label))] : []), element("span", label), Object.assign(element("small", note)));
    item.append(field);
    return item;
  }));
  if (wanted.length > MOST_CLASSES) list.append(element("li", `${wanted.length - MOST_CLASSES} more; find them by name`));
}
