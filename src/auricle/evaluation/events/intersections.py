# SPDX-License-Identifier: Apache-2.0
"""How much of a detection lies in true events, and how much of a true event is detected?

Intersection criteria of Bilen et al., "A Framework for the Robust Evaluation of Sound Event Detection", ICASSP 2020.
A detection is *relevant* if at least ``dtc`` of it lies in true events of its label (detection tolerance), a true event
is *found* if relevant detections cover at least ``gtc`` of it (ground truth intersection), and a detection that is not
relevant is a false alarm; it *cross-triggers* on each other label whose events hold at least ``cttc`` of it.

Times are whole nanoseconds inside, so sums are exact; what misses a criterion by less than half a microsecond meets it.
True events of one label that overlap or touch are one event: no detection could tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.evaluation.events.metrics import events_by_label
from auricle.results import Event

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_NS = 1_000_000_000
_SLACK_NS = 500


@dataclass(frozen=True)
class Criteria:
    """Shares in (0, 1] from which a detection is relevant, an event found, and a false alarm a cross-trigger.

    The defaults are those of the intersection F1 of the DCASE challenges. ``cttc`` None counts no cross-triggers.
    """

    dtc: float = 0.5
    gtc: float = 0.5
    cttc: float | None = None

    def __post_init__(self) -> None:
        for name in ("dtc", "gtc", "cttc"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise ValueError(f"{name} is a share above 0 and at most 1, got {value:g}")


@dataclass(frozen=True)
class Spans:
    """Stretches of time in nanoseconds, sorted; ``begin`` and ``end`` have shape ``(span,)``."""

    begin: IntArray
    end: IntArray

    def __len__(self) -> int:
        return len(self.begin)

    @property
    def lengths(self) -> IntArray:
        """Length of each span."""
        return self.end - self.begin

    def covered(self, begin: IntArray, end: IntArray) -> IntArray:
        """Return how much of each stretch ``begin ... end``, any shape, lies in these spans, which must not overlap."""
        return self._before(end) - self._before(begin)

    def touched(self, begin: IntArray, end: IntArray) -> tuple[IntArray, IntArray]:
        """Return for each stretch the first span that reaches into it and the one after the last that does."""
        return np.searchsorted(self.end, begin, side="right"), np.searchsorted(self.begin, end, side="left")

    def _before(self, time: IntArray) -> IntArray:
        """Return how much time of the spans lies before each point."""
        if len(self) == 0:
            return np.zeros_like(time)
        total = np.concatenate([[0], np.cumsum(self.lengths)])
        index = np.searchsorted(self.begin, time, side="right")
        last = np.maximum(index - 1, 0)
        beyond = np.where(index > 0, np.maximum(self.end[last] - time, 0), 0)
        return np.asarray(total[index] - beyond)


def nanoseconds(seconds: npt.ArrayLike) -> IntArray:
    """Return times in whole nanoseconds, same shape."""
    return np.rint(np.asarray(seconds, np.float64) * _NS).astype(np.int64)


def event_spans(events: Sequence[Event]) -> Spans:
    """Return the spans of events, sorted, empty ones left out; they may overlap."""
    begin, end = nanoseconds([e.onset for e in events]), nanoseconds([e.offset for e in events])
    order = np.lexsort((end, begin))
    order = order[(end > begin)[order]]
    return Spans(begin[order], end[order])


def true_spans(events: Sequence[Event]) -> Spans:
    """Return the spans of true events of one label: those that overlap or touch are one."""
    spans = event_spans(events)
    if len(spans) == 0:
        return spans
    reach = np.maximum.accumulate(spans.end)
    first = np.concatenate([[True], spans.begin[1:] > reach[:-1]])
    last = np.concatenate([first[1:], [True]])
    return Spans(spans.begin[first], reach[last])


def reaches(part: IntArray, share: float, whole: IntArray) -> BoolArray:
    """Tell where ``part`` is at least ``share`` of ``whole``, both in nanoseconds."""
    return np.asarray(part + _SLACK_NS >= share * whole)


def intersection_counts(
    reference: Sequence[Event],
    found: Sequence[Event],
    labels: Sequence[str],
    criteria: Criteria | None = None,
) -> IntArray:
    """Count the events of one recording that were found, by intersection; ``metrics.f1_from_counts`` gives F1.

    Args:
        reference: the true events.
        found: the detected events, each a detection of its own; their scores do not matter.
        labels: which labels are counted; an event of another one is an error.
        criteria: from which shares on; None takes one half for both.

    Returns:
        True events found, false alarms, and true events not found: shape ``(label, 3)``.
    """
    rule = Criteria() if criteria is None else criteria
    true, seen = events_by_label(reference, labels), events_by_label(found, labels)
    counts = np.zeros((len(labels), 3), np.int64)
    for row, label in enumerate(labels):
        truth, boxes = true_spans(true[label]), event_spans(seen[label])
        relevant = reaches(truth.covered(boxes.begin, boxes.end), rule.dtc, boxes.lengths)
        shared = np.zeros(len(truth), np.int64)
        for begin, end in zip(boxes.begin[relevant], boxes.end[relevant], strict=True):
            shared += np.maximum(np.minimum(truth.end, end) - np.maximum(truth.begin, begin), 0)
        hits = int(reaches(shared, rule.gtc, truth.lengths).sum())
        counts[row] = hits, len(boxes) - int(relevant.sum()), len(truth) - hits
    return counts
