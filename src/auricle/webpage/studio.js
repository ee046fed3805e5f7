// SPDX-License-Identifier: Apache-2.0
// The studio: mark some sounds, find more of them, teach a model, correct it, and use it.

import { Cards } from "./cards.js";
import { spell } from "./clock.js";
import { Looks } from "./colours.js";
import { save } from "./downloads.js";
import { $, element, plural, soon } from "./elements.js";
import { Figure } from "./figure.js";
import { askForName } from "./naming.js";
import { Outbox } from "./outbox.js";
import { Player } from "./player.js";
import { RecordingList, showClasses, spellPrecision } from "./sidebar.js";
import { send, studio } from "./studio_client.js";

const STEPS = ["find", "teach", "review", "use"];
const SEARCHED = 20; // windows at once
const QUEUED = 20;
const REVIEWED = 60;
const BUSY_POLL_MS = 700;
const IDLE_POLL_MS = 15_000;
const EVERY_KEY = "auricle.studio.teach-every";
const LISTS = { find: "search", teach: "queue", review: "review" }; // steps with windows, and the source of their verdicts

const looks = new Looks();
let state = null;
let step = "find";
let current = null; // the class that everything is about
let lists = {}; // step -> {title, items, at, more, none}
let sinceTeaching = 0;
let teaching = false;
let refusal = { label: null, text: "" }; // of the threshold that was asked for last
let detecting = false; // until the server has begun
let undoing = false;
const history = []; // of changes on this page: {posts, item and before where it was a verdict}

// --- what the page says

const say = (text) => {
  $("said").textContent = $("said").textContent === text ? `${text} ` : text;
};

let complaining = null;
function complain(error) {
  clearTimeout(complaining);
  $("problem-text").textContent = error?.message ?? error ?? "";
  $("problem").hidden = !error;
  if (error) complaining = setTimeout(() => complain(null), 20_000);
}

let ticking = null;
function working(text) {
  clearInterval(ticking);
  const began = performance.now();
  const tick = () => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    $("work-text").textContent = seconds ? `${text} ${seconds} s` : text;
  };
  $("work").hidden = !text;
  $("work-bar").hidden = true;
  if (text) {
    tick();
    ticking = setInterval(tick, 1000);
  } else {
    showJob();
  }
}

const JOBS = { detect: "Detecting in all recordings", index: "Reading the recordings", teach: "Teaching" };
function showJob() {
  if (teaching) return;
  const { done, total } = state?.indexed ?? { done: 0, total: 0 };
  const job = state?.job ?? (done < total ? { kind: "index", done, total } : null);
  $("work").hidden = !job;
  if (!job) return;
  const far = job.kind === "index" ? `${spell(job.done, 0)} of ${spell(job.total, 0)}` : `${job.done} of ${job.total}`;
  $("work-text").textContent = `${JOBS[job.kind] ?? job.kind}: ${far}`;
  $("work-bar").hidden = false;
  $("work-bar").value = job.total ? job.done / job.total : 0;
}

// After a failure another folder may be served at this address: it gets nothing.
async function sendHere(...change) {
  if (outbox.reason && (await studio.state()).database !== state.database) throw new Error("another folder is served at this address now");
  return send(...change);
}

const outbox = new Outbox(sendHere, ({ waiting, refused, reason }) => {
  const stuck = refused > 0 || (waiting > 0 && reason);
  $("unsaved").hidden = !stuck;
  if (stuck) $("unsaved-text").textContent = refused ? `${plural(refused, "change was", "changes were")} not saved: ${reason}` : `${plural(waiting, "change waits", "changes wait")} to be saved, and will be sent again: ${reason}`;
});

// --- the state

const nameOfModel = ({ name, trained_at: at, labels }) => {
  const taught = at ? new Date(at) : null;
  const today = taught && taught.toDateString() === new Date().toDateString();
  const clock = taught?.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const when = taught ? ` · taught ${today ? clock : `${taught.toLocaleDateString()} ${clock}`}` : "";
  return `${name === "model" ? "Model" : `Model ${name}`} · ${plural(Array.isArray(labels) ? labels.length : labels, "class", "classes")}${when}`;
};

let polling = null;
async function refresh() {
  clearTimeout(polling);
  try {
    const before = state;
    state = await studio.state();
    showState(before);
  } catch (error) {
    complain(error);
  }
  const busy = state?.job || (state && state.indexed.done < state.indexed.total);
  clearTimeout(polling);
  polling = setTimeout(refresh, busy ? BUSY_POLL_MS : IDLE_POLL_MS);
}
const refreshSoon = soon(refresh, 150);

