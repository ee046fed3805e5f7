# SPDX-License-Identifier: Apache-2.0
"""Were the right sounds found at the right times? Event-based and segment-based counts, and false alarms.

Definitions of Mesaros, Heittola and Virtanen, "Metrics for Polyphonic Sound Event Detection", Applied Sciences 2016, as
the sed_eval toolbox computes them. Counts are per recording, so that they can be summed, and resampled for intervals.
Each row of counts is ``(true positives, false positives, false negatives)``; ``metrics.f1_from_counts`` gives F1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from auricle.evaluation.metrics import IntArray
from auricle.results import Event

#: Times are compared to a nanosecond, so that 0.9 s and 0.7 s are 0.2 s apart.
_SLACK_S = 1e-9


def event_counts(
    reference: Sequence[Event],
    found: Sequence[Event],
    labels: Sequence[str],
    *,
    collar_s: float = 0.2,
    offset_share: float = 0.2,
) -> IntArray:
    """Count the events of one recording that were found.

    An event is found if another of its label begins within ``collar_s`` of it, and ends within ``collar_s`` or
    ``offset_share`` of its length, whichever is more. Pairs are chosen so that most events have one.

    Args:
        reference: the true events.
        found: the detected events; their scores do not matter.
        labels: which labels are counted; an event of another one is an error.
        collar_s: tolerance in seconds.
        offset_share: tolerance of the end, as a share of the true length.

    Returns:
        Counts, shape ``(label, 3)``.
    """
    true, seen = events_by_label(reference, labels), events_by_label(found, labels)
    counts = np.zeros((len(labels), 3), np.int64)
    for row, label in enumerate(labels):
        near = [[_matches(a, b, collar_s, offset_share) for b in seen[label]] for a in true[label]]
        hits = _most_pairs(near)
        counts[row] = hits, len(seen[label]) - hits, len(true[label]) - hits
    return counts


def segment_counts(
    reference: Sequence[Event], found: Sequence[Event], labels: Sequence[str], *, segment_s: float = 1.0
) -> IntArray:
    """Count the segments of one recording in which a label was rightly found active.

    A label is active in each segment of ``segment_s`` seconds that an event of it reaches into.

    Returns:
        Counts, shape ``(label, 3)``.
    """
    if not segment_s > 0:
        raise ValueError(f"segment_s must be above 0, got {segment_s:g}")
    true, seen = events_by_label(reference, labels), events_by_label(found, labels)
    counts = np.zeros((len(labels), 3), np.int64)
    for row, label in enumerate(labels):
        is_true, is_found = _segments(true[label], segment_s), _segments(seen[label], segment_s)
        counts[row] = len(is_true & is_found), len(is_found - is_true), len(is_true - is_found)
    return counts


def false_alarms_per_hour(
    reference: Mapping[str, Sequence[Event]],
    found: Mapping[str, Sequence[Event]],
    labels: Sequence[str],
    *,
    duration_s: float,
) -> dict[str, float]:
    """Return, for each label, the detected events an hour that overlap no true event of that label.

    Args:
        reference: the true events by recording; a recording without any may be left out.
        found: the detected events by recording.
        labels: which labels are counted.
        duration_s: length of all recordings together in seconds.
    """
    if not duration_s > 0:
        raise ValueError(f"duration_s must be above 0, got {duration_s:g}")
    alarms = dict.fromkeys(labels, 0)
    for path, events in found.items():
        true, seen = events_by_label(reference.get(path, ()), labels), events_by_label(events, labels)
        for label in labels:
            alarms[label] += sum(not any(_overlap(event, other) for other in true[label]) for event in seen[label])
    return {label: count * 3600 / duration_s for label, count in alarms.items()}


def events_by_label(events: Sequence[Event], labels: Sequence[str]) -> dict[str, list[Event]]:
    """Return the events of each label; raises ``ValueError`` for another label or an impossible time."""
    groups: dict[str, list[Event]] = {label: [] for label in labels}
    for event in events:
        if event.label not in groups:
            raise ValueError(f"an event has label {event.label!r}, which is not among {', '.join(labels)}")
        if not 0 <= event.onset <= event.offset:
            raise ValueError(f"an event goes from {event.onset:g} to {event.offset:g} s; need 0 <= onset <= offset")
        groups[event.label].append(event)
    return groups


def _matches(true: Event, found: Event, collar_s: float, offset_share: float) -> bool:
    tolerance = max(collar_s, offset_share * (true.offset - true.onset))
    return (
        abs(true.onset - found.onset) <= collar_s + _SLACK_S and abs(true.offset - found.offset) <= tolerance + _SLACK_S
    )


def _overlap(event: Event, other: Event) -> bool:
    return event.onset < other.offset and other.onset < event.offset


def _segments(events: Sequence[Event], segment_s: float) -> set[int]:
    return {
        index
        for event in events
        for index in range(
            math.floor((event.onset + _SLACK_S) / segment_s), math.ceil((event.offset - _SLACK_S) / segment_s)
        )
    }


def _most_pairs(near: Sequence[Sequence[bool]]) -> int:
    """Return the size of the largest set of pairs in which no row and no column stands twice.

    Augmenting paths (Berge): each row takes a free column, or one whose row can move to another.
    """
    columns = len(near[0]) if near else 0
    holder: list[int | None] = [None] * columns

    def place(row: int, tried: set[int]) -> bool:
        for column in range(columns):
            if not near[row][column] or column in tried:
                continue
            tried.add(column)
            current = holder[column]
            if current is None or place(current, tried):
                holder[column] = row
                return True
        return False

    return sum(place(row, set()) for row in range(len(near)))
