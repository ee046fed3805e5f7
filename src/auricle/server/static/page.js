// SPDX-License-Identifier: Apache-2.0
// The page: a recording or the microphone in, what is detected and when out.

import { download } from "./labels.js";
import { Live } from "./live.js";
import { ask, token } from "./server.js";
import { Spectrogram } from "./spectrogram.js";
import { Timeline, hueOf, spell } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const VIEW_RATE = 16000;
const MOST_COLUMNS = 1200;
const LIVE_VIEW_S = 20;
const LIVE_COLUMN_S = 0.025;
const LOWEST_DB = -60;
const MOST_TAGS = 5;
const SPEAKS_FLAG = {
  clipped: "clipped", truncated: "cut off", silent: "silent", band_limited: "low sample rate", nonfinite: "damaged samples",
};

const timeline = new Timeline(
  { wave: $("wave"), picture: $("picture"), lanes: $("lanes"), names: $("names"), axis: $("axis"), playhead: $("playhead") },
  (event) => playEvent(event),
);
let models = new Map();
let result = null; // what the downloads hold
let duration = 0;
let stopAt = null;
let live = null;

// --- the server

const dialog = $("token");

// The recording travels once; the server gives all that is shown.
function send(file, told) {
  const form = new FormData();
  form.append("file", file, file.name);
  const query = new URLSearchParams({ model: $("model").value, scores: true, tags: MOST_TAGS });
  return ask(`v1/detect?${query}`, { method: "POST", body: form, told, dialog });
}

async function loadModels() {
  try {
    const found = await ask("v1/models", { dialog });
    models = new Map(found.models.map((model) => [model.name, model]));
    $("model").replaceChildren(...found.models.map(({ name }) => new Option(name, name, false, name === found.default)));
  } catch (error) {
    complain(error.message);
  }
}

// --- what the page says

function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

// `share` is known while something is sent; what takes unknown time shows that it continues, and for how long.
let clock = null;
function working(text, share = null) {
  clearInterval(clock);
  const began = performance.now();
  const say = () => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    $("work-text").textContent = share === null && seconds ? `${text} ${seconds} s` : text;
  };
  $("work").hidden = !text;
  if (share === null) $("work-bar").removeAttribute("value");
  else $("work-bar").value = share;
  say();
  if (text && share === null) clock = setInterval(say, 1000);
}

// A new recording: what was known of the last one goes, and nothing is said of this one yet.
function begin(title, labels, thresholds) {
  complain("");
  pause();
  result = null;
  document.title = `${title} – auricle`;
  $("title").textContent = title;
  $("drop").classList.add("small");
  $("tags").replaceChildren();
  $("summary").replaceChildren();
  timeline.begin(labels, thresholds);
  timeline.movePlayhead(null);
  fillTable([]);
  $("none").hidden = $("result").hidden = true;
}

// While a recording continues, it has no number of events yet.
function summarise(seconds, events, flags, { over = true } = {}) {
  const part = (value, text) => {
    const span = document.createElement("span");
    span.append(Object.assign(document.createElement("b"), { textContent: value }), ` ${text}`);
    return span;
  };
  const parts = [part(`${seconds.toFixed(1)} s`, "of sound")];
  if (over || events.length) parts.push(part(events.length, events.length === 1 ? "event" : "events"));
  for (const { code } of flags) parts.push(part("⚑", SPEAKS_FLAG[code] ?? code.replaceAll("_", " ")));
  $("summary").replaceChildren(...parts);
}

function showTags(scores) {
  $("tags").replaceChildren(
    ...scores.map(({ label, score }) => {
      const item = document.createElement("li");
      item.style.setProperty("--score", score);
      item.style.setProperty("--hue", hueOf(timeline.labels.indexOf(label)));
      item.append(Object.assign(document.createElement("span"), { textContent: `${label} ${score.toFixed(2)}` }));
      return item;
    }),
  );
}

