// SPDX-License-Identifier: Apache-2.0
// One recording of the studio: its picture from the server, marks, detections, and the player over it.

import { spell } from "./clock.js";
import { $, element } from "./elements.js";
import { Regions } from "./regions.js";
import { ReviewTimeline } from "./review_timeline.js";
import { ServerPicture } from "./server_picture.js";

const FOLLOW_MS = 120; // a detection that the focus stays on for so long is shown
const USUAL_THRESHOLD = 0.5; // where the line is until a threshold is chosen
const CONTEXT_S = 6; // of sound around a detection

const rangeOf = ({ low, high }) => `${[...new Set([low, high].map((share) => Math.round(100 * share)))].join(" to ")} % right`;

export class Figure {
  constructor({ looks, player, client, complain, onThreshold, nameRegion, removeRegion, moved, say }) {
    Object.assign(this, { player, client, complain, say, nameRegion });
    this.recording = null;
    this.playhead = 0;
    this.turn = 0;
    this.lanes = false;
    this.onOpen = () => {};
    const parts = {};
    for (const [name, id] of Object.entries({ stage: "stage", wave: "wave", picture: "picture", lanes: "lanes", laneNames: "lane-names", pitch: "pitch", axis: "axis", overview: "overview", playhead: "playhead" })) parts[name] = $(id);
    this.timeline = new ReviewTimeline(parts, {
      event: (event) => this.player.play(this.recording.id, event.onset, event.offset),
      seek: (time) => this.seek(time),
      thresholds: onThreshold,
      view: () => this.onView(),
    });
    this.looks = looks;
    this.timeline.looks = looks;
    const regions = element("div", { className: "regions", id: "regions", role: "group", "aria-label": "Marked sounds" });
    $("track").after(regions);
    this.regions = new Regions({ regions, track: $("track") }, this.timeline, {
      name: nameRegion,
      removed: removeRegion,
      moved,
      drawn: (region) => {
        if (!region.open) nameRegion(region);
      },
    });
    this.regions.marking = !matchMedia("(pointer: coarse)").matches;
    this.wire();
  }

  wire() {
    $("play").addEventListener("click", () => this.toggle());
    $("zoom-in").addEventListener("click", () => this.timeline.zoom(0.5));
    $("zoom-out").addEventListener("click", () => this.timeline.zoom(2));
    $("zoom-all").addEventListener("click", () => this.timeline.show(0, this.timeline.duration));
    $("mark").addEventListener("click", () => this.setMarking(!this.regions.marking));
    $("track").addEventListener("click", (click) => {
      if (!this.regions.wasDrawn && !this.timeline.wasDragged()) this.seek(this.timeline.secondsAt(click.clientX));
    });
    $("track").addEventListener("keydown", (press) => this.onTrackKey(press));
    addEventListener("resize", () => this.recording && this.timeline.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recording && this.timeline.draw());
    this.setMarking(this.regions.marking);
  }

  setMarking(on) {
    this.regions.marking = on;
    $("mark").setAttribute("aria-pressed", String(on));
    $("stage").classList.toggle("marking", on);
  }

  // --- what is shown

  // Open a recording, or stay in it; `at` is brought into view.
  async show(id, at = null) {
    if (this.recording?.id !== id) {
      const turn = ++this.turn;
      try {
        const found = await this.client.recording(id);
        if (turn !== this.turn) return;
        if (!found.duration) return this.complain(`${found.path} has not been read yet, or cannot be.`);
        this.open(found);
      } catch (error) {
        return this.complain(error);
      }
    }
    if (at) this.lookAt(at);
  }

  open(recording) {
    if (this.player.part && this.player.part.recording !== recording.id) this.player.stop();
    this.recording = recording;
    this.playhead = 0;
    const { timeline } = this, { labels, thresholds, chosen } = timeline;
    timeline.begin(labels, labels.map((label) => thresholds.get(label)));
    Object.assign(timeline, { looks: this.looks, chosen, duration: recording.duration, events: recording.detections });
    timeline.setPicture(
      new ServerPicture(recording.duration, (from, to, width) => this.client.tile(recording.id, from, to, width), () => timeline.soon("sound"), this.complain),
      recording.sample_rate,
    );
    $("recording-title").textContent = recording.path;
    this.onOpen(recording);
    timeline.show(0, recording.duration);
    this.regions.begin(recording.labels);
    this.setPlayhead(0);
    this.onPlayer();
  }

  // Labels and detections again; the view stays.
  async reload() {
    if (!this.recording) return;
    try {
      const { id } = this.recording, found = await this.client.recording(id);
      if (this.recording.id !== id) return;
      this.recording = found;
      this.timeline.events = found.detections;
      this.timeline.draw();
      this.regions.begin(found.labels);
    } catch (error) {
      this.complain(error);
    }
  }

  lookAt({ onset, offset }) {
    const span = Math.max(2 * CONTEXT_S, 3 * (offset - onset)), middle = (onset + offset) / 2;
    this.timeline.show(middle - span / 2, middle + span / 2);
    this.setPlayhead(onset);
  }

  // Where the focus rests.
  follow(item) {
    clearTimeout(this.following);
    this.following = setTimeout(() => this.show(item.recording, item), FOLLOW_MS);
  }

