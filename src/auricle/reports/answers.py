# SPDX-License-Identifier: Apache-2.0
"""What a user of a detector asks first: how many of my dogs are found, how often does it cry wolf, at which threshold?

Clips are scored as ``detect`` does. A clip that holds a class is found if it has an event of it; an event of a class
in a clip without it is a false alarm.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from auricle.data.clip_audio import read_clip
from auricle.data.manifest import Manifest
from auricle.evaluation.clip_metrics import DECISION
from auricle.evaluation.events.false_alarms import poisson_interval
from auricle.evaluation.intervals import proportion_interval
from auricle.reports.charts import Axis, Chart
from auricle.reports.figures import MOST_CLASSES
from auricle.reports.palette import hue_of
from auricle.results import Event, FloatArray, Interval
from auricle.runtime.detector import Detector
from auricle.timeline import samples_to_seconds

#: What is tried beside the model's own thresholds.
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
#: The axis of false alarms is stretched at its beginning: log of one more than there are.
_TICKS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000)


@dataclass(frozen=True)
class Answer:
    """What is to be said of one class, or of all together.

    Attributes:
        label: its name; empty for all together.
        clips: with the class.
        found: of those, at the model's own threshold.
        share: found ones as a share, with its interval; None without such clips.
        alarms: events in clips without the class.
        per_hour: alarms an hour of such clips, with its interval; None without such clips.
        threshold: the model's own; None for all together.
        curve: share found and alarms an hour at each of ``THRESHOLDS`` where both are known.
    """

    label: str
    clips: int
    found: int
    share: Interval | None
    alarms: int
    per_hour: Interval | None
    threshold: float | None
    curve: tuple[tuple[float, float, float], ...] = ()


def answer_questions(detector: Detector, manifest: Manifest, targets: FloatArray) -> list[Answer]:
    """Return an answer for all classes together, then one for each.

    Args:
        detector: the model.
        manifest: clips; their labels are the model's.
        targets: which clip holds what, shape ``(clip, label)``.

    Raises:
        InputError: a clip cannot be read.
    """
    own, tried = _Counts(), {x: _Counts() for x in THRESHOLDS}
    hours = [0.0] * len(manifest.labels)
    without = [0] * len(manifest.labels)
    total_h = 0.0
    for clip, row in zip(manifest.clips, targets >= DECISION, strict=True):
        audio = read_clip(clip, manifest.arrays)
        duration_s = samples_to_seconds(len(audio.samples), audio.sample_rate)
        scores = detector.frames(audio.samples, audio.sample_rate)
        true = {label for label, here in zip(manifest.labels, row, strict=True) if here}
        own.add(detector.events(scores, duration_s), true)
        for x, counts in tried.items():
            counts.add(detector.events(scores, duration_s, threshold=x), true)
        total_h += duration_s / 3600
        for i in range(len(hours)):
            if not row[i]:
                hours[i] += duration_s / 3600
                without[i] += 1
    clips = (targets >= DECISION).sum(axis=0).tolist()
    thresholds = detector.spec.thresholds
    classes = [
        Answer(
            label,
            n,
            own.found[label],
            proportion_interval(own.found[label], n),
            own.alarms[label],
            poisson_interval(own.alarms[label], h, w) if h else None,
            thresholds[label],
            tuple((x, c.found[label] / n, c.alarms[label] / h) for x, c in tried.items()) if n and h else (),
        )
        for label, n, h, w in zip(manifest.labels, clips, hours, without, strict=True)
    ]
    return [_together(classes, total_h, len(manifest)), *classes]


class _Counts:
    """How many clips of each class were found, and events of it in other clips."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.alarms: Counter[str] = Counter()

    def add(self, events: Sequence[Event], true: set[str]) -> None:
        self.found.update({event.label for event in events} & true)
        self.alarms.update(event.label for event in events if event.label not in true)


def _together(classes: Sequence[Answer], hours: float, clips: int) -> Answer:
    """Return all classes as one: false alarms of any class in an hour of these clips."""
    n, found, alarms = sum(a.clips for a in classes), sum(a.found for a in classes), sum(a.alarms for a in classes)
    return Answer("", n, found, proportion_interval(found, n), alarms, poisson_interval(alarms, hours, clips), None)


def answer_chart(answers: Sequence[Answer]) -> str | None:
    """Return the share found over false alarms an hour, a line a class along its thresholds; None without any."""
    drawn = [(i, answer) for i, answer in enumerate(answers[1:]) if answer.curve][:MOST_CLASSES]
    if not drawn:
        return None
    highest = max(rate for _, answer in drawn for _, _, rate in answer.curve)
    top = next((tick for tick in _TICKS if tick >= max(highest, 1)), _TICKS[-1])
    ticks = [(_stretch(tick), f"{tick:g}") for tick in _TICKS if tick <= top]
    chart = Chart(
        "Clips found over false alarms an hour, a line for each class",
        Axis("false alarms an hour", 0, _stretch(top), ticks),
        Axis("share of clips found"),
    )
    for i, answer in drawn:
        points = sorted((rate, share, x) for x, share, rate in answer.curve)
        chart.line([_stretch(r) for r, _, _ in points], [s for _, s, _ in points], hue=hue_of(i), name=answer.label)
        if answer.share is not None and answer.per_hour is not None:
            name = f"{answer.label} at the model's threshold, {answer.threshold:.2f}"
            chart.dot(_stretch(answer.per_hour.value), answer.share.value, hue=hue_of(i), name=name, radius=5)
    return chart.svg()


def _stretch(rate: float) -> float:
    return math.log10(1 + rate)