function fillTable(events) {
  const playable = Boolean($("audio").src);
  document.querySelector("#events tbody").replaceChildren(
    ...events.map((event) => {
      const row = document.createElement("tr");
      const cell = (...content) => row.insertCell().append(...content);
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: "▶", disabled: !playable });
      button.setAttribute("aria-label", `Play ${event.label} at ${event.onset.toFixed(1)} s`);
      button.addEventListener("click", () => playEvent(event));
      const dot = document.createElement("i");
      dot.className = "dot";
      dot.style.setProperty("--hue", timeline.hue(event.label));
      cell(button);
      cell(dot, event.label);
      cell(event.onset.toFixed(2));
      cell(event.offset === undefined ? "…" : event.offset.toFixed(2));
      cell(event.score === undefined ? "" : event.score.toFixed(2));
      return row;
    }),
  );
}

// --- a file

async function open(file) {
  if (live) return;
  const model = models.get($("model").value);
  if (!model) return complain("The server has no model yet; load the page again.");
  begin(file.name, model.labels, model.labels.map((label) => model.thresholds[label]));
  setSound(null);
  working("Sending …", 0);
  try {
    const told = (share) => (share < 1 ? working(`Sending … ${Math.floor(100 * share)} %`, share) : working("Scoring …"));
    const { scores, tags, ...found } = await send(file, told);
    result = found;
    duration = found.duration;
    timeline.addScores(scores.times, scores.values);
    timeline.events = found.events;
    $("result").hidden = false;
    setSound(file);
    showTags(tags);
    summarise(duration, found.events, found.flags);
    fillTable(found.events);
    $("none").hidden = found.events.length > 0;
    timeline.show(0, duration);
    $("said").textContent = `${file.name}: ${found.events.length} events.`;
    working("Drawing …");
    await picture(file);
  } catch (error) {
    complain(error.message);
  } finally {
    working("");
  }
}

// Decodes in the browser, for the picture alone; what it cannot decode still has its scores.
async function picture(file) {
  let sound;
  try {
    sound = await new OfflineAudioContext(1, 1, VIEW_RATE).decodeAudioData(await file.arrayBuffer());
  } catch {
    complain("The browser cannot draw or play this format; the scores are complete.");
    return;
  }
  const samples = sound.getChannelData(0);
  for (let c = 1; c < sound.numberOfChannels; c++) sound.getChannelData(c).forEach((x, i) => (samples[i] += x));
  const spectrogram = new Spectrogram(VIEW_RATE, Math.max(0.005, duration / MOST_COLUMNS));
  for (let start = 0; start < samples.length; start += 10 * VIEW_RATE) {
    spectrogram.push(samples.subarray(start, start + 10 * VIEW_RATE));
    await new Promise((resolve) => setTimeout(resolve));
  }
  timeline.spectrogram = spectrogram;
  timeline.show(0, duration);
}

// --- the player

function setSound(blob) {
  const audio = $("audio");
  if (audio.src) URL.revokeObjectURL(audio.src);
  if (blob) audio.src = URL.createObjectURL(blob);
  else audio.removeAttribute("src");
  $("player").hidden = !blob;
  $("track").classList.toggle("still", !blob);
}

function pause() {
  stopAt = null;
  $("audio").pause();
}

function seek(seconds) {
  stopAt = null;
  $("audio").currentTime = Math.min(Math.max(seconds, 0), duration);
  follow();
}

function playEvent(event) {
  if (!$("audio").src) return;
  seek(event.onset);
  stopAt = event.offset ?? null;
  $("audio").play();
}

function follow() {
  const audio = $("audio");
  if (stopAt !== null && audio.currentTime >= stopAt) pause();
  timeline.movePlayhead(audio.currentTime);
  $("clock").textContent = `${spell(audio.currentTime)} of ${spell(duration)}`;
  $("track").setAttribute("aria-valuemax", duration.toFixed(1));
  $("track").setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
  $("track").setAttribute("aria-valuetext", `${audio.currentTime.toFixed(1)} seconds`);
  $("play").classList.toggle("playing", !audio.paused);
  $("play").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
  if (!audio.paused) requestAnimationFrame(follow);
}

function toggle() {
  stopAt = null;
  if ($("audio").paused) $("audio").play();
  else $("audio").pause();
}

// --- the microphone

function setLevel(block) {
  const power = block.reduce((sum, x) => sum + x * x, 0) / block.length;
  const db = Math.max(LOWEST_DB, 10 * Math.log10(power + 1e-12));
  $("level").setAttribute("aria-valuenow", db.toFixed(0));
  $("level").firstElementChild.style.width = `${100 * (1 - db / LOWEST_DB)}%`;
}

