// SPDX-License-Identifier: Apache-2.0
// The page: a recording or the microphone in, what occurs and when out. Where scores come from is the business of a
// source: {promise, models(), analyse(file, model, told), live(on), given}.

import { spell } from "./clock.js";
import { FORMATS, download } from "./downloads.js";
import { MemorySound, encodeWav, openSound } from "./sound.js";
import { fillClasses, fillTable } from "./table.js";
import { Timeline, overlap } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const LIVE_VIEW_S = 20;
const LOWEST_DB = -60;
const FLAG_TEXTS = {
  clipped: "clipped", truncated: "cut off", silent: "silent", band_limited: "low sample rate", nonfinite: "damaged samples",
};

const timeline = new Timeline(
  {
    ...{ stage: $("stage"), wave: $("wave"), picture: $("picture"), lanes: $("lanes"), laneNames: $("lane-names") },
    ...{ pitch: $("pitch"), axis: $("axis"), overview: $("overview"), playhead: $("playhead") },
  },
  { event: playEvent, seek, thresholds: onThreshold, view: onView },
);
let source = null;
let models = new Map();
let result = null; // what the downloads hold, but its events
let duration = 0;
let stopAt = null;
let live = null;
let allRows = false;

// --- what the page says

function complain(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

// `share` is known while something is sent; what takes unknown time shows that it continues, and for how long.
let ticking = null;
function working(text, share = null) {
  clearInterval(ticking);
  const began = performance.now();
  const say = () => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    $("work-text").textContent = share === null && seconds ? `${text} ${seconds} s` : text;
  };
  $("work").hidden = !text;
  if (share === null) $("work-bar").removeAttribute("value");
  else $("work-bar").value = share;
  say();
  if (text && share === null) ticking = setInterval(say, 1000);
}

// A new recording: what was known of the last one goes, and nothing is said of this one yet.
function begin(title, labels, thresholds, rule) {
  complain("");
  pause();
  result = null;
  allRows = false;
  document.title = `${title} – auricle`;
  $("title").textContent = title;
  $("drop").classList.add("small");
  $("tags").replaceChildren();
  $("summary").replaceChildren();
  timeline.begin(labels, thresholds, rule);
  $("legend").hidden = true;
  $("none").hidden = $("result").hidden = true;
  $("filter").open = false;
}

// While a recording continues, it has no number of events yet.
function summarise(seconds, flags, { over = true } = {}) {
  const part = (value, text) => {
    const span = document.createElement("span");
    span.append(Object.assign(document.createElement("b"), { textContent: value }), ` ${text}`);
    return span;
  };
  const { events, truth } = timeline, parts = [part(spell(seconds), "of sound")];
  if (truth) {
    const found = truth.filter((true_) => events.some((event) => overlap(true_, event))).length;
    parts.push(part(`${found} of ${truth.length}`, "true events found"), part(truth.length - found, "missed"));
    parts.push(part(events.filter((event) => !truth.some((true_) => overlap(true_, event))).length, "false"));
  } else if (over || events.length) {
    parts.push(part(events.length, events.length === 1 ? "event" : "events"));
  }
  for (const { code } of flags) parts.push(part("⚑", FLAG_TEXTS[code] ?? code.replaceAll("_", " ")));
  $("summary").replaceChildren(...parts);
}

function showTags(scores) {
  $("tags").replaceChildren(
    ...scores.map(({ label, score }) => {
      const item = document.createElement("li");
      item.style.setProperty("--score", score);
      item.style.setProperty("--hue", timeline.looks.of(label).hue);
      item.append(Object.assign(document.createElement("span"), { textContent: `${label} ${score.toFixed(2)}` }));
      return item;
    }),
  );
}

// Events, and true ones that were missed, in the order of time.
function tableRows() {
  const events = timeline.shownEvents(), { truth } = timeline;
  if (!truth) return live ? events.toReversed() : events;
  const shown = new Set(timeline.shownLabels());
  const missed = truth.filter((true_) => shown.has(true_.label) && !events.some((event) => overlap(true_, event)));
  const judged = events.map((event) => ({ ...event, verdict: truth.some((true_) => overlap(true_, event)) ? "found" : "false" }));
  return [...judged, ...missed.map(({ label, onset, offset }) => ({ label, onset, offset, verdict: "missed" }))].sort((a, b) => a.onset - b.onset);
}

