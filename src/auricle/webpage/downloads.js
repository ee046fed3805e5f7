// SPDX-License-Identifier: Apache-2.0
// Events as files, in the formats that `auricle detect --format audacity|raven|csv|json` writes.

const USUAL_BAND_HZ = 8000;
const RAVEN = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)", "Label", "Score", "File Offset (s)", "Begin Path"];

const oneLine = (text) => text.replace(/[\t\r\n]+/g, " ");
// A spreadsheet would run such a cell as a formula.
const disarm = (text) => (/^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text);
const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const cell = (value) => (typeof value === "number" ? String(value) : quote(disarm(value)));
export const rounded = (x) => Number(x.toPrecision(6));

const tabbed = (cells) => `${cells.map((text) => disarm(oneLine(text))).join("\t")}\n`;

export const FORMATS = {
  audacity: {
    suffix: ".txt",
    write: (result) => result.events.map((e) => `${e.onset.toFixed(6)}\t${e.offset.toFixed(6)}\t${oneLine(e.label)}\n`).join(""),
  },
  raven: {
    suffix: ".selections.txt",
    write: (result, bandHz = USUAL_BAND_HZ) =>
      tabbed(RAVEN) +
      result.events
        .map((e, i) => tabbed([`${i + 1}`, "Spectrogram 1", "1", e.onset.toFixed(6), e.offset.toFixed(6), "0", `${bandHz}`, e.label, `${rounded(e.score)}`, e.onset.toFixed(6), result.path]))
        .join(""),
  },
  csv: {
    suffix: ".csv",
    write: (result) =>
      [["path", "onset", "offset", "label", "score"], ...result.events.map((e) => [result.path, rounded(e.onset), rounded(e.offset), e.label, rounded(e.score)])]
        .map((row) => `${row.map(cell).join(",")}\n`)
        .join(""),
  },
  json: {
    suffix: ".jsonl",
    write: (result) => {
      const events = result.events.map((e) => ({ label: e.label, onset: rounded(e.onset), offset: rounded(e.offset), score: rounded(e.score) }));
      return `${JSON.stringify({ ...result, duration: rounded(result.duration), events })}\n`;
    },
  },
};

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export const stemOf = (path) => path.replace(/\.[^.]*$/, "") || "auricle";

export function download(format, result, bandHz) {
  const { suffix, write } = FORMATS[format];
  save(new Blob([write(result, bandHz)], { type: "text/plain" }), stemOf(result.path) + suffix);
}