const classOf = (name) => state?.classes.find((found) => found.name === name) ?? null;

function showState(before) {
  const { classes, model, folder } = state;
  const title = folder.split(/[\\/]/).filter(Boolean).at(-1) ?? folder;
  if ($("title").textContent !== title) Object.assign($("title"), { textContent: title, title: folder });
  document.title = `${title} – auricle studio`;
  for (const { name } of classes) looks.of(name);
  if (!classOf(current)) current = classes[0]?.name ?? null;
  showClasses(classes, { looks, current, choose: chooseClass });
  $("model-state").textContent = model ? nameOfModel(model) : "No model yet";
  figure.setClasses(classes, current);
  showJob();
  showStep();
  const ended = before?.job && !state.job;
  if (ended && before.job.kind === "detect") afterDetection();
  if (state.failed && state.failed !== before?.failed) complain(state.failed);
  if (before && state.recordings !== before.recordings) loadRecordings();
}

function chooseClass(name) {
  current = name;
  showClasses(state.classes, { looks, current, choose: chooseClass });
  figure.setClasses(state.classes, current);
  showStep();
  if (step === "review") loadReview();
}

// --- steps

function showStep() {
  if (!state) return;
  const found = classOf(current), examples = found?.yes ?? 0;
  $("find-lead").replaceChildren(...(found
    ? [element("b", { textContent: current }), ` has ${plural(examples, "example")}. ${examples < 5 ? `Mark ${5 - examples} more, or look for similar sounds already.` : "Look for similar sounds in all recordings and judge them."}`]
    : ["Drag over a sound in the spectrogram and name it. Five examples are enough to begin."]));
  $("search").disabled = !examples;
  $("search").textContent = current ? `More like ${current}` : "More like these";
  const verdicts = state.classes.reduce((sum, { yes, no, unsure }) => sum + yes + no + unsure, 0);
  $("teach-lead").textContent = !verdicts
    ? "A model is taught from your examples and verdicts. Mark some sounds first, in step 1."
    : `A model is taught from ${plural(verdicts, "verdict")} in some seconds. Then judge those of which it is least sure, and some others.`;
  $("teach").disabled = teaching || !verdicts;
  $("review-lead").textContent = !state.model
    ? "There is no model yet: teach one first, in step 2."
    : state.stale_detections
    ? "These detections are of an older model: detect again to see what the model finds now. Your verdicts stay."
    : "Judge detections of all scores: then the threshold for the precision you want is known, with its interval. False alarms teach the next model.";
  $("detect").disabled = detecting || !state.model || Boolean(state.job);
  $("tune").disabled = !current || !state.model;
  $("tune-name").textContent = current ?? "a class";
  if (found && document.activeElement !== $("wanted")) $("wanted").value = Math.round(100 * (found.wanted_precision ?? 0.9));
  $("tuned").textContent = refusal.label === current ? refusal.text : describeThreshold(found);
  if (step === "use") showUse();
}

function describeThreshold(found) {
  if (!found || found.threshold === null || found.threshold === undefined) return "";
  return `Threshold ${found.threshold.toFixed(2)}${found.precision ? `: ${spellPrecision(found.precision)}` : ""}`;
}

function go(next, { focus = false } = {}) {
  if (lists[step]) lists[step].at = cards.at;
  step = next;
  for (const name of STEPS) {
    const tab = $(`tab-${name}`);
    tab.setAttribute("aria-selected", String(name === step));
    tab.tabIndex = name === step ? 0 : -1;
    $(`step-${name}`).hidden = name !== step;
  }
  document.body.dataset.step = step;
  window.history.replaceState(null, "", `#${step}`);
  $("recording").hidden = !figure.recording || !["find", "review"].includes(step);
  figure.showLanes(step === "review");
  showStep();
  showWindows();
  if (focus) $(`tab-${step}`).focus();
  if (step === "review" && state?.model && !lists.review) loadReview();
  if (step === "teach" && state?.model && !lists.teach) loadQueue();
}

function showWindows() {
  const list = lists[step];
  $("windows").hidden = !list;
  if (!list) return;
  $("windows-title").textContent = list.title;
  $("windows-none").hidden = list.items.length > 0;
  $("windows-none").textContent = list.none;
  $("verdicts").hidden = !list.items.length;
  $("windows-more").hidden = !list.more;
  cards.show(list.items, looks, list.at ?? 0);
  countWindows();
}

