# SPDX-License-Identifier: Apache-2.0
"""From stored frame scores to docs/results/sed.md: four rules for events, tuned on dev, measured on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from auricle.data.formats.registry import read_manifest
from auricle.evaluation.events.intersections import Criteria, intersection_counts
from auricle.evaluation.events.metrics import event_counts, segment_counts
from auricle.evaluation.events.psds import PSDS1, PSDS2, psds
from auricle.evaluation.intervals import draw_weights, percentile_interval
from auricle.evaluation.metrics import f1_from_counts, mean_defined
from auricle.events.boxes import BoxRule, find_boxes
from auricle.events.segments import Segment, SegmentRule, find_segments
from auricle.events.smoothing import median_size, median_smooth
from auricle.files import read_json, write_json
from auricle.recipe.schema import load_recipe
from auricle.results import Event, Interval, Scores
from benchmarks.machine import describe
from benchmarks.sed import PARTS, ROWS, SCENE_S, SCENES, SHARED, Row

PAGE = Path(__file__).parents[1] / "docs/results/sed.md"
THRESHOLDS = np.round(np.linspace(0.05, 0.95, 19), 2)
MEDIANS_S = (0.0, 0.12, 0.2, 0.36, 0.52, 0.84)
OFF_RATIOS = (0.3, 0.5, 0.7, 1.0)
GAPS_S = (0.0, 0.2)
HALVES_S = (0.12, 0.24, 0.4, 0.64)
MERGES = ((0.15, 0.7), (0.3, 0.5))
LONGEST_S, BOX_GAP_S = 10.0, 1.0
REPEATS = 200
RULES = ("threshold 0.5", "tuned median", "hysteresis", "boxes")


@dataclass(frozen=True, eq=False)
class Part:
    """Stored scores of dev or test, with the truth."""

    values: np.ndarray  # (scene, frame, label)
    times: np.ndarray
    names: list[str]
    labels: list[str]
    truth: list[tuple[Event, ...]]
    durations: list[float]

    @property
    def step_s(self) -> float:
        return float(np.median(np.diff(self.times)))

    @cache  # noqa: B019
    def truth_of(self, label: str) -> list[tuple[Event, ...]]:
        """Return the true events of one label in each scene."""
        return [tuple(e for e in events if e.label == label) for events in self.truth]

    @cache  # noqa: B019 (a few parts, as long as the process)
    def smooth(self, column: int, median_s: float) -> np.ndarray:
        """Return the scores of one label after a median filter, ``(scene, frame)``."""
        size = 1 if median_s == 0 else median_size(median_s, self.step_s)
        return np.ascontiguousarray(median_smooth(np.ascontiguousarray(self.values[:, :, column].T), size).T)

    @cache  # noqa: B019
    def boxes(self, half_s: float, merge: tuple[float, float]) -> list[list[tuple[Event, ...]]]:
        """Return all boxes, whatever their confidence, by label and scene."""
        step_s, silent = self.step_s, np.zeros(len(self.labels), np.float32)
        half, gap, longest = (round(s / step_s) for s in (half_s, BOX_GAP_S, LONGEST_S))
        rule = BoxRule(max(1, half), *merge, gap, longest, 1, silent)
        found: list[list[tuple[Event, ...]]] = [[] for _ in self.labels]
        for values, duration in zip(self.values, self.durations, strict=True):
            of_scene = find_boxes(np.ascontiguousarray(values), rule)
            for column, label in enumerate(self.labels):
                mine = (s for s in of_scene if s.label == column)
                found[column].append(tuple(self.event(s, label, duration) for s in mine))
        return found

    def event(self, segment: Segment, label: str, duration: float) -> Event:
        half = self.step_s / 2
        onset = max(0.0, float(self.times[segment.first]) - half)
        return Event(label, onset, min(duration, float(self.times[segment.last]) + half), segment.peak)


def read_part(folder: Path, scenes: Path, name: str) -> Part:
    stored = np.load(folder / f"{name}.npz")
    clips = {clip.key: clip for clip in read_manifest(scenes).clips}
    names = [str(n) for n in stored["names"]]
    truth = [() if clips[n].events is None else clips[n].events for n in names]
    durations = [SCENE_S] * len(names)
    return Part(stored["values"], stored["times"], names, [str(x) for x in stored["labels"]], truth, durations)


# --- rules for one label: scores (frame,) of a scene to segments


@dataclass(frozen=True)
class Setting:
    """What a rule is set to for one label; each rule looks at its own fields."""

    on: float = 0.5
    median_s: float = 0.0
    off_ratio: float = 1.0
    gap_s: float = 0.0
    half_s: float = 0.24
    merge: tuple[float, float] = (0.15, 0.7)


def found_of(part: Part, column: int, rule: str, setting: Setting) -> list[tuple[Event, ...]]:
    """Return the events of one label in each scene."""
    if rule == "boxes":
        found = part.boxes(setting.half_s, setting.merge)[column]
        return [tuple(e for e in events if e.score >= setting.on) for events in found]
    scores = part.smooth(column, setting.median_s)
    # All scenes at once, end to end: between two lies more silence than any gap that is filled.
    apart = round(2 * max(GAPS_S) / part.step_s) + 1
    padded = np.pad(scores, ((0, 0), (0, apart)))
    on = np.array([setting.on], np.float32)
    gap = int(setting.gap_s / part.step_s + 1e-6)
    rule_now = SegmentRule(on, on * np.float32(setting.off_ratio), 1, gap)
    events: list[list[Event]] = [[] for _ in part.names]
    for segment in find_segments(padded.reshape(-1, 1), rule_now):
        scene, first = divmod(segment.first, padded.shape[1])
        moved = Segment(0, first, first + segment.last - segment.first, segment.peak)
        events[scene].append(part.event(moved, part.labels[column], part.durations[scene]))
    return [tuple(e) for e in events]


def counts_of(
    part: Part, column: int, found: Sequence[tuple[Event, ...]], count: Callable[..., np.ndarray]
) -> np.ndarray:
    """Return counts of one label by scene, ``(scene, 3)``."""
    label = part.labels[column]
    counts = np.zeros((len(found), 3), np.int64)
    for scene, (true, events) in enumerate(zip(part.truth_of(label), found, strict=True)):
        if true or events:
            counts[scene] = count(true, events, [label])[0]
    return counts


def tune(dev: Part, column: int, rule: str) -> Setting:
    """Return the setting of one label with the highest event F1 on dev; the first of equals, nearest to the usual."""
    if rule == "threshold 0.5":
        return Setting()

    def figure(setting: Setting) -> float:
        counts = counts_of(dev, column, found_of(dev, column, rule, setting), event_counts).sum(axis=0)
        value = f1_from_counts(counts[None])[0]
        return 0.0 if value is None else value

    def best(settings: Sequence[Setting]) -> Setting:
        return max(settings, key=figure)

    if rule == "boxes":
        shapes = [Setting(on=0.0, half_s=half, merge=merge) for half in HALVES_S for merge in MERGES]
        return best([best_box(dev, column, shape) for shape in shapes])
    ratios = (1.0,) if rule == "tuned median" else OFF_RATIOS
    gaps = (0.0,) if rule == "tuned median" else GAPS_S
    coarse = best([Setting(on=float(on), median_s=m) for m in MEDIANS_S for on in THRESHOLDS[1::2]])
    near = [float(on) for on in THRESHOLDS if abs(on - coarse.on) < 0.21]
    return best([replace(coarse, on=on, off_ratio=r, gap_s=g) for r in ratios for g in gaps for on in near])


def best_box(dev: Part, column: int, shape: Setting) -> Setting:
    """Return the threshold of boxes of one shape with the highest event F1: boxes do not depend on it."""
    all_boxes = found_of(dev, column, "boxes", shape)

    def figure(on: float) -> float:
        kept = [tuple(e for e in events if e.score >= on) for events in all_boxes]
        value = f1_from_counts(counts_of(dev, column, kept, event_counts).sum(axis=0)[None])[0]
        return 0.0 if value is None else value

    return replace(shape, on=max((float(on) for on in THRESHOLDS), key=figure))


# --- figures


def figures(test: Part, settings: Mapping[str, Setting], rule: str) -> dict[str, Interval]:
    """Return the figures of one rule on test, with 95 % intervals over scenes."""
    found = [found_of(test, c, rule, settings[label]) for c, label in enumerate(test.labels)]
    kinds = {
        "event F1": event_counts,
        "segment F1": segment_counts,
        "intersection F1": lambda t, f, labels: intersection_counts(t, f, labels, Criteria()),
    }
    result = {}
    for name, count in kinds.items():
        by_scene = np.stack([counts_of(test, c, found[c], count) for c in range(len(test.labels))], axis=1)
        value = _macro(by_scene.sum(axis=0))
        drawn = [_macro(np.tensordot(w, by_scene, axes=1)) for w in draw_weights(test.names, REPEATS)]
        result[name] = percentile_interval(value, np.array(drawn), len(test.names))
    truth = dict(zip(test.names, test.truth, strict=True))
    durations = dict(zip(test.names, test.durations, strict=True))
    detections = _detections(test, settings, rule)
    for name, asked in (("PSDS1", PSDS1), ("PSDS2", PSDS2)):
        score = psds(detections, truth, durations, asked, labels=test.labels, repeats=REPEATS)
        if score.interval is not None:
            result[name] = score.interval
    return result


def _detections(
    test: Part, settings: Mapping[str, Setting], rule: str
) -> Mapping[str, Scores] | Mapping[str, list[Event]]:
    """Return what PSDS is computed of: smoothed scores, or boxes with their confidence whatever the threshold."""
    if rule == "boxes":
        found: dict[str, list[Event]] = {name: [] for name in test.names}
        for column, label in enumerate(test.labels):
            for name, events in zip(
                test.names, found_of(test, column, rule, replace(settings[label], on=0.0)), strict=True
            ):
                found[name] += events
        return found
    values = np.stack([test.smooth(c, settings[label].median_s) for c, label in enumerate(test.labels)], axis=2)
    return {
        name: Scores(test.times, scores, tuple(test.labels), test.step_s)
        for name, scores in zip(test.names, values, strict=True)
    }


def _macro(counts: np.ndarray) -> float:
    value = mean_defined(f1_from_counts(counts))
    return float("nan") if value is None else value


# --- the page


@dataclass(frozen=True)
class Found:
    """What was found for one trained model: figures by rule."""

    seed: int
    facts: dict
    by_rule: dict[str, dict[str, Interval]]


def measure(folder: Path, scenes: Path, seed: int) -> Found:
    """Tune on dev and measure on test; what was measured is kept beside the scores."""
    facts, kept = read_json(folder / "done.json"), folder / "figures.json"
    if not kept.is_file():
        dev, test = (read_part(folder, scenes, name) for name in ("dev", "test"))
        by_rule, settings = {}, {}
        for rule in RULES:
            settings[rule] = {label: tune(dev, c, rule) for c, label in enumerate(dev.labels)}
            by_rule[rule] = {k: asdict(v) for k, v in figures(test, settings[rule], rule).items()}
        write_json(
            kept,
            {"figures": by_rule, "settings": {r: {k: asdict(v) for k, v in s.items()} for r, s in settings.items()}},
        )
    stored = read_json(kept)["figures"]
    return Found(seed, facts, {rule: {k: Interval(**v) for k, v in row.items()} for rule, row in stored.items()})


def front_multiply_adds(row: Row) -> int:
    """Return how many multiply-adds are the front end's: its Fourier transform as a convolution, and mel bands."""
    f = load_recipe(None, ["data.clip_s=10"], base={"model": {"name": row.begin.get("model", "mobilenet")}}).frontend
    window, hop = (round(ms * f.sample_rate / 1000) for ms in (f.window_ms, f.hop_ms))
    bins, frames = window // 2 + 1, round(SCENE_S * f.sample_rate) // hop
    return frames * bins * (2 * window + f.n_mels)