function showEvents() {
  const shown = timeline.shownEvents().length, { length } = timeline.events;
  $("events-title").textContent = shown < length ? `Events: ${shown} of ${length}, those of the classes shown` : "Events";
  const left = fillTable($("events"), tableRows(), { looks: timeline.looks, all: allRows, playable: Boolean($("audio").src), play: playEvent });
  $("more").hidden = left === 0;
  $("more").textContent = `Show ${left} more`;
  $("none").hidden = timeline.events.length > 0 || Boolean(live);
}

function showClasses() {
  const shown = timeline.rows.size, { labels } = timeline;
  $("filter-text").textContent = `Classes: ${shown} of ${labels.length} shown`;
  $("filter").hidden = labels.length < 2;
  if ($("filter").open) fillClasses($("filter-list"), timeline, $("filter-find").value, (label, on) => {
    timeline.choose(label, on);
    showEvents();
    showClasses();
  });
}

let waiting = false;
function onThreshold() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    showEvents();
    summarise(duration, result?.flags ?? []);
    showClasses();
  });
}

function onView() {
  $("view").textContent = timeline.describeView();
  $("zoom-out").disabled = $("zoom-all").disabled = !timeline.zoomed;
}

// --- a recording

async function open(file) {
  if (live) return;
  const model = models.get($("model").value);
  if (!model) return complain("There is no model yet; load the page again.");
  begin(file.name, model.labels, model.labels.map((label) => model.thresholds[label]), model.rule);
  play(null);
  working("Sending …", 0);
  try {
    const told = (text, share = null) => working(text, share);
    show(await source.analyse(file, model, told));
    play(URL.createObjectURL(file));
    working("Drawing …");
    await drawSound(file);
  } catch (error) {
    complain([400, 415].includes(error.status) ? `${file.name} cannot be used: ${error.message}` : error.message);
  } finally {
    working("");
  }
}

// found: {path, duration, flags, events, error, tags, scores}
function show({ scores, tags = [], ...found }) {
  result = { ...found, tags };
  duration = timeline.duration = found.duration;
  if (scores) timeline.setScores(scores);
  timeline.events = found.events;
  timeline.live = false;
  $("result").hidden = false;
  showTags(tags);
  timeline.show(0, duration);
  summarise(duration, found.flags);
  showEvents();
  showClasses();
  $("said").textContent = `${found.path}: ${found.events.length} events.`;
}

// What the browser cannot decode still has its scores.
async function drawSound(file) {
  try {
    timeline.setSound(await openSound(file, duration));
    timeline.show(timeline.from, timeline.to);
  } catch (error) {
    complain(error.message);
  }
}

// --- the player

function play(address) {
  const audio = $("audio");
  if (audio.src.startsWith("blob:")) URL.revokeObjectURL(audio.src);
  if (address) audio.src = address;
  else audio.removeAttribute("src");
  $("player").hidden = !address;
  $("stage").classList.toggle("still", !address);
  if (!$("result").hidden) showEvents();
}

function pause() {
  stopAt = null;
  $("audio").pause();
}

function seek(seconds) {
  if (!$("audio").src) return;
  stopAt = null;
  $("audio").currentTime = Math.min(Math.max(seconds, 0), duration);
  follow();
}

function playEvent(event) {
  timeline.reveal(event.onset, event.offset);
  if (!$("audio").src) return;
  seek(event.onset);
  stopAt = event.offset ?? null;
  $("audio").play();
}

function follow() {
  const audio = $("audio");
  if (stopAt !== null && audio.currentTime >= stopAt) pause();
  if (!audio.paused && timeline.zoomed && audio.currentTime > timeline.to) timeline.pan(1);
  timeline.movePlayhead(audio.currentTime);
  $("clock").textContent = `${spell(audio.currentTime)} of ${spell(duration)}`;
  $("track").setAttribute("aria-valuemax", duration.toFixed(1));
  $("track").setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
  $("track").setAttribute("aria-valuetext", spell(audio.currentTime));
  $("play").classList.toggle("playing", !audio.paused);
  $("play").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
  if (!audio.paused) requestAnimationFrame(follow);
}