function countWindows() {
  const items = lists[step]?.items ?? [], judged = items.filter(({ verdict }) => verdict).length;
  $("windows-count").textContent = items.length ? `${judged} of ${lists[step].total ?? items.length} judged` : "";
}

function showList(where, list, { focus = true } = {}) {
  lists[where] = list;
  if (step !== where) return;
  showWindows();
  const first = list.items.findIndex(({ verdict }) => !verdict);
  if (focus && list.items.length) cards.focus(Math.max(0, first));
}

// --- find

async function search() {
  const label = current;
  $("search").disabled = true;
  working(`Looking for more like ${label} …`);
  try {
    await outbox.settled();
    const { windows } = await studio.search(label, SEARCHED);
    showList("find", { title: `Most like ${label}`, items: windows.map((found) => ({ ...found, label: found.label ?? label })), none: "Nothing that has no verdict yet." });
    say(`${plural(windows.length, "window")} like ${label}.`);
  } catch (error) {
    complain(error);
  } finally {
    working("");
    showStep();
  }
}

async function nameRegion(region) {
  const names = state.classes.map(({ name }) => name), fresh = region === figure.regions.draft;
  const ordered = [...new Set([region.label ?? current, ...names].filter(Boolean))];
  const label = await askForName({ title: "Which sound is it?", names: ordered, given: region.label ?? current ?? "", looks, removable: !fresh });
  if (label === null) return figure.focusRegion();
  if (label === "") return removeRegion(region);
  current = label;
  looks.of(label);
  const { recording } = figure;
  if (fresh) {
    figure.regions.cancel();
    const value = { recording: recording.id, onset: region.onset, offset: region.offset, label, verdict: "yes", source: "drawn", score: null, low_hz: null, high_hz: null };
    await saveLabel({ ...value, key: crypto.randomUUID() }, { ...value, path: recording.path });
  } else {
    await changeLabel(region, { label });
  }
  $("track").focus();
}

// A change that can be taken back.
async function changed(...change) {
  const entry = { posts: 1, item: null };
  history.push(entry);
  try {
    return await outbox.add(...change);
  } catch (error) {
    history.splice(history.indexOf(entry), 1);
    throw error;
  }
}

// Shown at once; saved when the server has it.
async function saveLabel(value, shown) {
  figure.addLabel(shown);
  try {
    const label = await changed("POST", "/labels", value);
    Object.assign(shown, label);
    say(`Saved: ${label.label}.`);
    countForTeaching();
  } catch (error) {
    figure.removeLabel(shown);
    complain(error);
  }
  figure.regions.draw();
  recordings.count(figure.recording.id, figure.recording.labels.length);
  refreshSoon();
}

async function changeLabel(region, change) {
  const before = { ...region };
  Object.assign(region, change);
  figure.regions.draw();
  try {
    if (!region.id) await outbox.settled();
    Object.assign(region, await changed("PATCH", `/labels/${encodeURIComponent(region.id)}`, change));
    say(`Saved: ${region.label}.`);
  } catch (error) {
    Object.assign(region, before);
    complain(error);
  }
  figure.regions.draw();
  refreshSoon();
}

async function removeRegion(region) {
  figure.removeLabel(region);
  try {
    if (!region.id) await outbox.settled();
    await changed("DELETE", `/labels/${encodeURIComponent(region.id)}`, null);
    say(`Deleted: ${region.label}.`);
  } catch (error) {
    figure.addLabel(region);
    complain(error);
  }
  recordings.count(figure.recording.id, figure.recording.labels.length);
  refreshSoon();
  $("track").focus();
}

// --- verdicts

function post(item, label, verdict) {
  const { recording, onset, offset, score = null } = item;
  const value = { recording, onset, offset, label, verdict, source: LISTS[step], score, key: crypto.randomUUID() };
  return outbox.add("POST", "/labels", value);
}

