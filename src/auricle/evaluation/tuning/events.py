# SPDX-License-Identifier: Apache-2.0
"""How scores become events, fitted where labels say when: what finds most events by intersection, by label.

Detections and events have to share 0.3, 0.4, ... 0.9, and the mean of these F1 counts: with a half alone, filters that
blur the edges would be as good as any (as in "Microsoft COCO", ECCV 2014, whose precision is such a mean), and the more
shares, the more each of a few events says.
For thresholds: filter, threshold and hysteresis of each label together. For boxes: one step filter and one rule for
gaps for all labels, and a confidence for each. A dev part may have ten events of a label, so the best figure is often a
lucky one: figures count together with their neighbours, and the middle of nearly equal settings is taken
(``plateaus``; docs/adr/0026-the-middle-of-what-is-equally-good.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.evaluation.events.intersections import Spans, nanoseconds, reaches, true_spans
from auricle.evaluation.tuning.plateaus import middle_of_plateau, middle_setting, with_neighbours
from auricle.evaluation.tuning.thresholds import DEFAULT_THRESHOLD, HIGHEST, LOWEST, MEDIANS_S, USUAL_S
from auricle.events.boxes import BoxRule, find_boxes
from auricle.events.segments import Segment, find_segments, longest_frames, segment_rule, shortest_frames
from auricle.events.smoothing import median_size, median_smooth
from auricle.results import Event, FloatArray, Scores

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Lengths of the median filter that are tried: also one for sounds that go on.
FILTERS_OF_LABELS_S = (*MEDIANS_S, USUAL_S, 1.6)
OFF_RATIOS = (0.3, 0.5, 0.75, 1.0)
FILTERS_S = (0.2, 0.4, 0.8, 1.6)
MERGES = ((0.0, 1.0), (0.1, 0.8), (0.2, 0.6), (0.35, 0.4))
#: Filters and rules whose best figures are this close are equally good; so are thresholds that are ``PLATEAU`` apart.
TIE = 0.005
PLATEAU = 0.02

_GRID = np.linspace(LOWEST, HIGHEST, 19)
_SHARES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Thresholds:
    """What was fitted, by label, and the mean F1 over labels that it reaches on the same recordings."""

    medians_s: dict[str, float]
    off_ratios: dict[str, float]
    thresholds: dict[str, float]
    f1: float


@dataclass(frozen=True)
class Boxes:
    """What was fitted: the settings of all labels, a confidence for each, and the mean F1 over labels."""

    filter_s: float
    merge_abs: float
    merge_rel: float
    thresholds: dict[str, float]
    f1: float


@dataclass(frozen=True)
class _Line:
    """Recordings laid end to end, with so much silence between them that no event reaches into the next.

    Attributes:
        values: scores ``(frame, label)``.
        begin: where each frame begins, shape ``(frame,)``, in nanoseconds on the line; silence has no length.
        end: where each ends.
        truth: true events of each label on the line.
    """

    values: FloatArray
    begin: IntArray
    end: IntArray
    truth: Mapping[str, Spans]

    def spans(self, segments: Sequence[Segment]) -> Spans:
        """Return where segments lie, in the order of time."""
        first = np.array([segment.first for segment in segments], np.int64)
        last = np.array([segment.last for segment in segments], np.int64)
        return Spans(self.begin[first], self.end[last])


def fit_events(
    scores: Mapping[str, Scores],
    truth: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    *,
    min_event_s: float = 0.0,
    max_gap_s: float = 0.0,
) -> Thresholds:
    """Fit filter, threshold and hysteresis of each label.

    Args:
        scores: raw frame scores by recording, at least one.
        truth: the true events by recording.
        durations: of each recording in seconds.
        min_event_s: shortest event.
        max_gap_s: longest gap that is filled.
    """
    some = next(iter(scores.values()))
    step_s, labels = some.step_s, some.labels
    line = _lay(scores, truth, durations, longest_frames(max_gap_s, step_s) + 2)
    medians_s, ratios, thresholds, reached = {}, {}, {}, []
    lengths = {median_size(s, step_s): s for s in FILTERS_OF_LABELS_S}
    sizes = sorted(lengths)
    rules = [
        segment_rule(_GRID.tolist(), off_ratio=ratio, min_event_s=min_event_s, max_gap_s=max_gap_s, step_s=step_s)
        for ratio in OFF_RATIOS
    ]
    for column, label in enumerate(labels):
        if len(line.truth[label]) == 0:
            medians_s[label], ratios[label], thresholds[label] = USUAL_S, 0.5, DEFAULT_THRESHOLD
            continue
        smooth = [median_smooth(line.values[:, [column]], size).repeat(len(_GRID), axis=1) for size in sizes]
        figures = np.array([[_f1_of_segments(line, label, find_segments(s, r)) for r in rules] for s in smooth])
        size, ratio, threshold = chosen = choose_setting(figures)
        medians_s[label], ratios[label] = lengths[sizes[size]], OFF_RATIOS[ratio]
        thresholds[label] = float(_GRID[threshold])
        reached.append(figures[chosen])
    return Thresholds(medians_s, ratios, thresholds, float(np.mean(reached)) if reached else 0.0)


def fit_gap(
    scores: Mapping[str, Scores],
    truth: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    gaps_s: Sequence[float],
) -> float:
    """Return which of some longest gaps to fill, with the usual filter; of nearly equal ones, the longest.

    Args:
        scores: raw frame scores by recording, at least one.
        truth: the true events by recording.
        durations: of each recording in seconds.
        gaps_s: to choose from, from short to long.
    """
    some = next(iter(scores.values()))
    line = _lay(scores, truth, durations, longest_frames(gaps_s[-1], some.step_s) + 2)
    there = [column for column, label in enumerate(some.labels) if len(line.truth[label])]
    size = median_size(USUAL_S, some.step_s)
    smooth = {c: median_smooth(line.values[:, [c]], size).repeat(len(_GRID), axis=1) for c in there}
    figures = []
    for gap_s in gaps_s:
        rule = segment_rule(_GRID.tolist(), off_ratio=0.5, min_event_s=0.0, max_gap_s=gap_s, step_s=some.step_s)
        best = [_f1_of_segments(line, some.labels[c], find_segments(smooth[c], rule)).max() for c in there]
        figures.append(float(np.mean(best)) if best else 0.0)
    return max(gap_s for gap_s, figure in zip(gaps_s, figures, strict=True) if figure >= max(figures) - TIE)


def fit_boxes(
    scores: Mapping[str, Scores],
    truth: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    *,
    max_gap_s: float,
    max_event_s: float,
    min_event_s: float = 0.0,
) -> Boxes:
    """Fit the settings of boxes; arguments as for ``fit_events``, ``max_gap_s`` and ``max_event_s`` those of boxes."""
    some = next(iter(scores.values()))
    gap = longest_frames(max_gap_s, some.step_s)
    longest, shortest = max(1, longest_frames(max_event_s, some.step_s)), shortest_frames(min_event_s, some.step_s)
    figures = np.zeros((len(FILTERS_S), len(MERGES), len(some.labels), len(_GRID)))
    for row, filter_s in enumerate(FILTERS_S):
        half = max(1, round(filter_s / 2 / some.step_s))
        line = _lay(scores, truth, durations, gap + 2 * half + 2)
        for column, merge in enumerate(MERGES):
            rule = BoxRule(half, *merge, gap, longest, shortest, np.zeros(len(some.labels), np.float32))
            figures[row, column] = _f1_of_boxes(line, some.labels, find_boxes(line.values, rule))
    true = [index for index, label in enumerate(some.labels) if len(line.truth[label])]
    thresholds = dict.fromkeys(some.labels, DEFAULT_THRESHOLD)
    if not true:
        return Boxes(FILTERS_S[-1], *MERGES[0], thresholds, 0.0)
    even = with_neighbours(figures, axis=3)
    row, column = middle_setting(even[:, :, true].max(axis=3).mean(axis=2), TIE)
    chosen = {index: middle_of_plateau(even[row, column, index], PLATEAU) for index in true}
    thresholds |= {some.labels[index]: float(_GRID[threshold]) for index, threshold in chosen.items()}
    reached = [figures[row, column, index, threshold] for index, threshold in chosen.items()]
    return Boxes(FILTERS_S[row], *MERGES[column], thresholds, float(np.mean(reached)))


def choose_setting(figures: Array) -> tuple[int, int, int]:
    """Return which filter, hysteresis and threshold to take, each as a number along its axis of the figures.

    A figure counts together with those of the neighbouring thresholds and hystereses. Of all pairs of filter and
    hysteresis whose best figure is within ``TIE`` of the best, the middle one is taken; of its thresholds, the middle
    of those within ``PLATEAU`` of the best.

    Args:
        figures: shape ``(filter, hysteresis, threshold)``, each axis in the order of its values.
    """
    even = with_neighbours(with_neighbours(figures, axis=2), axis=1)
    row, column = middle_setting(even.max(axis=2), TIE)
    return row, column, middle_of_plateau(even[row, column], PLATEAU)


def _lay(
    scores: Mapping[str, Scores],
    truth: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    silent_frames: int,
) -> _Line:
    labels = next(iter(scores.values())).labels
    values, begin, end = [], [], []
    true: dict[str, list[Spans]] = {label: [] for label in labels}
    start = 0
    for name, duration_s in durations.items():
        length, part = int(nanoseconds(duration_s)), scores[name]
        first_s = float(part.times[0]) if len(part.times) else 0.0
        edges = np.clip(nanoseconds(first_s + (np.arange(len(part.values) + 1) - 0.5) * part.step_s), 0, length) + start
        values += [part.values, np.zeros((silent_frames, len(labels)), np.float32)]
        begin += [edges[:-1], np.full(silent_frames, start + length)]
        end += [edges[1:], np.full(silent_frames, start + length)]
        for label in labels:
            spans = true_spans([event for event in truth.get(name, ()) if event.label == label])
            true[label].append(Spans(spans.begin + start, np.minimum(spans.end, length) + start))
        start += length + 1
    joined = {
        label: Spans(np.concatenate([s.begin for s in parts]), np.concatenate([s.end for s in parts]))
        for label, parts in true.items()
    }
    return _Line(np.concatenate(values), np.concatenate(begin), np.concatenate(end), joined)


def _f1_of_segments(line: _Line, label: str, segments: Sequence[Segment]) -> Array:
    """Return F1 at each threshold of the grid, which is the label of the segments."""
    groups: list[list[Segment]] = [[] for _ in _GRID]
    for segment in segments:
        groups[segment.label].append(segment)
    return np.array([_f1(line.spans(group), line.truth[label]) for group in groups])


def _f1_of_boxes(line: _Line, labels: Sequence[str], boxes: Sequence[Segment]) -> Array:
    """Return F1 of each label that occurs at each threshold of the grid, which a box's score has to reach."""
    figures = np.zeros((len(labels), len(_GRID)))
    for row, label in enumerate(labels):
        if len(line.truth[label]):
            own = [box for box in boxes if box.label == row]
            kept = [[box for box in own if box.peak >= threshold] for threshold in _GRID]
            figures[row] = [_f1(line.spans(part), line.truth[label]) for part in kept]
    return figures


def _f1(found: Spans, truth: Spans) -> float:
    """Return F1 by intersection of detections that do not overlap, the mean over ``_SHARES``."""
    inside = truth.covered(found.begin, found.end)
    figures = []
    for share in _SHARES:
        relevant = reaches(inside, share, found.lengths)
        right = Spans(found.begin[relevant], found.end[relevant])
        hits = int(reaches(right.covered(truth.begin, truth.end), share, truth.lengths).sum())
        figures.append(2 * hits / (hits + len(found) - len(right) + len(truth)))
    return sum(figures) / len(figures)