function toggle() {
  stopAt = null;
  if ($("audio").paused) $("audio").play();
  else $("audio").pause();
}

function step(by) {
  const now = $("audio").currentTime, events = timeline.shownEvents();
  const next = by > 0 ? events.find((event) => event.onset > now + 0.01) : events.findLast((event) => event.onset < now - 0.01);
  if (next) {
    timeline.reveal(next.onset, next.offset);
    seek(next.onset);
  }
}

// --- the microphone

function setLevel(block) {
  const power = block.reduce((sum, x) => sum + x * x, 0) / block.length;
  const db = Math.max(LOWEST_DB, 10 * Math.log10(power + 1e-12));
  $("level").setAttribute("aria-valuenow", db.toFixed(0));
  $("level").firstElementChild.style.width = `${100 * (1 - db / LOWEST_DB)}%`;
}

function take(message) {
  if (message.times) timeline.addScores(message.times, message.scores);
  else if (message.end) result.flags = message.end.flags;
  else if (message.onset !== undefined) takeEvent(message);
}

function takeEvent(message) {
  const begun = timeline.events.find((event) => event.label === message.label && event.onset === message.onset && event.offset === undefined);
  if (begun) Object.assign(begun, message);
  else timeline.events.push(message);
  timeline.makeRows();
  $("said").textContent = `${message.label}, ${spell(message.onset)}${message.offset === undefined ? "" : ` to ${spell(message.offset)}`}`;
  showEvents();
}