// `other` is the class that it is instead.
async function judge(item, verdict, other = null) {
  if (!item) return;
  const before = { verdict: item.verdict ?? null, other: item.other ?? null };
  const posts = [post(item, item.label, verdict)];
  if (other) posts.push(post(item, other, "yes"));
  const entry = { item, before, posts: posts.length, step };
  history.push(entry);
  Object.assign(item, { verdict, other });
  cards.update(item);
  countWindows();
  figure.judged(item);
  const over = !cards.advance();
  if (over) say(`All of these are judged. ${step === "find" ? "Look for more, or teach." : ""}`);
  try {
    const saved = await Promise.all(posts);
    item.label_id = saved[0].id;
    say(`${item.label}: ${other ? `no, but ${other}` : verdict}, saved.${over ? " All of these are judged." : ""}`);
    countForTeaching(posts.length);
  } catch {
    history.splice(history.indexOf(entry), 1); // what is not saved says the outbox
    Object.assign(item, before);
    cards.update(item);
  }
  refreshSoon();
  if (over && lists[step] && step === "find") $("search").focus();
}

async function judgeOther(item) {
  if (!item) return;
  const names = state.classes.map(({ name }) => name).filter((name) => name !== item.label);
  const label = await askForName({ title: `Not ${item.label}, but …`, names, looks });
  cards.focus(cards.items.indexOf(item));
  if (label === item.label) judge(item, "yes");
  else if (label) judge(item, "no", label);
}

async function undo() {
  if (undoing) return;
  undoing = true;
  try {
    await outbox.settled();
    const entry = history.pop();
    let undone = null;
    for (let i = 0; i < (entry?.posts ?? 1); i++) undone = (await studio.undo()).undone;
    if (entry?.item) {
      Object.assign(entry.item, entry.before);
      if (lists[step]?.items.includes(entry.item)) {
        cards.update(entry.item);
        cards.focus(cards.items.indexOf(entry.item));
      }
      countWindows();
    }
    say(undone ? `Taken back: ${entry?.item?.label ?? undone.label ?? "the last change"}.` : "There is nothing to take back.");
    figure.reload();
  } catch (error) {
    complain(error);
  } finally {
    undoing = false;
    refreshSoon();
  }
}

function onCardKey(press, item) {
  if (press.ctrlKey || press.metaKey) return press.key === "z" && (undo(), true);
  if (press.altKey) return false;
  const key = press.key.toLowerCase();
  if (key === "z" || (key === "u" && press.shiftKey)) undo();
  else if (key === "y" || key === "n" || key === "u") judge(item, { y: "yes", n: "no", u: "unsure" }[key]);
  else if (key === "o") judgeOther(item);
  else if (key === " ") playItem(item);
  else if (key === "enter") openItem(item);
  else if (/^[1-9]$/.test(key)) pick(item, state.classes[Number(key) - 1]?.name);
  else return false;
  return true;
}

function pick(item, label) {
  if (!label) return;
  if (label === item.label) judge(item, "yes");
  else judge(item, "no", label);
}

function playItem(item) {
  if (item) player.play(item.recording, item.onset, item.offset);
}

function onCardFocus(item, next) {
  playItem(item);
  if (next) player.prepare(next.recording, next.onset, next.offset);
  if (step === "review") figure.follow(item);
}

async function openItem(item) {
  if (!item) return;
  if (step !== "review") go("find");
  await figure.show(item.recording, item);
  $("recording").scrollIntoView({ block: "nearest" });
  $("track").focus();
}

// --- teach

function countForTeaching(count = 1) {
  sinceTeaching += count;
  const every = Number($("teach-every").value);
  // A model that is reviewed stays: the detections in the list would be of an older one.
  if (every && sinceTeaching >= every && !teaching && step !== "review") teach(true);
}

async function teach(alone = false) {
  if (teaching) return;
  teaching = true;
  $("teach").disabled = true;
  working("Teaching …");
  try {
    await outbox.settled();
    sinceTeaching = 0;
    const { model, seconds, labels } = await studio.teach();
    state.model = model;
    showState(state);
    say(`Taught from ${plural(Array.isArray(labels) ? labels.length : labels, "label")} in ${seconds.toFixed(1)} s.`);
    const over = !lists.teach || lists.teach.items.every(({ verdict }) => verdict);
    if (!alone || (step === "teach" && over)) await loadQueue();
    else if (over) lists.teach = undefined;
  } catch (error) {
    if (!alone || error.status !== 409) complain(error);
  } finally {
    teaching = false;
    working("");
    refresh();
  }
}

async function loadQueue() {
  try {
    const { items } = await studio.queue(null, QUEUED);
    showList("teach", { title: "To judge next", items, none: "Nothing is left to judge: every window has a verdict." });
  } catch (error) {
    if (error.status === 409) showList("teach", { title: "To judge next", items: [], none: error.plain });
    else complain(error);
  }
}

