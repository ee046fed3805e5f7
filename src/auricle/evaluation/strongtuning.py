# SPDX-License-Identifier: Apache-2.0
"""How scores become events, fitted where labels say when: what finds most events by intersection, by label.

Detections and events have to share a half, 0.7 and 0.9, and the mean of the three F1 counts: with a half alone, filters
that blur the edges would be as good as any (as in "Microsoft COCO", ECCV 2014, whose precision is such a mean).
For thresholds: filter, threshold and hysteresis of each label together. For boxes: one step filter and one rule for
gaps for all labels, and a confidence for each. A figure counts as the mean over the threshold and its neighbours, so
that no lucky threshold wins; of equally good settings, the one with the longest filter is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from auricle.evaluation.intersections import Spans, nanoseconds, reaches, true_spans
from auricle.evaluation.tuning import DEFAULT_THRESHOLD, HIGHEST, LOWEST, MEDIANS_S, USUAL_S
from auricle.events.boxes import BoxRule, find_boxes
from auricle.events.segments import Segment, find_segments, longest_frames, segment_rule, shortest_frames
from auricle.events.smoothing import median_size, median_smooth
from auricle.results import Event, FloatArray, Scores

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

OFF_RATIOS = (0.3, 0.5, 0.75, 1.0)
FILTERS_S = (0.2, 0.4, 0.8, 1.6)
MERGES = ((0.0, 1.0), (0.1, 0.8), (0.2, 0.6), (0.35, 0.4))
TIE = 0.005

_GRID = np.linspace(LOWEST, HIGHEST, 19)
_SHARES = (0.5, 0.7, 0.9)


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
    medians_s, ratios, thresholds, figures = {}, {}, {}, []
    lengths = {median_size(s, step_s): s for s in (*MEDIANS_S, USUAL_S)}
    for column, label in enumerate(labels):
        if len(line.truth[label]) == 0:
            medians_s[label], ratios[label], thresholds[label] = USUAL_S, 0.5, DEFAULT_THRESHOLD
            continue
        tried: list[tuple[int, float, float, float]] = []
        for size in sorted(lengths, reverse=True):
            smooth = median_smooth(line.values[:, [column]], size)
            for ratio in OFF_RATIOS:
                rule = segment_rule(
                    _GRID.tolist(), off_ratio=ratio, min_event_s=min_event_s, max_gap_s=max_gap_s, step_s=step_s
                )
                found = find_segments(np.repeat(smooth, len(_GRID), axis=1), rule)
                value, threshold = _best(_f1_of_segments(line, label, found))
                tried.append((size, ratio, threshold, value))
        size, ratios[label], thresholds[label], value = _choose(tried)
        medians_s[label] = lengths[size]
        figures.append(value)
    return Thresholds(medians_s, ratios, thresholds, float(np.mean(figures)) if figures else 0.0)


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
    step_s, labels = some.step_s, some.labels
    gap = longest_frames(max_gap_s, step_s)
    best = Boxes(FILTERS_S[0], *MERGES[0], dict.fromkeys(labels, DEFAULT_THRESHOLD), -1.0)
    for filter_s, (merge_abs, merge_rel) in product(sorted(FILTERS_S, reverse=True), MERGES):
        half = max(1, round(filter_s / 2 / step_s))
        line = _lay(scores, truth, durations, gap + 2 * half + 2)
        rule = BoxRule(
            half,
            merge_abs,
            merge_rel,
            gap,
            max(1, longest_frames(max_event_s, step_s)),
            shortest_frames(min_event_s, step_s),
            np.zeros(len(labels), np.float32),
        )
        boxes = find_boxes(line.values, rule)
        thresholds, figures = {}, []
        for column, label in enumerate(labels):
            thresholds[label] = DEFAULT_THRESHOLD
            if len(line.truth[label]):
                own = [box for box in boxes if box.label == column]
                reached = [[box for box in own if box.peak >= threshold] for threshold in _GRID]
                value, thresholds[label] = _best(np.array([_f1(line.spans(b), line.truth[label]) for b in reached]))
                figures.append(value)
        mean = float(np.mean(figures)) if figures else 0.0
        if mean > best.f1 + TIE:
            best = Boxes(filter_s, merge_abs, merge_rel, thresholds, mean)
    return best


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


def _best(figures: Array) -> tuple[float, float]:
    """Return the best figure and its threshold, each figure being the mean of itself and its neighbours."""
    padded = np.pad(figures, 1, mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    best = np.flatnonzero(smooth >= smooth.max() - 1e-9)
    chosen = int(best[len(best) // 2])
    return float(smooth[chosen]), float(_GRID[chosen])


def _choose(tried: Sequence[tuple[int, float, float, float]]) -> tuple[int, float, float, float]:
    """Return the setting with the best figure, the last number; of nearly equal ones the first."""
    limit = max(figure for *_, figure in tried) - TIE
    return next(setting for setting in tried if setting[-1] >= limit)
