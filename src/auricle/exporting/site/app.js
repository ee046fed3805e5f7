// SPDX-License-Identifier: Apache-2.0
// The page: a file or the microphone in, scores and events out.
import { analyse, decode, loadModel } from "./engine.js";
import { listen } from "./microphone.js";

const $ = (id) => document.getElementById(id);
const SHOWN = 8, DETECTED = 50;
let model = null, stop = null;

const rounded = (x) => Number(x.toPrecision(6));
const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(2).padStart(5, "0")}`;

function say(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function showBars(list, scores) {
  list.replaceChildren(...scores.slice(0, SHOWN).map(({ label, score }) => {
    const row = element("li"), meter = element("meter");
    meter.value = score;
    meter.setAttribute("aria-label", label);
    row.append(element("span", label), meter, element("span", score.toFixed(3)));
    return row;
  }));
}

function drawWave(samples, events, duration) {
  const canvas = $("wave"), pen = canvas.getContext("2d"), { width, height } = canvas;
  const style = getComputedStyle(document.documentElement), hue = style.getPropertyValue("--hue");
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = hue;
  pen.globalAlpha = 0.25;
  for (const e of events) pen.fillRect((e.onset / duration) * width, 0, Math.max(2, ((e.offset - e.onset) / duration) * width), height);
  pen.globalAlpha = 1;
  pen.fillStyle = style.getPropertyValue("--ink-2");
  let loudest = 1e-4;
  for (const x of samples) loudest = Math.max(loudest, Math.abs(x));
  for (let x = 0; x < width; x++) {
    const from = Math.floor((x * samples.length) / width), to = Math.max(from + 1, Math.floor(((x + 1) * samples.length) / width));
    let peak = 0;
    for (let i = from; i < to && i < samples.length; i++) peak = Math.max(peak, Math.abs(samples[i]));
    const half = Math.max(1, (0.48 * height * peak) / loudest);
    pen.fillRect(x, height / 2 - half, 1, 2 * half);
  }
  canvas.setAttribute("aria-label", `Waveform of ${clock(duration)} with ${events.length} events`);
}

function showEvents(events) {
  $("none").hidden = events.length > 0;
  $("events").hidden = events.length === 0;
  $("events").tBodies[0].replaceChildren(...events.map((e) => {
    const row = element("tr"), cell = element("td"), play = element("button", "play");
    play.setAttribute("aria-label", `play ${e.label} at ${clock(e.onset)}`);
    play.addEventListener("click", () => {
      $("player").currentTime = e.onset;
      $("player").play();
    });
    cell.append(play);
    row.append(...[clock(e.onset), clock(e.offset), e.label, e.score.toFixed(3)].map((text) => element("td", text)), cell);
    return row;
  }));
}

function offer(id, text, type) {
  URL.revokeObjectURL($(id).href);
  $(id).href = URL.createObjectURL(new Blob([text], { type }));
}

// The JSON of `auricle tag` and `auricle detect` in one object.
function asJson(name, found) {
  const scores = found.scores.map(({ label, score }) => ({ label, score: rounded(score) }));
  const events = found.events.map((e) => ({ label: e.label, onset: rounded(e.onset), offset: rounded(e.offset), score: rounded(e.score) }));
  return JSON.stringify({ path: name, duration: rounded(found.duration), flags: [], scores, events, error: null });
}

function show(file, samples, found) {
  $("result").hidden = false;
  $("title").textContent = file.name;
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(file);
  drawWave(samples, found.events, found.duration);
  showBars($("scores"), found.scores);
  showEvents(found.events);
  offer("json", asJson(file.name, found), "application/json");
  const rows = found.events.map((e) => `${e.onset.toFixed(6)}\t${e.offset.toFixed(6)}\t${e.label.replace(/\s/g, " ")}\n`);
  offer("labels", rows.join(""), "text/plain");
}

async function take(file) {
  if (!file || !model) return;
  $("progress").hidden = false;
  $("progress").value = 0;
  try {
    say(`Decoding ${file.name} …`);
    const samples = await decode(await file.arrayBuffer(), model.spec).catch(() => {
      throw new Error(`this browser cannot decode ${file.name}; try WAV, FLAC, MP3 or Ogg`);
    });
    say(`Listening to ${file.name} …`);
    const begun = performance.now();
    const found = await analyse(model, samples, (share) => ($("progress").value = share));
    show(file, samples, found);
    say(`${clock(found.duration)} of sound in ${((performance.now() - begun) / 1000).toFixed(1)} s: ${found.scores[0].label} ${found.scores[0].score.toFixed(2)}.`);
  } catch (error) {
    say(`That did not work: ${error.message}`, true);
  } finally {
    $("progress").hidden = true;
  }
}

async function toggleMicrophone() {
  if (stop) {
    stop();
    stop = null;
  } else {
    const { spec } = model, above = new Set();
    $("detected").replaceChildren();
    stop = await listen(model, (clip, second) => {
      const scores = spec.labels.map((label, i) => ({ label, score: clip[i] })).sort((a, b) => b.score - a.score);
      showBars($("meters"), scores);
      for (const { label, score } of scores) {
        const is = score >= spec.thresholds[label];
        if (is && !above.has(label)) $("detected").prepend(element("li", `${clock(second)} ${label} ${score.toFixed(2)}`));
        is ? above.add(label) : above.delete(label);
      }
      while ($("detected").childElementCount > DETECTED) $("detected").lastElementChild.remove();
    });
  }
  $("live").hidden = !stop;
  $("microphone").setAttribute("aria-pressed", String(Boolean(stop)));
  $("microphone").textContent = stop ? "Stop listening" : "Listen with the microphone";
}

async function begin() {
  try {
    model = await loadModel();
  } catch (error) {
    $("about").textContent = "";
    say(`The model could not be loaded: ${error.message}. Serve this folder over HTTP: python -m http.server`, true);
    return;
  }
  const { spec, site } = model;
  document.title = $("name").textContent = spec.name;
  $("about").textContent = `Detects ${spec.labels.slice(0, 20).join(", ")}${spec.labels.length > 20 ? " and more" : ""}.`;
  $("made").textContent = `Made by auricle ${site.auricle}; runs on ONNX Runtime Web ${site.runtime} (MIT), ${site.precision}.`;
  $("file").disabled = $("microphone").disabled = false;
  $("file").addEventListener("change", () => take($("file").files[0]));
  $("microphone").addEventListener("click", () => toggleMicrophone().catch((e) => say(`No microphone: ${e.message}`, true)));
  const drop = $("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer.files[0]);
    });
  }
  document.documentElement.dataset.ready = "yes";
}

begin();