// --- review

async function loadReview({ more = false } = {}) {
  const order = $("order").value, had = more ? lists.review.items : [];
  try {
    const query = { order, offset: had.length, limit: REVIEWED, ...(current ? { label: current } : {}) };
    const { total, detections } = await studio.detections(query);
    const items = [...had, ...detections];
    const list = { title: current ? `Detections of ${current}` : "Detections", items, total, at: had.length, more: items.length < total, none: "No detections yet: press Detect in all recordings." };
    showList("review", list, { focus: more });
    if (!more && items.length && step === "review") figure.follow(items[0]);
  } catch (error) {
    if (error.status === 409) showList("review", { title: "Detections", items: [], none: error.plain });
    else complain(error);
  }
}

async function detect() {
  detecting = true;
  showStep();
  try {
    await outbox.settled();
    state.job = (await studio.detect()).job;
    showJob();
  } catch (error) {
    complain(error);
  } finally {
    detecting = false;
    showStep();
    refresh();
  }
}

function afterDetection() {
  say("Detection is done.");
  figure.reload();
  if (step === "review") loadReview();
  else lists.review = undefined;
}

async function tune(event) {
  event.preventDefault();
  const precision = Number($("wanted").value) / 100, label = current;
  refusal = { label: null, text: "" };
  try {
    await outbox.settled();
    const found = await studio.tune(label, precision);
    await refresh();
    $("tuned").textContent = `Threshold ${found.threshold.toFixed(2)} keeps ${plural(found.kept, "detection")}: ${spellPrecision(found.precision)}`;
  } catch (error) {
    if (error.status !== 409) return complain(error);
    refusal = { label, text: error.plain };
    showStep();
  }
}

let thresholdTimer = null;
function onThreshold(label, threshold) {
  clearTimeout(thresholdTimer);
  refusal = { label: null, text: "" };
  $("tuned").textContent = `Threshold ${threshold.toFixed(2)}`;
  thresholdTimer = setTimeout(async () => {
    try {
      await studio.classOf(label, { threshold });
      say(`Threshold of ${label}: ${threshold.toFixed(2)}, saved.`);
    } catch (error) {
      complain(error);
    }
    refresh();
  }, 500);
}

// --- use