def page(out: Path) -> str:
    """Return docs/results/sed.md."""
    found = {
        row.name: [
            measure(out / f"{row.name}-{s}", out / SCENES, s)
            for s in row.seeds
            if (out / f"{row.name}-{s}" / "done.json").is_file()
        ]
        for row in ROWS
    }
    rows = [row for row in ROWS if found[row.name]]
    if not rows:
        raise SystemExit(f"nothing is trained yet in {out}")
    first = found[rows[0].name][0].facts
    lines = [*_head(first), *_costs(rows, found)]
    for name in ("PSDS1", "PSDS2", "event F1", "segment F1", "intersection F1"):
        lines += _figure_table(name, rows, found)
    return "\n".join([*lines, *_notes(rows, found), ""])


def _head(facts: dict) -> list[str]:
    return [
        "# Events in time: scenes made of ESC-10",
        "",
        "Scenes of 10 s made by `auricle data synth` from isolated clips: 1,000 to train (folds 1-3), 200 dev (fold",
        "4), 200 test (fold 5); no source recording is in two parts. 1 to 6 events, at most 3 at a time, 0 to 20 dB",
        "over a background: rain, sea waves or crackling fire, labelled over the whole scene, in half of the scenes,",
        "else noise. Onsets and offsets come from an energy rule ([how](../howto/sed.md)).",
        "",
        f"Every network takes the same {facts['steps']:,} steps of 8 scenes, selects nothing and keeps the last",
        "averaged weights. Frame scores of dev and test are stored; every rule is tuned on those of dev, label by",
        "label, for event F1, and measured once on those of test. The training is short: it is to compare, and far",
        "from what these networks can learn. PSDS takes the standard deviation over classes off their mean: it stays",
        "near 0 while classes differ as much as they do here.",
        "",
    ]


