# SPDX-License-Identifier: Apache-2.0
"""From the frame scores of one recording to its events, by the model's post-processing, in blocks of any length."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from auricle.errors import UsageError
from auricle.events.boxes import BoxRule, BoxStream
from auricle.events.segments import (
    Change,
    SegmentRule,
    finish_segments,
    initial_state,
    longest_frames,
    push_scores,
    segment_event,
    segment_onset,
    segment_rule,
    shortest_frames,
)
from auricle.events.smoothing import MedianBank, median_size
from auricle.registry import nearest
from auricle.results import Event, EventStart, FloatArray
from auricle.runtime.spec import BoxesPart, BundleSpec

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


class Stage(Protocol):
    """What makes segments of smoothed scores."""

    @property
    def least(self) -> FloatArray | None:
        """For each label the score that it has to reach to matter now, ``(label,)``; None if all scores do."""

    def push(self, scores: FloatArray) -> list[Change]:
        """Take new scores, shape ``(frame, label)``; return what is certain now."""

    def finish(self) -> list[Change]:
        """Return the rest; the recording is over."""


class ThresholdStage:
    """Runs of scores above thresholds, see ``events.segments``."""

    def __init__(self, rule: SegmentRule) -> None:
        self._rule = rule
        self._state = initial_state(rule)

    @property
    def least(self) -> FloatArray | None:
        """A silent label matters from its upper threshold on; one that is active, always."""
        return np.where(self._state.active, np.float32(-np.inf), self._rule.on)

    def push(self, scores: FloatArray) -> list[Change]:
        """Take new scores, shape ``(frame, label)``; return what is certain now."""
        self._state, changes = push_scores(self._rule, self._state, scores)
        return changes

    def finish(self) -> list[Change]:
        """Return the rest; the recording is over."""
        return finish_segments(self._rule, self._state)


def median_sizes(spec: BundleSpec) -> list[int]:
    """Return the frames of each label's median filter."""
    step_s = spec.grid.step_s(spec.sample_rate)
    return [median_size(spec.postprocess.median_of(label), step_s) for label in spec.labels]


def box_rule(spec: BundleSpec, part: BoxesPart, on: Sequence[float]) -> BoxRule:
    """Return what makes a box, in frames of the model.

    Args:
        spec: the model's specification.
        part: its settings for boxes.
        on: confidence from which a box is reported, one a label.
    """
    step_s = spec.grid.step_s(spec.sample_rate)
    return BoxRule(
        half_frames=max(1, round(part.filter_s / 2 / step_s)),
        merge_abs=part.merge_abs,
        merge_rel=part.merge_rel,
        max_gap_frames=longest_frames(part.max_gap_s, step_s),
        max_frames=max(1, longest_frames(part.max_event_s, step_s)),
        min_frames=shortest_frames(spec.postprocess.min_event_s, step_s),
        on=np.asarray(on, np.float32),
    )


class EventTracker:
    """Frame scores of one recording to events: smoothing, then thresholds or boxes, by the model's post-processing."""

    def __init__(self, spec: BundleSpec, threshold: Threshold | None = None) -> None:
        self._spec = spec
        self._step_s = spec.grid.step_s(spec.sample_rate)
        self._median = MedianBank(median_sizes(spec))
        self._wait_frames = self._median.lookahead
        post, on = spec.postprocess, on_thresholds(spec, threshold)
        self._stage: Stage
        if post.boxes is None:
            ratios = [post.off_ratio_of(label) for label in spec.labels]
            self._stage = ThresholdStage(
                segment_rule(
                    on, off_ratio=ratios, min_event_s=post.min_event_s, max_gap_s=post.max_gap_s, step_s=self._step_s
                )
            )
        else:
            rule = box_rule(spec, post.boxes, on)
            self._stage = BoxStream(rule)
            self._wait_frames += rule.lookahead_frames

    @property
    def lookahead_s(self) -> float:
        """Seconds of sound after a frame, beyond its own windows, until an event that begins there can be announced.

        For thresholds without the shortest event's length; for boxes the longest time until a box is final.
        """
        return self._wait_frames * self._step_s

    def parts(self) -> Any:
        """Return all that is remembered, as a value that ``resume`` takes."""
        return {"median": self._median, "stage": self._stage}

    def resume(self, parts: Any) -> None:
        """Continue where ``parts`` were taken, by a tracker of the same specification and thresholds."""
        self._median, self._stage = parts["median"], parts["stage"]

    def push(self, frames: FloatArray) -> list[EventStart | Event]:
        """Take frame scores, shape ``(frame, label)``; return what is certain now."""
        return self._report(self._stage.push(self._median.push(frames, self._stage.least)), np.inf)

    def finish(self, duration_s: float) -> list[EventStart | Event]:
        """Return the rest; events end with the recording at the latest."""
        changes = self._stage.push(self._median.flush())
        return self._report([*changes, *self._stage.finish()], duration_s)

    def _report(self, changes: Iterable[Change], duration_s: float) -> list[EventStart | Event]:
        spec, grid = self._spec, self._spec.grid
        labels, rate = spec.labels, spec.sample_rate
        return [
            EventStart(labels[change.label], segment_onset(change.first, grid, rate))
            if change.segment is None
            else segment_event(change.segment, labels, grid, rate, duration_s)
            for change in changes
        ]
