// SPDX-License-Identifier: Apache-2.0
// Events as files, in the formats that `auricle detect --format audacity|csv|json` writes.

const oneLine = (text) => text.replace(/[\t\r\n]+/g, " ");
// A spreadsheet would run such a cell as a formula.
const disarm = (text) => (/^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text);
const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
const cell = (value) => (typeof value === "number" ? String(value) : quote(disarm(value)));

const FORMATS = {
  audacity: {
    suffix: ".txt",
    write: (result) => result.events.map((e) => `${e.onset.toFixed(6)}\t${e.offset.toFixed(6)}\t${oneLine(e.label)}\n`).join(""),
  },
  csv: {
    suffix: ".csv",
    write: (result) =>
      [["path", "onset", "offset", "label", "score"], ...result.events.map((e) => [result.path, e.onset, e.offset, e.label, e.score])]
        .map((row) => `${row.map(cell).join(",")}\n`)
        .join(""),
  },
  json: { suffix: ".jsonl", write: (result) => `${JSON.stringify(result)}\n` },
};

export function download(format, result) {
  const { suffix, write } = FORMATS[format];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([write(result)], { type: "text/plain" }));
  link.download = `${result.path.replace(/\.[^.]*$/, "") || "auricle"}${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
