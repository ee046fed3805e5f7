# SPDX-License-Identifier: Apache-2.0
"""How many events are found, and how many detections are wrong, at every threshold that makes a difference.

Each detection is there for a range of thresholds. What it changes is written down where it comes and where it goes
as the threshold falls; sums of these changes give the counts at all thresholds, for any choice of recordings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.evaluation.events.intersections import Criteria, Spans, nanoseconds, reaches, true_spans
from auricle.evaluation.events.metrics import events_by_label
from auricle.evaluation.events.threshold_runs import threshold_runs
from auricle.results import Event, Scores

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelCounts:
    """What changes for one label when the threshold falls to a score.

    Attributes:
        label: its name.
        thresholds: descending, shape ``(change,)``.
        recording: number of the recording of each change.
        changes: of events found, false alarms, and false alarms that cross-trigger on each label; shape
            ``(change, 2 + label)``, without the latter if they are not counted.
        events: true events of each recording, shape ``(recording,)``.
        true_s: seconds of true events of each recording.
    """

    label: str
    thresholds: Array
    recording: IntArray
    changes: IntArray
    events: IntArray
    true_s: Array

    def totals(self, weights: Array, cost: Array) -> tuple[Array, Array]:
        """Return events found, and what all wrong detections cost, at every threshold from one nothing reaches on.

        Args:
            weights: how often each recording counts, shape ``(recording,)``.
            cost: of each column of ``changes``.
        """
        drawn = weights[self.recording]
        last = np.append(self.thresholds[1:] != self.thresholds[:-1], np.ones(min(1, len(self.thresholds)), bool))
        columns = (self.changes[:, 0] * drawn, (self.changes @ cost) * drawn)
        found, paid = (np.append(0.0, np.cumsum(column)[last]) for column in columns)
        return found, paid.round(9)  # what comes and goes again is nothing


@dataclass(frozen=True)
class _Boxes:
    """Detections of one label over all recordings, laid end to end; each is there for ``bottom < threshold <= top``."""

    begin: IntArray
    end: IntArray
    top: Array
    bottom: Array
    recording: IntArray


def threshold_counts(
    detections: Mapping[str, Scores | Sequence[Event]],
    truth: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    criteria: Criteria,
    labels: Sequence[str] | None = None,
) -> list[LabelCounts]:
    """Return the counts of each label; the arguments are those of ``psds.psds``.

    Raises:
        ValueError: a recording, a label, a time or a score that does not fit.
    """
    names = _check_labels(detections, labels)
    _check_recordings(detections, truth, durations)
    lengths = nanoseconds(list(durations.values()))
    starts = np.concatenate([[0], np.cumsum(lengths + 1)])  # a nanosecond apart, so that nothing touches
    true = [events_by_label(truth.get(name, ()), names) for name in durations]
    spans = {
        label: [_inside(true_spans(part[label]), length) for part, length in zip(true, lengths, strict=True)]
        for label in names
    }
    joined = {label: _join(parts, starts) for label, parts in spans.items()}
    boxes = _detected(detections, list(durations), names, lengths, starts)
    return [
        LabelCounts(
            label,
            *_changes(boxes[label], label, joined, starts, criteria),
            np.array([len(part) for part in spans[label]], np.int64),
            np.array([part.lengths.sum() / 1e9 for part in spans[label]], np.float64),
        )
        for label in names
    ]


def _check_labels(detections: Mapping[str, Scores | Sequence[Event]], labels: Sequence[str] | None) -> list[str]:
    given = {value.labels for value in detections.values() if isinstance(value, Scores)}
    if len(given) > 1:
        raise ValueError(f"the scores have different labels: {' and '.join(str(list(g)) for g in list(given)[:2])}")
    if labels is None:
        if not given:
            raise ValueError("events say only what was detected; pass `labels`, all that could have been")
        return list(given.pop())
    if given and set(labels) - set(next(iter(given))):
        raise ValueError(f"there are no scores of {', '.join(sorted(set(labels) - set(given.pop())))}")
    return list(labels)


def _check_recordings(
    detections: Mapping[str, object], truth: Mapping[str, object], durations: Mapping[str, float]
) -> None:
    if not durations:
        raise ValueError("no recording to evaluate")
    for name, duration_s in durations.items():
        if not duration_s > 0:
            raise ValueError(f"{name} has a duration of {duration_s:g} s; it must be above 0")
        if name not in detections:
            raise ValueError(f"there are no detections of {name}; pass an empty list if nothing was detected")
    odd = sorted((set(detections) | set(truth)) - set(durations))
    if odd:
        raise ValueError(f"{len(odd)} recordings have no duration, the first is {odd[0]}")


def _inside(spans: Spans, length: np.int64) -> Spans:
    """Return true spans cut at the end of their recording; raises ``ValueError`` for one that lies behind it."""
    if len(spans) and spans.begin[-1] >= length:
        raise ValueError(
            f"an event begins at {spans.begin[-1] / 1e9:g} s of a recording of {length / 1e9:g} s; check the durations"
        )
    return Spans(spans.begin, np.minimum(spans.end, length))


def _join(parts: Sequence[Spans], starts: IntArray) -> Spans:
    """Return the spans of all recordings on one line of time."""
    begin = [part.begin + start for part, start in zip(parts, starts, strict=False)]
    end = [part.end + start for part, start in zip(parts, starts, strict=False)]
    return Spans(np.concatenate(begin), np.concatenate(end))


def _detected(
    detections: Mapping[str, Scores | Sequence[Event]],
    names: Sequence[str],
    labels: Sequence[str],
    lengths: IntArray,
    starts: IntArray,
) -> dict[str, _Boxes]:
    parts: dict[str, list[tuple[IntArray, IntArray, Array, Array, IntArray]]] = {label: [] for label in labels}
    for number, name in enumerate(names):
        value = detections[name]
        found = _frame_boxes(value, labels, name) if isinstance(value, Scores) else _event_boxes(value, labels)
        for label, (begins, ends, top, bottom) in found.items():
            begin, end = np.clip(begins, 0, lengths[number]), np.clip(ends, 0, lengths[number])
            kept = end > begin
            where = np.full(int(kept.sum()), number, np.int64)
            parts[label].append(
                (begin[kept] + starts[number], end[kept] + starts[number], top[kept], bottom[kept], where)
            )
    columns = {label: zip(*rows, strict=True) for label, rows in parts.items()}
    return {label: _Boxes(*map(np.concatenate, column)) for label, column in columns.items()}


def _frame_boxes(
    scores: Scores, labels: Sequence[str], name: str
) -> dict[str, tuple[IntArray, IntArray, Array, Array]]:
    """Return begin, end, top and bottom of all runs of each label."""
    values = np.asarray(scores.values, np.float64)
    if values.shape != (len(scores.times), len(scores.labels)) or not np.isfinite(values).all():
        raise ValueError(
            f"{name} has scores of shape {values.shape}; need finite ones of shape "
            f"({len(scores.times)}, {len(scores.labels)}), (frame, label)"
        )
    first_s = float(scores.times[0]) if len(scores.times) else 0.0
    edges = nanoseconds(first_s + (np.arange(len(values) + 1) - 0.5) * scores.step_s)
    found = {}
    for label in labels:
        runs = threshold_runs(values[:, scores.labels.index(label)])
        found[label] = edges[runs.first], edges[runs.last + 1], runs.top, runs.bottom
    return found


def _event_boxes(events: Sequence[Event], labels: Sequence[str]) -> dict[str, tuple[IntArray, IntArray, Array, Array]]:
    found = {}
    for label, part in events_by_label(events, labels).items():
        top = np.array([event.score for event in part], np.float64)
        if not np.isfinite(top).all():
            raise ValueError(f"a detected event of {label} has a score that is no finite number")
        begin, end = nanoseconds([e.onset for e in part]), nanoseconds([e.offset for e in part])
        found[label] = begin, end, top, np.full(len(part), -np.inf)
    return found


def _changes(
    boxes: _Boxes, label: str, truth: Mapping[str, Spans], starts: IntArray, criteria: Criteria
) -> tuple[Array, IntArray, IntArray]:
    """Return thresholds, recordings and changes of one label, see ``LabelCounts``."""
    own, lengths = truth[label], boxes.end - boxes.begin
    relevant = reaches(own.covered(boxes.begin, boxes.end), criteria.dtc, lengths)
    columns = [np.zeros(len(lengths), np.int64), (~relevant).astype(np.int64)]
    if criteria.cttc is not None:
        for other, spans in truth.items():
            crossed = ~relevant & reaches(spans.covered(boxes.begin, boxes.end), criteria.cttc, lengths)
            columns.append((crossed & (other != label)).astype(np.int64))
    state = np.stack(columns, axis=1)
    ends = boxes.bottom > -np.inf
    at, where, hits = _found_events(boxes, relevant, own, starts, criteria.gtc)
    gains = np.zeros((len(at), state.shape[1]), np.int64)
    gains[:, 0] = hits
    return _collect(
        np.concatenate([boxes.top, boxes.bottom[ends], at]),
        np.concatenate([boxes.recording, boxes.recording[ends], where]),
        np.concatenate([state, -state[ends], gains]),
    )


def _found_events(
    boxes: _Boxes, relevant: npt.NDArray[np.bool_], truth: Spans, starts: IntArray, gtc: float
) -> tuple[Array, IntArray, IntArray]:
    """Return where true events become found (1) or lost (-1) as the threshold falls: thresholds, recordings, which."""
    begin, end = boxes.begin[relevant], boxes.end[relevant]
    top, bottom = boxes.top[relevant], boxes.bottom[relevant]
    low, high = truth.touched(begin, end)
    count = np.maximum(high - low, 0)
    box = np.repeat(np.arange(len(begin)), count)
    event = np.repeat(low, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    shared = np.minimum(end[box], truth.end[event]) - np.maximum(begin[box], truth.begin[event])
    goes = bottom[box] > -np.inf
    at, of, by = (
        np.concatenate(pair) for pair in ((top[box], bottom[box][goes]), (event, event[goes]), (shared, -shared[goes]))
    )
    order = np.lexsort((-at, of))
    at, of, by = at[order], of[order], by[order]
    last = np.append((of[1:] != of[:-1]) | (at[1:] != at[:-1]), np.ones(min(1, len(at)), bool))
    covered = np.cumsum(by)  # over all events; what was gained before an event's own first change is taken away
    first = np.flatnonzero(np.diff(of, prepend=-1))
    sizes = np.diff(np.append(first, len(of)))
    before = np.repeat(covered[first] - by[first], sizes)
    covered, at, of = (covered - before)[last], at[last], of[last]
    found = reaches(covered, gtc, truth.lengths[of]).astype(np.int64)
    was = np.where(np.diff(of, prepend=-1) != 0, 0, np.append(0, found[:-1]))
    changed = found != was
    where = np.searchsorted(starts, truth.begin[of[changed]], side="right") - 1
    return at[changed], where, (found - was)[changed]


def _collect(at: Array, where: IntArray, changes: IntArray) -> tuple[Array, IntArray, IntArray]:
    """Return changes in order of falling thresholds, one for each recording and threshold, none that is no change."""
    order = np.lexsort((where, -at))
    at, where, changes = at[order], where[order], changes[order]
    first = np.flatnonzero(np.append(np.ones(min(1, len(at)), bool), (at[1:] != at[:-1]) | (where[1:] != where[:-1])))
    if len(first) == 0:
        return at, where, changes
    summed = np.add.reduceat(changes, first, axis=0)
    kept = summed.any(axis=1)
    return at[first][kept], where[first][kept], summed[kept]
