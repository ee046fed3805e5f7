# SPDX-License-Identifier: Apache-2.0
"""A row for each label: its score as a curve, its events as spans, in shares of the picture's width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auricle.reports.pairing import overlap
from auricle.reports.palette import hue_of, ink_on
from auricle.results import Event, FloatArray, Scores

#: Labels without any event are shown only as long as there are no more rows than this.
MOST_LANES = 12
#: Units of the curve's drawing, stretched to the size of the row.
WIDTH, HEIGHT = 1000, 100

_MOST_POINTS = 1000


@dataclass(frozen=True)
class Span:
    """An event as a piece of the row.

    Attributes:
        left: where it begins, percent of the width.
        width: percent of the width.
        text: what it is, in words.
        score: of a found event as text, empty for a true one.
        false: found where the truth says it is not.
    """

    left: float
    width: float
    text: str
    score: str = ""
    false: bool = False


@dataclass(frozen=True)
class Lane:
    """What stands in the row of one label.

    Attributes:
        label: its name.
        hue: its colour.
        ink: black or white, for text on that colour.
        line: SVG path of the score; empty if the model does not know the label.
        area: the same, closed along the lower edge.
        threshold: score at which an event begins as percent of the height, None if not given.
        found: events of the model.
        true: true events.
        peak: highest score.
    """

    label: str
    hue: str
    ink: str
    line: str
    area: str
    threshold: float | None
    found: tuple[Span, ...]
    true: tuple[Span, ...]
    peak: float


def make_lanes(
    scores: Scores,
    events: Sequence[Event],
    truth: Sequence[Event] | None,
    duration_s: float,
    thresholds: Mapping[str, float] | None = None,
) -> list[Lane]:
    """Return the rows worth showing, in the order of the model's labels, then labels that only the truth has.

    Args:
        scores: over time.
        events: that were found.
        truth: true events; None if they are not known, so that no found event is false.
        duration_s: of the recording in seconds.
        thresholds: score at which an event of each label begins.
    """
    true = [] if truth is None else truth
    active = {e.label for e in (*events, *true)}
    labels = [*scores.labels, *sorted(active - set(scores.labels))]
    peaks = dict(zip(scores.labels, scores.values.max(axis=0, initial=0.0).tolist(), strict=True))
    shown = _worth_showing(labels, active, peaks)
    false = {e for e in events if truth is not None and not any(overlap(t, e) for t in truth)}
    lanes = []
    for place, label in enumerate(shown):
        line, area = _curve(scores, label, duration_s)
        on = None if thresholds is None else thresholds.get(label)
        lanes.append(
            Lane(
                label=label,
                hue=hue_of(place),
                ink=ink_on(hue_of(place)),
                line=line,
                area=area,
                threshold=None if on is None else 100 * on,
                found=tuple(_found_span(e, duration_s, false=e in false) for e in events if e.label == label),
                true=tuple(Span(*_place(e, duration_s), f"true: {_spell(e)}") for e in true if e.label == label),
                peak=peaks.get(label, 0.0),
            )
        )
    return lanes


def _worth_showing(labels: Sequence[str], with_events: set[str], peaks: Mapping[str, float]) -> list[str]:
    room = max(0, MOST_LANES - len(with_events))
    silent = sorted((label for label in labels if label not in with_events), key=lambda label: -peaks[label])
    kept = with_events | set(silent[:room])
    return [label for label in labels if label in kept]


def _found_span(event: Event, duration_s: float, *, false: bool) -> Span:
    score = f"{event.score:.2f}"
    text = f"{'false' if false else 'found'}: {_spell(event)}, score {score}"
    return Span(*_place(event, duration_s), text, score, false)


def _place(event: Event, duration_s: float) -> tuple[float, float]:
    """Return where an event begins and how wide it is, in percent; what lies beyond the recording is cut."""
    begin, end = (min(max(100 * t / duration_s, 0.0), 100.0) for t in (event.onset, event.offset))
    return round(begin, 3), round(end - begin, 3)


def _spell(event: Event) -> str:
    return f"{event.label}, {event.onset:.2f} to {event.offset:.2f} s"


def _curve(scores: Scores, label: str, duration_s: float) -> tuple[str, str]:
    """Return the path of a label's score as line and as area; groups of frames become their highest one."""
    if label not in scores.labels or len(scores.times) == 0:
        return "", ""
    values = scores.values[:, scores.labels.index(label)]
    count = min(_MOST_POINTS, len(values))
    edges = np.arange(count) * len(values) // count
    peaks = np.maximum.reduceat(values, edges)
    times = np.add.reduceat(scores.times.astype(np.float64), edges) / np.diff([*edges, len(values)])
    x = np.clip(WIDTH * times / duration_s, 0, WIDTH)
    return _path(x, HEIGHT * (1 - peaks), closed=False), _path(x, HEIGHT * (1 - peaks), closed=True)


def _path(x: np.ndarray[tuple[int], np.dtype[np.float64]], y: FloatArray, *, closed: bool) -> str:
    points = [f"{a:.5g} {b:.4g}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    if closed:
        points = [f"{x[0]:.5g} {HEIGHT}", *points, f"{x[-1]:.5g} {HEIGHT}"]
    return "M" + "L".join(points) + ("Z" if closed else "")