def _costs(rows: Sequence[Row], found: Mapping[str, list[Found]]) -> list[str]:
    lines = [
        "## Cost", "",
        "| network | seeds | parameters | multiply-adds of 10 s, million | of these the front end | network alone "
        "| a frame is | training, minutes each (machine shared) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for row in rows:
        facts = found[row.name][0].facts
        begins = "init" in row.begin  # its transform is factorised, and not told apart from the rest
        front = None if begins else front_multiply_adds(row)
        minutes = ", ".join(f"{f.facts['minutes']:g}" for f in found[row.name])
        frame_ms = 64 if row.name == "yardstick" else 80 if begins else 40
        whole = facts["multiply_adds"]
        parts = "| | " if front is None else f"| {front / 1e6:,.0f} | {(whole - front) / 1e6:,.0f} "
        lines.append(
            f"| {row.what} | {len(found[row.name])} | {facts['parameters']:,} | {whole / 1e6:,.0f} "
            f"{parts}| {frame_ms} ms | {minutes} |"
        )
    return [*lines, ""]


def _figure_table(name: str, rows: Sequence[Row], found: Mapping[str, list[Found]]) -> list[str]:
    """Return a table of one figure: a row a network, a column a rule; mean over seeds, interval, spread."""
    lines = [f"## {name}", "", f"| network | {' | '.join(RULES)} |", "|---|" + "---|" * len(RULES)]
    for row in rows:
        cells = []
        for rule in RULES:
            got = [f.by_rule[rule][name] for f in found[row.name] if name in f.by_rule[rule]]
            cells.append(_cell(got) if got else "")
        lines.append(f"| {row.what} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cell(got: Sequence[Interval]) -> str:
    value, low, high = (float(np.mean([getattr(i, k) for i in got])) for k in ("value", "low", "high"))
    spread = f" ± {np.std([i.value for i in got], ddof=1):.3f}" if len(got) > 1 else ""
    return f"**{value:.3f}**{spread} [{low:.3f}, {high:.3f}]"


def _notes(rows: Sequence[Row], found: Mapping[str, list[Found]]) -> list[str]:
    missing = [f"{row.name} seed {s}" for row in ROWS for s in row.seeds if s not in {f.seed for f in found[row.name]}]
    machine, facts = describe(), found[rows[0].name][0].facts
    return [
        "## How to read this",
        "",
        "Mean over seeds, ± standard deviation over seeds, [95 % bootstrap interval over the test scenes, averaged",
        "over seeds]. F1 are means over the 10 classes: event F1 with a collar of 0.2 s (offset: or 20 %), segment F1",
        "of 1 s, intersection F1 at one half. PSDS looks at every threshold: of the raw scores (`threshold 0.5`), of",
        "the scores smoothed by the tuned medians (`tuned median`, `hysteresis`: equal where they chose the same",
        "medians), and of all boxes with their confidence (`boxes`).",
        "",
        *(
            [f"Not trained yet: {', '.join(missing)}. What is missing is added by the same commands.", ""]
            if missing
            else []
        ),
        "```sh",
        "python -m benchmarks.sed scenes SHARED OUT",
        "python -m benchmarks.sed run OUT",
        "python -m benchmarks.sed table OUT",
        "```",
        "",
        f"Scenes: parts {', '.join(f'`{p}`' for p in PARTS)}, data hash `{facts['data_hash'][:16]}`.",
        f"Settings of all rows: `{' '.join(SHARED)}`.",
        "",
        "Machine: " + ", ".join(f"{k} {v}" for k, v in machine.items() if isinstance(v, str | int)),
    ]
