# SPDX-License-Identifier: Apache-2.0
"""From smoothed scores to events: two thresholds (hysteresis), gaps filled, short ones dropped.

A label begins when its score reaches the ``on`` threshold and continues until the score falls below the lower
``off`` threshold. Two runs with a gap of at most ``max_gap_frames`` are one segment; after that, segments
shorter than ``min_frames`` are dropped. The state is a value that the caller holds, so the same code serves a
whole file and a stream, and how the scores are cut into blocks changes nothing, not even the order of what is reported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from auricle.results import Event, FloatArray
from auricle.timeline import FrameGrid

BoolArray = npt.NDArray[np.bool_]

_SLACK = 1e-6  # 0.3 s are three frames of 0.1 s, whatever the last bit says


@dataclass(frozen=True)
class SegmentRule:
    """What makes a segment.

    Attributes:
        on: score at which a label begins, shape ``(label,)``.
        off: score under which it ends, shape ``(label,)``, at most ``on``.
        min_frames: shorter segments are dropped.
        max_gap_frames: longest gap that is filled.
    """

    on: FloatArray
    off: FloatArray
    min_frames: int = 1
    max_gap_frames: int = 0

    def __post_init__(self) -> None:
        if self.on.shape != self.off.shape or self.on.ndim != 1 or not np.all(self.off <= self.on):
            raise ValueError(f"need one off threshold, at most the on threshold, a label; got {self.on} and {self.off}")


def segment_rule(
    on: Sequence[float] | FloatArray,
    *,
    off_ratio: float | Sequence[float],
    min_event_s: float,
    max_gap_s: float,
    step_s: float,
) -> SegmentRule:
    """Build the rule of a bundle for frames ``step_s`` apart.

    Args:
        on: one threshold a label.
        off_ratio: ``off = on * off_ratio``, in (0, 1]; one for all labels, or one a label.
        min_event_s: shortest event in seconds, rounded up to whole frames.
        max_gap_s: longest gap that is filled in seconds, rounded down to whole frames.
        step_s: seconds between two frames.
    """
    ratios = np.asarray(off_ratio, np.float32)
    if not ((ratios > 0) & (ratios <= 1)).all():
        raise ValueError(f"off_ratio must be above 0 and at most 1, got {off_ratio}")
    thresholds = np.asarray(on, np.float32)
    return SegmentRule(
        on=thresholds,
        off=thresholds * ratios,
        min_frames=shortest_frames(min_event_s, step_s),
        max_gap_frames=longest_frames(max_gap_s, step_s),
    )


def shortest_frames(seconds: float, step_s: float) -> int:
    """Return a least duration in whole frames, rounded up; 1 at least."""
    return max(1, math.ceil(seconds / step_s - _SLACK))


def longest_frames(seconds: float, step_s: float) -> int:
    """Return a greatest duration in whole frames, rounded down."""
    return max(0, math.floor(seconds / step_s + _SLACK))


@dataclass(frozen=True)
class Segment:
    """A label from frame ``first`` to frame ``last``, both included, with its highest score."""

    label: int
    first: int
    last: int
    peak: float


@dataclass(frozen=True)
class Change:
    """A segment is certain to have begun, or is over and final.

    It is announced once it is long enough to be kept, so every beginning gets its end.

    Attributes:
        frame: when that became certain.
        label: which label.
        first: its first frame.
        segment: the whole, or None while it continues.
    """

    frame: int
    label: int
    first: int
    segment: Segment | None = None


@dataclass(frozen=True)
class SegmentState:
    """All that segmentation remembers between two blocks."""

    frames: int
    active: BoolArray
    open: tuple[Segment, ...] = ()


def initial_state(rule: SegmentRule) -> SegmentState:
    """Return the state before the first frame: every label is silent."""
    return SegmentState(frames=0, active=np.zeros(rule.on.shape, np.bool_))


def push_scores(rule: SegmentRule, state: SegmentState, scores: FloatArray) -> tuple[SegmentState, list[Change]]:
    """Take new smoothed scores, shape ``(frame, label)``; return the new state and what changed, in order of time."""
    if len(scores) == 0:
        return state, []
    start, stop = state.frames, state.frames + len(scores)
    waiting = {segment.label: segment for segment in state.open}
    busy = np.flatnonzero(state.active | (scores >= rule.on).any(axis=0))
    active = _hysteresis(scores[:, busy], rule.on[busy], rule.off[busy], state.active[busy])
    changes: list[Change] = []
    for column, label in enumerate(busy.tolist()):
        segment = waiting.get(label)
        for run in _runs(active[:, column], scores[:, label], label, start):
            if segment is not None and run.first - segment.last - 1 > rule.max_gap_frames:
                changes += _close(rule, segment)
                segment = None
            merged = run if segment is None else replace(segment, last=run.last, peak=max(segment.peak, run.peak))
            changes += _announce(rule, segment, merged, run.first)
            segment = merged
        if segment is not None:
            waiting[label] = segment
    for label, segment in list(waiting.items()):
        if stop - 1 - segment.last > rule.max_gap_frames:
            changes += _close(rule, waiting.pop(label))
    now_active = np.zeros_like(state.active)
    now_active[busy] = active[-1]
    return SegmentState(stop, now_active, tuple(waiting.values())), sorted(changes, key=_order)


def finish_segments(rule: SegmentRule, state: SegmentState) -> list[Change]:
    """Return the ends of the segments that are still open after the last frame."""
    changes = [change for segment in state.open for change in _close(rule, segment)]
    return sorted(changes, key=_order)


def find_segments(scores: FloatArray, rule: SegmentRule) -> list[Segment]:
    """Return all segments of a whole recording, ordered by their first frame, then by label."""
    state, changes = push_scores(rule, initial_state(rule), scores)
    changes += finish_segments(rule, state)
    ended = [change.segment for change in changes if change.segment is not None]
    return sorted(ended, key=lambda segment: (segment.first, segment.label))


def segment_onset(first: int, grid: FrameGrid, sample_rate: int) -> float:
    """Return where a segment with this first frame begins in seconds, never before the recording."""
    return max(0.0, grid.span_s(first, first, sample_rate)[0])


def segment_event(
    segment: Segment, labels: Sequence[str], grid: FrameGrid, sample_rate: int, duration_s: float
) -> Event:
    """Turn frames into seconds, cut to ``[0, duration_s]``."""
    onset = min(segment_onset(segment.first, grid, sample_rate), duration_s)
    offset = min(max(onset, grid.span_s(segment.first, segment.last, sample_rate)[1]), duration_s)
    return Event(labels[segment.label], onset, offset, segment.peak)


def _hysteresis(scores: FloatArray, on: FloatArray, off: FloatArray, before: BoolArray) -> BoolArray:
    """Return where labels are active: the last crossing of a threshold decides, shape ``(frame, label)``."""
    high = scores >= on
    decided = high | (scores < off)
    index = np.where(decided, np.arange(len(scores))[:, None], -1)
    np.maximum.accumulate(index, axis=0, out=index)
    latest = np.take_along_axis(high, np.maximum(index, 0), axis=0)
    return np.where(index >= 0, latest, before)


def _runs(active: BoolArray, scores: FloatArray, label: int, start: int) -> list[Segment]:
    """Return the active runs of one label in one block; ``start`` is the number of its first frame."""
    edges = np.flatnonzero(np.diff(active, prepend=False, append=False)).tolist()
    return [
        Segment(label, start + first, start + end - 1, float(scores[first:end].max()))
        for first, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def _announce(rule: SegmentRule, before: Segment | None, after: Segment, run_first: int) -> list[Change]:
    """Report a beginning at the frame in which the segment becomes long enough, if that lies in this run."""
    if before is not None and before.last - before.first + 1 >= rule.min_frames:
        return []
    certain = max(run_first, after.first + rule.min_frames - 1)
    return [Change(certain, after.label, after.first)] if certain <= after.last else []


def _close(rule: SegmentRule, segment: Segment) -> list[Change]:
    """Report an end, once the gap behind it is too long to be filled; short segments vanish."""
    if segment.last - segment.first + 1 < rule.min_frames:
        return []
    return [Change(segment.last + rule.max_gap_frames + 1, segment.label, segment.first, segment)]


def _order(change: Change) -> tuple[int, bool, int]:
    return change.frame, change.segment is None, change.label
