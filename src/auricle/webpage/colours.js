// SPDX-License-Identifier: Apache-2.0
// A colour for each class: twelve hues, then the same hues with stripes, dots and bars.

// Okabe and Ito, "Color Universal Design" (2008), without black and yellow, then six that stand apart from them.
const HUES = [
  "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9",
  "#7a4fbf", "#8c6d1f", "#c2185b", "#2f6f6f", "#8a9a2b", "#7d5a4a",
];
export const PATTERNS = ["solid", "stripes", "dots", "bars"];

export const lookOf = (place) => ({
  hue: HUES[place % HUES.length],
  pattern: PATTERNS[Math.floor(place / HUES.length) % PATTERNS.length],
});

// Black or white, whichever is easier to read on a colour: the contrast ratio of WCAG 2.
export function inkOn(colour) {
  const linear = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 ? "#ffffff" : "#000000";
}

// Gives each class the next look when it is first asked for, so that the classes of a recording differ.
export class Looks {
  constructor() {
    this.places = new Map();
  }

  of(label) {
    if (!this.places.has(label)) this.places.set(label, this.places.size);
    return lookOf(this.places.get(label));
  }
}

const fills = new Map();
// What a canvas fills with: the hue, with the pattern cut into it.
export function fillOf(context, { hue, pattern }) {
  if (pattern === "solid") return hue;
  const key = hue + pattern;
  if (!fills.has(key)) {
    const tile = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    const pen = tile.getContext("2d");
    pen.fillStyle = hue;
    pen.fillRect(0, 0, 8, 8);
    pen.fillStyle = pen.strokeStyle = inkOn(hue) === "#ffffff" ? "#ffffffb0" : "#000000a0";
    pen.lineWidth = 1.6;
    if (pattern === "stripes") for (const x of [-8, 0, 8]) pen.stroke(new Path2D(`M${x} 8 L${x + 8} 0`));
    else if (pattern === "dots") pen.fill(new Path2D("M4 2a2 2 0 1 0 .1 0"));
    else pen.fillRect(0, 0, 2, 8);
    fills.set(key, tile);
  }
  return context.createPattern(fills.get(key), "repeat");
}
