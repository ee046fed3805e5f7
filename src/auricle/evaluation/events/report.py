# SPDX-License-Identifier: Apache-2.0
"""The figures of sound event detection on recordings whose labels say when: PSDS, and F1 of three kinds.

PSDS looks at all thresholds, F1 at the model's own: over events by intersection and by collars, and over segments of a
second. Macro means over the labels that occur; intervals by bootstrap over groups of recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from auricle.data.clip_audio import read_clip
from auricle.data.manifest import Clip, Manifest
from auricle.errors import DataError
from auricle.evaluation.events.intersections import IntArray, intersection_counts
from auricle.evaluation.events.metrics import event_counts, segment_counts
from auricle.evaluation.events.psds import PSDS1, PSDS2, REPEATS, psds
from auricle.evaluation.intervals import draw_weights, percentile_interval
from auricle.evaluation.metrics import f1_from_counts, mean_defined
from auricle.results import DetectResult, Event, FloatArray, Interval, Scores

__all__ = ["COUNTS", "RULES", "EventDetector", "ScoredRecordings", "label_clips", "sed_figures"]

RULES = {"psds1": PSDS1, "psds2": PSDS2}
COUNTS: Mapping[str, Callable[[Sequence[Event], Sequence[Event], Sequence[str]], IntArray]] = {
    "intersection_f1": intersection_counts,
    "event_f1": event_counts,
    "segment_f1": segment_counts,
}


class EventDetector(Protocol):
    """What can be evaluated: the runtime's detector."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""

    def detect(
        self,
        x: FloatArray,
        sample_rate: int | None = None,
        *,
        on_frames: Callable[[FloatArray], object] | None = None,
    ) -> DetectResult:
        """Return events, and give out the raw frame scores behind them."""

    def scores(self, frames: FloatArray) -> Scores:
        """Return frame scores with their times."""

    def candidates(self, scores: Scores, duration_s: float) -> Scores | tuple[Event, ...]:
        """Return what any threshold could make of raw scores."""


@dataclass
class ScoredRecordings:
    """Recordings as they were scored, by name.

    Attributes:
        truth: the true events.
        durations: in seconds.
        groups: what the bootstrap draws together.
        scores: raw frame scores.
        candidates: what any threshold could make of them: smoothed scores, or boxes with their confidence.
        found: the events at the model's own thresholds.
    """

    truth: dict[str, tuple[Event, ...]] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)
    groups: dict[str, object] = field(default_factory=dict)
    scores: dict[str, Scores] = field(default_factory=dict)
    candidates: dict[str, Scores | tuple[Event, ...]] = field(default_factory=dict)
    found: dict[str, tuple[Event, ...]] = field(default_factory=dict)


def label_clips(detector: EventDetector, manifest: Manifest) -> ScoredRecordings:
    """Listen to the clips whose labels say when; the others are left out.

    Raises:
        InputError: a clip cannot be read; figures over the rest would hide it.
        DataError: an event begins behind the end of its recording.
    """
    scored, problems = ScoredRecordings(), []
    for clip, group in zip(manifest.clips, manifest.groups(), strict=True):
        if clip.events is None:
            continue
        audio, frames = read_clip(clip, manifest.arrays), [np.zeros((0, len(detector.labels)), np.float32)]
        result = detector.detect(audio.samples, audio.sample_rate, on_frames=frames.append)
        name, scores = _name(clip), detector.scores(np.concatenate(frames))
        late = [event for event in clip.events if event.onset >= audio.duration]
        problems += [f"{name}: {e.label} begins at {e.onset:g} s, the sound ends at {audio.duration:g} s" for e in late]
        scored.truth[name], scored.durations[name], scored.groups[name] = clip.events, audio.duration, group
        scored.scores[name], scored.found[name] = scores, result.events
        scored.candidates[name] = detector.candidates(scores, audio.duration)
    if problems:
        raise DataError(f"{manifest.root} has events behind the end of their recordings", problems)
    return scored


def _name(clip: Clip) -> str:
    key, onset, offset = clip.segment
    return key if onset == 0 and offset is None else f"{key}@{onset:g}"


def sed_figures(
    scored: ScoredRecordings, labels: Sequence[str], *, repeats: int = REPEATS, seed: int = 0
) -> tuple[dict[str, Interval], dict[str, dict[str, Any]]]:
    """Return the figures with 95 % intervals, and a row for each label: its events, and each figure.

    Args:
        scored: at least one recording.
        labels: which are counted.
        repeats: draws of the bootstrap for each PSDS, which are the slow ones.
        seed: of the draws.
    """
    metrics: dict[str, Interval | None] = {}
    rows: dict[str, dict[str, Any]] = {label: {} for label in labels}
    for label in labels:
        rows[label]["events"] = sum(event.label == label for events in scored.truth.values() for event in events)
    for name, rule in RULES.items():
        result = psds(
            scored.candidates,
            scored.truth,
            scored.durations,
            rule,
            labels=labels,
            groups=scored.groups,
            repeats=repeats,
            seed=seed,
        )
        metrics[name] = result.interval
        for label, value in result.per_class.items():
            rows[label][name] = value
    for name, count in COUNTS.items():
        table = np.stack([count(scored.truth[key], scored.found[key], labels) for key in scored.durations])
        metrics[name] = _macro_f1(table, list(scored.groups.values()), seed)
        for label, value in zip(labels, f1_from_counts(table.sum(axis=0)), strict=True):
            rows[label][name] = value
    return {name: interval for name, interval in metrics.items() if interval is not None}, rows


def _macro_f1(counts: IntArray, groups: Sequence[object], seed: int) -> Interval | None:
    """Return the mean F1 over labels of counts ``(recording, label, 3)``, with its interval; None without an event."""
    value = mean_defined(f1_from_counts(counts.sum(axis=0)))
    if value is None:
        return None
    drawn = [
        mean_defined(f1_from_counts(np.tensordot(weights, counts, 1).astype(np.int64)))
        for weights in draw_weights(groups, seed=seed)
    ]
    known = [figure for figure in drawn if figure is not None]
    return percentile_interval(value, np.array(known), len(counts)) if known else None