function copyButton(text) {
  const button = element("button", { type: "button", textContent: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      say("Copied.");
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}

function commandsOf({ folder, model, commands }) {
  if (commands) return commands;
  const quoted = (path) => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`);
  const from = quoted(folder), path = model && quoted(model.path);
  return path
    ? [
        { title: "Detect in new recordings", text: `auricle detect NEW --model ${path} --out events/` },
        { title: "Detect, and write each event as a file", text: `auricle detect NEW --model ${path} --clips clips/` },
        { title: "Put it into a web page", text: `auricle export ${path} --web site/` },
        { title: "Train on all that was confirmed: download Audacity below, then", text: `unzip -o ~/Downloads/${SUFFIXES.audacity} -d ${from} && auricle train ${from} --out models/mine` },
      ]
    : [];
}

let used = "";
function showUse() {
  const { model, classes, folder, database, duration } = state;
  $("use-lead").textContent = model ? "The model is a folder like any other: these commands use it as it is now." : "There is no model yet: teach one first, in step 2. Labels can be exported at any time.";
  const now = JSON.stringify([model, classes.map(({ name }) => name), folder, state.commands]);
  if (now === used) return;
  used = now;
  $("commands").replaceChildren(...commandsOf(state).map(({ title, text }) => element("li", {}, element("p", { textContent: title }), element("code", { textContent: text, tabIndex: 0 }), copyButton(text))));
  const chosen = $("cutouts-label").value;
  $("cutouts-label").replaceChildren(new Option("all", ""), ...classes.map(({ name }) => new Option(name, name, false, name === chosen)));
  const facts = { Folder: folder, Recordings: `${state.recordings}, ${(duration / 3600).toFixed(1)} h`, Database: database, ...(model ? { Model: model.path, "Taught in": `${model.seconds?.toFixed?.(1) ?? "?"} s` } : {}) };
  $("facts").replaceChildren(...Object.entries(facts).map(([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value }))));
}

async function cutOut(event) {
  event.preventDefault();
  $("cutouts-done").textContent = "Writing …";
  try {
    await outbox.settled();
    const { folder, files } = await studio.cutouts({ label: $("cutouts-label").value || null, lead: Number($("cutouts-lead").value), tail: Number($("cutouts-tail").value), format: $("cutouts-format").value });
    $("cutouts-done").textContent = `${plural(files, "file")} in ${folder}`;
  } catch (error) {
    $("cutouts-done").textContent = "";
    complain(error);
  }
}

const SUFFIXES = { csv: "labels.csv", raven: "labels-raven.zip", audacity: "labels-audacity.zip", json: "labels.json" };
async function exportLabels(format) {
  try {
    await outbox.settled();
    save(await studio.exported(format), SUFFIXES[format]);
    say("Downloaded.");
  } catch (error) {
    complain(error);
  }
}

// --- hands on

const player = new Player(studio.audio, () => figure.onPlayer(), complain);
const figure = new Figure({ looks, player, client: studio, complain, onThreshold, nameRegion, removeRegion, moved: (region) => changeLabel(region, { onset: region.onset, offset: region.offset }), say });
const cards = new Cards($("grid"), { focus: onCardFocus, key: onCardKey }, studio.smallTile);
const recordings = new RecordingList((id) => {
  if (!["find", "review"].includes(step)) go("find");
  figure.show(id);
});
figure.onOpen = (recording) => {
  recordings.choose(recording.id);
  $("recording").hidden = !["find", "review"].includes(step);
};

let loading = false;
async function loadRecordings() {
  if (loading) return;
  loading = true;
  try {
    recordings.recordings = [];
    for await (const { total, recordings: found } of studio.recordings()) {
      recordings.add(found, total);
      const readable = found.find(({ duration }) => duration);
      if (!figure.recording && readable) figure.show(readable.id);
    }
  } catch (error) {
    complain(error);
  } finally {
    loading = false;
  }
}

function onTabKey(press) {
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }, at = STEPS.indexOf(step);
  if (press.key in moves) go(STEPS[(at + moves[press.key] + STEPS.length) % STEPS.length], { focus: true });
  else if (press.key === "Home" || press.key === "End") go(press.key === "Home" ? STEPS[0] : STEPS.at(-1), { focus: true });
  else return;
  press.preventDefault();
}

function onKey(press) {
  if ((press.ctrlKey || press.metaKey) && press.key === "z" && !press.target.closest("input, dialog")) {
    undo();
    return press.preventDefault();
  }
  if (press.ctrlKey || press.metaKey || press.altKey || press.target.closest("input, select, summary, dialog, a")) return;
  if ($("recording").hidden || (press.target.closest("button") && (press.key === " " || press.key === "Enter"))) return;
  if (figure.onKey(press)) press.preventDefault();
}

function wire() {
  for (const name of STEPS) $(`tab-${name}`).addEventListener("click", () => go(name));
  $("steps").addEventListener("keydown", onTabKey);
  document.addEventListener("keydown", onKey);
  $("search").addEventListener("click", search);
  $("teach").addEventListener("click", () => teach());
  $("detect").addEventListener("click", detect);
  $("tune-form").addEventListener("submit", tune);
  $("order").addEventListener("change", () => loadReview());
  $("windows-more").addEventListener("click", () => loadReview({ more: true }));
  $("cutouts-form").addEventListener("submit", cutOut);
  $("problem-close").addEventListener("click", () => complain(null));
  $("unsaved-retry").addEventListener("click", () => outbox.retry());
  $("teach-every").value = localStorage.getItem(EVERY_KEY) ?? "10";
  $("teach-every").addEventListener("change", () => localStorage.setItem(EVERY_KEY, $("teach-every").value));
  for (const button of document.querySelectorAll("[data-format]")) button.addEventListener("click", () => exportLabels(button.dataset.format));
  $("verdicts").addEventListener("click", (click) => {
    const { verdict, action } = click.target.closest("button")?.dataset ?? {};
    if (verdict) judge(cards.current, verdict);
    else if (action) ({ other: judgeOther, undo, open: openItem })[action](cards.current);
  });
  const narrow = matchMedia("(max-width: 900px)");
  const fold = () => {
    $("recordings-box").open = !narrow.matches;
    $("classes-box").open = true;
  };
  narrow.addEventListener("change", fold);
  fold();
}

async function start() {
  wire();
  const asked = location.hash.slice(1);
  await refresh();
  if (state) outbox.start(`auricle.studio.outbox ${state.database}`);
  go(STEPS.includes(asked) ? asked : "find");
  await loadRecordings();
  document.documentElement.dataset.ready = "yes";
}

start();
