# SPDX-License-Identifier: Apache-2.0
"""From scores to events by change points: each event is a box with one confidence, whatever threshold comes later.

After Ebbers, Germain, Wichern and Le Roux, "Sound Event Bounding Boxes", Interspeech 2024. A step filter compares the
scores after each boundary between two frames with those before it. Where that difference is highest an event may begin,
where it is lowest one may end. The mean score between the two is the confidence of the box. Two boxes become one if the
gap between them is nearly as high as the higher of them.

Unlike the paper's, which looks at a whole clip, boxes are joined from left to right, over gaps of at most
``max_gap_frames`` and up to ``max_frames``, so that a stream can do the same: a box is final at the latest
``lookahead_frames`` after its first frame. A longer event is cut into boxes of ``max_frames`` that touch.
Scores are summed as whole numbers, so how they are cut into blocks changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from auricle.events.segments import Change, Segment
from auricle.results import FloatArray

IntArray = npt.NDArray[np.int64]

_UNITS = 1 << 24


@dataclass(frozen=True)
class BoxRule:
    """What makes a box.

    Attributes:
        half_frames: frames on each side of a boundary that are compared.
        merge_abs: a gap is filled whose mean is at most this much below the higher neighbour.
        merge_rel: or whose mean is at least this share of it.
        max_gap_frames: longest gap that is filled.
        max_frames: longest box.
        min_frames: shorter boxes are dropped.
        on: confidence from which boxes are kept, shape ``(label,)``.
    """

    half_frames: int
    merge_abs: float
    merge_rel: float
    max_gap_frames: int
    max_frames: int
    min_frames: int
    on: FloatArray

    def __post_init__(self) -> None:
        if self.half_frames < 1 or self.max_frames < 1 or self.max_gap_frames < 0:
            raise ValueError(
                f"need half_frames and max_frames of 1 and more and max_gap_frames of 0 and more; got "
                f"{self.half_frames}, {self.max_frames} and {self.max_gap_frames}"
            )

    @property
    def lookahead_frames(self) -> int:
        """Frames after the first frame of a box that may be needed until it is final."""
        return self.max_frames + self.max_gap_frames + self.half_frames + 1

    def fills(self, left: float, gap: float, right: float) -> bool:
        """Tell whether a gap with this mean score between boxes of these means is part of one event."""
        higher = max(left, right)
        return gap >= min(higher - self.merge_abs, self.merge_rel * higher)


@dataclass(frozen=True)
class Box:
    """Frames ``begin ... end - 1``, with the sums of all scores before ``begin`` and before ``end``."""

    begin: int
    end: int
    sum_begin: int
    sum_end: int

    @property
    def frames(self) -> int:
        """Length in frames."""
        return self.end - self.begin

    @property
    def mean(self) -> float:
        """Mean score, the confidence of the box."""
        return (self.sum_end - self.sum_begin) / (self.frames * _UNITS)

    def gap_mean(self, other: Box) -> float:
        """Return the mean score between this box and a later one that does not touch it."""
        return (other.sum_begin - self.sum_end) / ((other.begin - self.end) * _UNITS)


@dataclass
class Walk:
    """One label: the boxes that may still grow. Everything is decided at a boundary, in the order of boundaries."""

    rule: BoxRule
    waiting: Box | None = None
    begun: tuple[int, int] | None = None
    known: int = 0
    final: list[tuple[int, Box]] = field(default_factory=list)

    def begin(self, at: int, total: int) -> None:
        """An event may begin at boundary ``at``, before which the scores sum up to ``total``; known one later."""
        self.begun, self.known = (at, total), at + 1

    def end(self, now: int, at: int, total: int) -> None:
        """What has begun ends at boundary ``at``, which became known at boundary ``now``."""
        self.known = now
        if self.begun is None or at <= self.begun[0]:
            self.begun = None
            return
        box = Box(self.begun[0], at, self.begun[1], total)
        self.begun = None
        if self.waiting is not None and self._joins(self.waiting, box):
            self.waiting = Box(self.waiting.begin, box.end, self.waiting.sum_begin, box.sum_end)
            return
        self._close(now)
        self.waiting = box

    def next_deadline(self) -> int | None:
        """Return the boundary at which something has to be decided even if no change comes."""
        if self.waiting is None:
            return None if self.begun is None else self.begun[0] + self.rule.max_frames
        if self.begun is not None:
            return max(self.known, self.waiting.begin + self.rule.max_frames)
        return max(self.known, self.waiting.end + self.rule.max_gap_frames + 1)

    def expire(self, now: int, total: int) -> None:
        """Decide what is due at boundary ``now``, before which the scores sum up to ``total``."""
        if self.waiting is not None:
            self._close(now)
        elif self.begun is not None:
            self.final.append((now, Box(self.begun[0], now, self.begun[1], total)))
            self.begun = now, total

    def finish(self, now: int) -> None:
        """The recording is over."""
        self._close(now)

    def _joins(self, left: Box, right: Box) -> bool:
        gap = right.begin - left.end
        if gap > self.rule.max_gap_frames or right.end - left.begin > self.rule.max_frames:
            return False
        return gap <= 0 or self.rule.fills(left.mean, left.gap_mean(right), right.mean)

    def _close(self, now: int) -> None:
        if self.waiting is not None:
            self.final.append((now, self.waiting))
            self.waiting = None


class BoxStream:
    """Scores of one recording to boxes, in blocks of any length.

    Attributes:
        least: as for other stages (``runtime.tracker.Stage``): all scores matter.
    """

    least: FloatArray | None = None

    def __init__(self, rule: BoxRule) -> None:
        labels = len(rule.on)
        self._rule = rule
        self._walks = [Walk(rule) for _ in range(labels)]
        # Sums of all scores before a boundary; those from boundary self._first on. Before the recording all are 0.
        self._sums: IntArray = np.zeros((rule.half_frames + 2, labels), np.int64)
        self._first = -rule.half_frames - 1
        self._next = 0  # boundary whose difference comes next
        self._steps: IntArray = np.zeros(labels, np.int64)  # difference at the boundary before
        self._rising = np.ones(labels, np.bool_)
        # Where the present difference was reached, and the sum there.
        self._flat_at: IntArray = np.zeros(labels, np.int64)
        self._flat_sum: IntArray = np.zeros(labels, np.int64)

    def push(self, scores: FloatArray) -> list[Change]:
        """Take new scores, shape ``(frame, label)``; return the beginnings and ends of boxes that are final now."""
        if len(scores) == 0:
            return []
        units = np.rint(np.asarray(scores, np.float64) * _UNITS).astype(np.int64)
        self._sums = np.concatenate([self._sums, self._sums[-1] + np.cumsum(units, axis=0)])
        return self._advance(self._first + len(self._sums) - 1 - self._rule.half_frames)

    def finish(self) -> list[Change]:
        """Return the rest; the recording is over, and silent from here on."""
        last = self._first + len(self._sums) - 1
        self._sums = np.concatenate([self._sums, np.repeat(self._sums[-1:], self._rule.half_frames, axis=0)])
        changes = self._advance(last)
        for label, walk in enumerate(self._walks):
            if not self._rising[label]:
                walk.end(last, int(self._flat_at[label]), int(self._flat_sum[label]))
            walk.finish(last)
        return changes + self._report()

    def _advance(self, last: int) -> list[Change]:
        """Look at the boundaries up to ``last``, around which all sums are known."""
        if last < self._next:
            return []
        half, base = self._rule.half_frames, self._first
        at = np.arange(self._next, last + 1) - base
        steps = self._sums[at + half] + self._sums[at - half] - 2 * self._sums[at]
        slopes = np.diff(steps, axis=0, prepend=self._steps[None])
        if self._next == 0:
            slopes[0] = 1  # whatever the first difference is, it rose to that
        for label, walk in enumerate(self._walks):
            self._walk(label, walk, slopes[:, label], last)
        self._steps = steps[-1]
        self._next = last + 1
        kept = last - half - base
        self._sums, self._first = self._sums[kept:], self._first + kept
        return self._report()

    def _walk(self, label: int, walk: Walk, slopes: IntArray, last: int) -> None:
        """Take one label through its new boundaries: where the difference turns, and where something is due."""
        sums = self._sums[:, label]
        moves = np.flatnonzero(slopes)
        ups = slopes[moves] > 0
        turned = np.flatnonzero(np.diff(ups, prepend=self._rising[label]))
        for turn in turned.tolist():
            now = self._next + int(moves[turn])
            self._expire(walk, sums, now - 1)
            if not ups[turn]:  # the difference was highest, up to the boundary before this one
                walk.begin(now - 1, int(sums[now - 1 - self._first]))
            elif turn > 0:  # it was lowest, from the last boundary on at which it changed
                flat = self._next + int(moves[turn - 1])
                walk.end(now, flat, int(sums[flat - self._first]))
            else:
                walk.end(now, int(self._flat_at[label]), int(self._flat_sum[label]))
        self._expire(walk, sums, last)
        if len(moves):
            self._rising[label] = ups[-1]
            self._flat_at[label] = self._next + moves[-1]
            self._flat_sum[label] = sums[self._flat_at[label] - self._first]

    def _expire(self, walk: Walk, sums: IntArray, now: int) -> None:
        due = walk.next_deadline()
        while due is not None and due <= now:
            walk.expire(due, int(sums[due - self._first]))
            due = walk.next_deadline()

    def _report(self) -> list[Change]:
        """Return the beginnings and ends of the boxes that became final, in the order in which they did."""
        rows = sorted(
            ((now, label, box) for label, walk in enumerate(self._walks) for now, box in walk.final),
            key=lambda row: (row[0], row[1], row[2].begin),
        )
        for walk in self._walks:
            walk.final.clear()
        return [change for now, label, box in rows for change in self._changes(now, label, box)]

    def _changes(self, now: int, label: int, box: Box) -> Iterator[Change]:
        confidence = min(box.mean, 1.0)
        if box.frames >= self._rule.min_frames and confidence >= self._rule.on[label]:
            yield Change(now, label, box.begin)
            yield Change(now, label, box.begin, Segment(label, box.begin, box.end - 1, confidence))


def find_boxes(scores: FloatArray, rule: BoxRule) -> list[Segment]:
    """Return all boxes of a whole recording, ordered by their first frame, then by label."""
    stream = BoxStream(rule)
    changes = [*stream.push(scores), *stream.finish()]
    boxes = [change.segment for change in changes if change.segment is not None]
    return sorted(boxes, key=lambda box: (box.first, box.label))