async function listen() {
  $("listen").disabled = $("choose").disabled = true;
  complain("");
  play(null);
  let drawn = 0, sound = null;
  const session = source.live({
    ready: ({ labels, thresholds, latency_s }) => {
      begin("Listening …", labels, thresholds, null);
      timeline.live = true;
      $("result").hidden = false;
      sound = new MemorySound(session.rate);
      timeline.setSound(sound);
      result = { path: "microphone", duration: 0, flags: [], events: [], error: null };
      $("live").hidden = false;
      $("zoom").hidden = true;
      $("lag").textContent = `Scores follow the sound by up to ${latency_s.toFixed(1)} s.`;
    },
    block: (block) => {
      sound.push(block);
      setLevel(block);
      const now = performance.now();
      if (now - drawn < 100) return;
      drawn = now;
      timeline.duration = Math.max(sound.seconds, LIVE_VIEW_S);
      timeline.show(Math.max(0, sound.seconds - LIVE_VIEW_S), Math.max(sound.seconds, LIVE_VIEW_S));
      summarise(sound.seconds, [], { over: false });
      showClasses();
    },
    message: take,
    problem: complain,
    end: () => finish(session, sound),
  });
  live = session;
  try {
    await session.start(models.get($("model").value) ?? { name: $("model").value });
  } catch (error) {
    session.abandon();
    live = null;
    $("listen").disabled = $("choose").disabled = false;
    complain(error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone." : error.message);
  }
}

// Turns what was recorded into a recording like any other.
function finish(session, sound) {
  live = null;
  $("live").hidden = true;
  $("zoom").hidden = false;
  $("listen").disabled = $("choose").disabled = false;
  if (!sound) return;
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  duration = timeline.duration = sound.seconds;
  timeline.live = false;
  timeline.events = timeline.events.filter((event) => event.offset !== undefined);
  result = { ...result, path: `microphone ${stamp}`, duration };
  const samples = sound.whole();
  play(samples && URL.createObjectURL(encodeWav(samples, sound.rate)));
  $("title").textContent = "What was recorded";
  timeline.show(0, duration);
  summarise(duration, result.flags);
  showEvents();
  showClasses();
}

// --- hands on

const KEYS = {
  "+": () => timeline.zoom(0.5), "=": () => timeline.zoom(0.5), "-": () => timeline.zoom(2), "0": () => timeline.show(0, duration),
  "[": () => timeline.pan(-0.5), "]": () => timeline.pan(0.5), n: () => step(1), p: () => step(-1), " ": () => $("audio").src && toggle(),
};

function onKey(press) {
  if (press.ctrlKey || press.metaKey || press.altKey || $("result").hidden || live) return;
  if (press.target.closest("input, select, button, summary, dialog, audio, a") && press.target.type !== "checkbox") return;
  if (press.target.type === "checkbox" && press.key === " ") return;
  const action = KEYS[press.key] ?? KEYS[press.key.toLowerCase()];
  if (!action) return;
  action();
  press.preventDefault();
}

function onTrackKey(press) {
  const { currentTime } = $("audio"), small = timeline.zoomed ? (timeline.to - timeline.from) / 20 : 1;
  const moves = { ArrowLeft: -small, ArrowRight: small, ArrowDown: -small, ArrowUp: small, PageDown: -10 * small, PageUp: 10 * small };
  if (press.key in moves) seek(currentTime + moves[press.key]);
  else if (press.key === "Home" || press.key === "End") seek(press.key === "Home" ? 0 : duration);
  else return;
  timeline.reveal($("audio").currentTime);
  press.preventDefault();
}

function onDrop(event) {
  event.preventDefault();
  if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
}

function redraw() {
  if (!$("result").hidden) timeline.draw();
}

function wire() {
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    if ($("file").files.length) open($("file").files[0]);
    $("file").value = "";
  });
  if (!source.given) {
    for (const kind of ["dragenter", "dragover"]) {
      document.addEventListener(kind, (event) => {
        event.preventDefault();
        $("drop").classList.add("over");
      });
    }
    for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => $("drop").classList.remove("over"));
    document.addEventListener("drop", onDrop);
  }
  $("listen").addEventListener("click", listen);
  $("stop").addEventListener("click", () => live?.stop());
  $("play").addEventListener("click", toggle);
  for (const kind of ["play", "pause", "seeked", "loadedmetadata"]) $("audio").addEventListener(kind, follow);
  $("track").addEventListener("click", (event) => timeline.wasDragged() || seek(timeline.secondsAt(event.clientX)));
  $("track").addEventListener("keydown", onTrackKey);
  document.addEventListener("keydown", onKey);
  $("zoom-in").addEventListener("click", KEYS["+"]);
  $("zoom-out").addEventListener("click", KEYS["-"]);
  $("zoom-all").addEventListener("click", KEYS["0"]);
  $("filter").addEventListener("toggle", showClasses);
  $("filter-find").addEventListener("input", showClasses);
  $("filter-reset").addEventListener("click", () => {
    timeline.chosen = null;
    timeline.draw();
    showEvents();
    showClasses();
  });
  $("more").addEventListener("click", () => {
    allRows = true;
    showEvents();
  });
  for (const button of document.querySelectorAll("[data-format]")) {
    button.addEventListener("click", () => result && download(button.dataset.format, { ...result, events: timeline.shownEvents() }, source.bandHz?.(result)));
  }
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

// A recording that the page came with: {name, labels, thresholds, rule, result, truth, facts, sound: promise, address}.
async function showGiven({ title, labels, thresholds, rule, found, truth, facts, sound, address }) {
  begin(title, labels, thresholds, rule);
  document.title = title;
  timeline.truth = truth;
  $("legend").hidden = !truth;
  show(found);
  play(address);
  for (const [name, value] of Object.entries(facts)) {
    const fact = document.createElement("div");
    fact.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: value }));
    $("facts").append(fact);
  }
  $("facts-section").hidden = !Object.keys(facts).length;
  if (address) timeline.setSound(await sound());
  else complain("The recording is too long to be part of this page.");
  timeline.draw();
}

export async function start(theSource) {
  source = theSource;
  wire();
  try {
    if (source.given) return await showGiven(source.given);
    $("drop").hidden = false;
    $("promise").textContent = source.promise;
    const found = await source.models();
    models = new Map(found.models.map((model) => [model.name, model]));
    $("model").replaceChildren(...found.models.map(({ name }) => new Option(name, name, false, name === found.default)));
    $("choice").hidden = false;
  } catch (error) {
    complain(error.message);
  } finally {
    document.documentElement.dataset.ready = "yes";
  }
}

export const formats = Object.keys(FORMATS);
