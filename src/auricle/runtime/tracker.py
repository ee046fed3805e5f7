# SPDX-License-Identifier: Apache-2.0
"""From the frame scores of one recording to its events, by the model's post-processing, in blocks of any length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from auricle.errors import UsageError
from auricle.events.segments import (
    Change,
    SegmentRule,
    finish_segments,
    initial_state,
    push_scores,
    segment_event,
    segment_onset,
    segment_rule,
)
from auricle.events.smoothing import MedianStream, median_size
from auricle.registry import nearest
from auricle.results import Event, EventStart, FloatArray
from auricle.runtime.spec import BundleSpec

Threshold = float | Mapping[str, float]


def on_thresholds(spec: BundleSpec, threshold: Threshold | None) -> list[float]:
    """Return one on-threshold a label.

    Args:
        spec: the model's specification.
        threshold: None for the model's own, one number for all labels, or numbers for some labels.

    Raises:
        UsageError: an unknown label, or a number outside [0, 1].
    """
    if threshold is None:
        threshold = {}
    changed = dict(threshold) if isinstance(threshold, Mapping) else dict.fromkeys(spec.labels, float(threshold))
    for label, value in changed.items():
        if label not in spec.thresholds:
            raise UsageError(f"{spec.name} has no label {label!r}{nearest(label, spec.labels)}")
        if not 0 <= value <= 1:
            raise UsageError(f"the threshold of {label!r} is {value:g}; scores and thresholds lie in [0, 1]")
    return [float(changed.get(label, spec.thresholds[label])) for label in spec.labels]


class EventTracker:
    """Frame scores of one recording to events: smoothing and hysteresis by the model's post-processing."""

    def __init__(self, spec: BundleSpec, threshold: Threshold | None = None) -> None:
        self._spec = spec
        self._step_s = spec.grid.step_s(spec.sample_rate)
        post = spec.postprocess
        self._rule: SegmentRule = segment_rule(
            on_thresholds(spec, threshold),
            off_ratio=post.off_ratio,
            min_event_s=post.min_event_s,
            max_gap_s=post.max_gap_s,
            step_s=self._step_s,
        )
        self._median = MedianStream(median_size(post.median_s, self._step_s), len(spec.labels))
        self._state = initial_state(self._rule)

    @property
    def lookahead_s(self) -> float:
        """Seconds of sound after a frame that its smoothed score depends on, beyond the frame's own windows."""
        return self._median.lookahead * self._step_s

    def push(self, frames: FloatArray) -> list[EventStart | Event]:
        """Take frame scores, shape ``(frame, label)``; return what is certain now."""
        self._state, changes = push_scores(self._rule, self._state, self._median.push(frames))
        return self._report(changes, np.inf)

    def finish(self, duration_s: float) -> list[EventStart | Event]:
        """Return the rest; events end with the recording at the latest."""
        self._state, changes = push_scores(self._rule, self._state, self._median.flush())
        return self._report([*changes, *finish_segments(self._rule, self._state)], duration_s)

    def _report(self, changes: Iterable[Change], duration_s: float) -> list[EventStart | Event]:
        spec, grid = self._spec, self._spec.grid
        labels, rate = spec.labels, spec.sample_rate
        return [
            EventStart(labels[change.label], segment_onset(change.first, grid, rate))
            if change.segment is None
            else segment_event(change.segment, labels, grid, rate, duration_s)
            for change in changes
        ]