function receive(message) {
  if (message.times) timeline.addScores(message.times, message.scores);
  else if (message.end) result.flags = message.end.flags;
  else if (message.onset !== undefined) receiveEvent(message);
}

function receiveEvent(message) {
  const begun = timeline.events.find((event) => event.label === message.label && event.onset === message.onset && event.offset === undefined);
  if (begun) Object.assign(begun, message);
  else timeline.events.push(message);
  const offset = message.offset === undefined ? "" : ` to ${message.offset.toFixed(1)}`;
  $("said").textContent = `${message.label}, ${message.onset.toFixed(1)}${offset} seconds`;
  fillTable(timeline.events.toReversed());
}

async function listen() {
  $("listen").disabled = $("choose").disabled = true;
  complain("");
  setSound(null);
  const spectrogram = { made: null };
  let drawn = 0;
  const session = new Live({
    ready: ({ labels, thresholds, latency_s }) => {
      begin("Listening …", labels, thresholds);
      $("result").hidden = false;
      timeline.spectrogram = spectrogram.made = new Spectrogram(session.rate, LIVE_COLUMN_S);
      result = { path: "microphone", duration: 0, flags: [], events: [], error: null };
      $("live").hidden = false;
      $("lag").textContent = `Scores follow the sound by up to ${latency_s.toFixed(1)} s.`;
    },
    block: (block) => {
      spectrogram.made.push(block);
      setLevel(block);
      const now = performance.now();
      if (now - drawn < 100) return;
      drawn = now;
      const { seconds } = spectrogram.made;
      summarise(seconds, timeline.events, [], { over: false });
      timeline.show(Math.max(0, seconds - LIVE_VIEW_S), Math.max(seconds, LIVE_VIEW_S));
    },
    message: receive,
    problem: complain,
    end: () => finish(session),
  });
  live = session;
  try {
    await session.start($("model").value, token());
  } catch (error) {
    session.abandon();
    live = null;
    $("listen").disabled = $("choose").disabled = false;
    complain(error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone." : error.message);
  }
}

// Turns what was recorded into a recording like any other.
function finish(session) {
  live = null;
  $("live").hidden = true;
  $("listen").disabled = $("choose").disabled = false;
  if (!timeline.spectrogram) return;
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  duration = timeline.spectrogram.seconds;
  const events = timeline.events.filter((event) => event.offset !== undefined);
  timeline.events = events;
  result = { ...result, path: `microphone ${stamp}`, duration, events };
  setSound(session.recording());
  $("title").textContent = "What was heard";
  summarise(duration, events, result.flags);
  fillTable(events);
  $("none").hidden = events.length > 0;
  timeline.show(0, duration);
}

// --- hands on

$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => {
  if ($("file").files.length) open($("file").files[0]);
  $("file").value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
});
$("listen").addEventListener("click", listen);
$("stop").addEventListener("click", () => live?.stop());
$("play").addEventListener("click", toggle);
for (const kind of ["play", "pause", "seeked", "loadedmetadata"]) $("audio").addEventListener(kind, follow);
$("track").addEventListener("click", (event) => {
  const box = $("track").getBoundingClientRect();
  if ($("audio").src) seek((duration * (event.clientX - box.left)) / box.width);
});
$("track").addEventListener("keydown", (event) => {
  if (!$("audio").src) return;
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
  if (event.key in moves) seek($("audio").currentTime + moves[event.key]);
  else if (event.key === "Home") seek(0);
  else if (event.key === "End") seek(duration);
  else if (event.key === " ") toggle();
  else return;
  event.preventDefault();
});
$("all").addEventListener("change", () => {
  timeline.all = $("all").checked;
  timeline.show(timeline.from, timeline.to);
});
for (const button of document.querySelectorAll("[data-format]")) {
  button.addEventListener("click", () => result && download(button.dataset.format, result));
}
window.addEventListener("resize", () => $("result").hidden || timeline.show(timeline.from, timeline.to));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => $("result").hidden || timeline.show(timeline.from, timeline.to));

loadModels();