  setClasses(classes, current) {
    const now = JSON.stringify([current, classes.map(({ name, threshold, precision }) => [name, threshold, precision])]);
    this.current = current;
    if (now === this.known) return;
    this.known = now;
    this.timeline.notes = new Map(classes.map(({ name, threshold, precision }) => [name, threshold === null ? "not set" : precision && rangeOf(precision)]));
    this.timeline.setClasses(classes.map(({ name }) => name), classes.map(({ threshold }) => threshold ?? USUAL_THRESHOLD));
    this.chooseLanes();
  }

  showLanes(on) {
    this.lanes = on;
    this.chooseLanes();
  }

  chooseLanes() {
    this.timeline.chosen = new Set(this.lanes && this.current ? [this.current] : []);
    if (!this.recording || $("recording").hidden) return;
    this.timeline.drawPitch();
    this.timeline.draw();
  }

  addLabel(label) {
    this.recording.labels.push(label);
    this.regions.draw();
  }

  removeLabel(label) {
    this.recording.labels = this.recording.labels.filter((other) => other !== label);
    this.regions.begin(this.recording.labels);
  }

  // The verdict of a card shows in the lane at once.
  judged(item) {
    if (item.recording !== this.recording?.id) return;
    const found = this.recording.detections.find(({ label, onset }) => label === item.label && Math.abs(onset - item.onset) < 1e-3);
    if (found) found.verdict = item.verdict;
    this.timeline.draw();
  }

  focusRegion() {
    this.regions.focus("end");
  }

  onView() {
    if (!this.recording) return;
    $("view").textContent = this.timeline.describeView();
    $("zoom-out").disabled = $("zoom-all").disabled = !this.timeline.zoomed;
    this.regions.draw();
  }

  // --- the player

  setPlayhead(time) {
    this.playhead = Math.min(Math.max(time, 0), this.timeline.duration);
    this.timeline.movePlayhead(this.playhead);
    this.regions.follow(this.playhead);
    this.describe();
  }

  seek(time) {
    const { playing } = this;
    this.setPlayhead(time);
    if (playing) this.play();
  }

  get playing() {
    return this.player.playing && this.player.part?.recording === this.recording?.id;
  }

  play() {
    const { id, duration } = this.recording;
    if (this.playhead >= duration - 0.05) this.playhead = 0;
    this.player.play(id, this.playhead, duration);
  }

  toggle() {
    if (this.playing) this.player.stop();
    else this.play();
  }

  onPlayer() {
    $("play").classList.toggle("playing", this.playing);
    $("play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
    if (!this.playing) return this.describe();
    const { timeline } = this;
    const { time, part } = this.player, onwards = part.stop > timeline.duration - 0.01;
    if (onwards || (time >= timeline.from && time <= timeline.to)) this.setPlayhead(time); // a window elsewhere moves nothing
    if (onwards && timeline.zoomed && this.playhead > timeline.to) timeline.pan(1);
    if (!this.ticking) {
      this.ticking = true;
      requestAnimationFrame(() => {
        this.ticking = false;
        this.onPlayer();
      });
    }
  }

  describe() {
    if (!this.recording) return;
    const track = $("track");
    $("clock").textContent = `${spell(this.playhead)} of ${spell(this.timeline.duration)}`;
    track.setAttribute("aria-valuemax", this.timeline.duration.toFixed(1));
    track.setAttribute("aria-valuenow", this.playhead.toFixed(1));
    track.setAttribute("aria-valuetext", spell(this.playhead));
  }

  // --- keys

  onKey(press) {
    const { timeline } = this, key = press.key.toLowerCase();
    const actions = {
      "+": () => timeline.zoom(0.5), "=": () => timeline.zoom(0.5), "-": () => timeline.zoom(2), 0: () => timeline.show(0, timeline.duration),
      "[": () => timeline.pan(-0.5), "]": () => timeline.pan(0.5), " ": () => this.toggle(), r: () => this.mark(),
      escape: () => this.regions.cancel(),
    };
    if (!this.recording || !(key in actions)) return false;
    actions[key]();
    return true;
  }

  mark() {
    const region = this.regions.toggle(this.playhead);
    if (region.open) {
      $("track").focus();
      this.say("A mark begins here. R ends it.");
    }
  }

  onTrackKey(press) {
    const { timeline } = this, small = timeline.zoomed ? (timeline.to - timeline.from) / 50 : Math.min(1, timeline.duration / 50);
    const moves = { ArrowLeft: -small, ArrowRight: small, ArrowDown: -small, ArrowUp: small, PageDown: -10 * small, PageUp: 10 * small };
    if (press.altKey || press.ctrlKey || press.metaKey) return;
    if (press.key in moves) this.seek(this.playhead + moves[press.key]);
    else if (press.key === "Home" || press.key === "End") this.seek(press.key === "Home" ? 0 : timeline.duration);
    else if (press.key === "Enter" && this.regions.draft) this.regions.draft.open ? this.regions.close() : this.nameRegion(this.regions.draft);
    else return;
    timeline.reveal(this.playhead);
    press.preventDefault();
  }
}
