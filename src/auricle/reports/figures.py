# SPDX-License-Identifier: Apache-2.0
"""Scores of labelled clips as charts and tables of a report."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from auricle.data.manifest import Manifest
from auricle.evaluation.clip_metrics import DECISION, with_none
from auricle.evaluation.curves import (
    calibration_bins,
    miss_and_false_alarm,
    precision_recall,
)
from auricle.evaluation.intervals import bootstrap_interval
from auricle.evaluation.metrics import average_precisions, confusion_matrix, f1_scores
from auricle.evaluation.spoof.metrics import equal_error_rate
from auricle.reports.charts import Axis, Chart
from auricle.reports.palette import hue_of
from auricle.results import FloatArray, Interval

IntArray = npt.NDArray[np.int64]

#: Models of these labels tell real voices from made ones, and are drawn by the customs of that field.
SPOOF_LABELS = ("bonafide", "spoof")
#: More classes than this have a table only: a matrix or a bundle of curves could not be read.
MOST_CLASSES = 30
_REPEATS = 300
_DET_SHARES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9)


@dataclass(frozen=True)
class Scored:
    """Clips, what is true of them, and what a model said; rows of ``scores`` and ``targets`` are clips."""

    manifest: Manifest
    scores: FloatArray
    targets: FloatArray

    @property
    def single(self) -> bool:
        """Whether a clip has one class."""
        return self.manifest.task == "single"

    @property
    def names(self) -> list[str]:
        """The classes, with "none" behind them where some clip has none."""
        none = self.single and bool((self.targets.sum(axis=1) < DECISION).any())
        return [*self.manifest.labels, *(["none of them"] if none else [])]

    def classes(self) -> tuple[IntArray, IntArray]:
        """Return true and found class numbers of a ``single`` model."""
        count = len(self.names)
        true = with_none(self.targets)[:, :count].argmax(axis=1)
        return true.astype(np.int64), with_none(self.scores)[:, :count].argmax(axis=1).astype(np.int64)

    def decided(self) -> npt.NDArray[np.int64]:
        """Return 0/1 decisions, shape ``(clip, label)``."""
        if not self.single:
            return (self.scores >= DECISION).astype(np.int64)
        return np.asarray(self.classes()[1][:, None] == np.arange(self.scores.shape[1]), np.int64)


@dataclass(frozen=True)
class ClassRow:
    """One class in the table; a figure that the data cannot give is None."""

    label: str
    n: int
    f1: Interval | None
    precision: Interval | None


def class_rows(scored: Scored) -> list[ClassRow]:
    """Return F1 and average precision of each class with 95 % intervals over groups."""
    groups, truth = scored.manifest.groups(), scored.targets >= DECISION
    decided = scored.decided()

    def f1(column: int, items: IntArray) -> float | None:
        return f1_scores(truth[items, column : column + 1], decided[items, column : column + 1])[0]

    def precision(column: int, items: IntArray) -> float | None:
        return average_precisions(truth[items, column : column + 1], scored.scores[items, column : column + 1])[0]

    return [
        ClassRow(
            label,
            int(truth[:, i].sum()),
            bootstrap_interval(partial(f1, i), groups, repeats=_REPEATS),
            bootstrap_interval(partial(precision, i), groups, repeats=_REPEATS),
        )
        for i, label in enumerate(scored.manifest.labels)
    ]


@dataclass(frozen=True)
class Cell:
    """One cell of the confusion matrix: how many, and which share of its row."""

    n: int
    share: float


def confusion(scored: Scored) -> list[list[Cell]] | None:
    """Return the matrix of true (row) and found classes; None where a clip has several, or classes are too many."""
    if not scored.single or len(scored.names) > MOST_CLASSES:
        return None
    matrix = confusion_matrix(*scored.classes(), len(scored.names))
    totals = np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return [
        [Cell(int(n), float(share)) for n, share in zip(*rows, strict=True)]
        for rows in zip(matrix, matrix / totals, strict=True)
    ]


def precision_chart(scored: Scored) -> str | None:
    """Return precision over recall, a line a class; None if no class has both kinds of clips."""
    chart = Chart("Precision over recall, a line for each class", Axis("recall"), Axis("precision"))
    truth = scored.targets >= DECISION
    drawn = 0
    for i, label in enumerate(scored.manifest.labels[:MOST_CLASSES]):
        if 0 < truth[:, i].sum() < len(truth):
            recall, precision = precision_recall(truth[:, i], scored.scores[:, i])
            chart.line([0.0, *recall.tolist()], [precision[0], *precision.tolist()], hue=hue_of(i), name=label)
            drawn += 1
    return chart.svg() if drawn else None


def detection_error_chart(scored: Scored) -> tuple[str, float] | None:
    """Return the detection error tradeoff of a spoof model with its equal error rate; None for other models.

    Axes are stretched by the normal distribution, as in Martin et al., "The DET Curve in Assessment of Detection Task
    Performance", Eurospeech 1997.
    """
    truth = scored.targets[:, 0] >= DECISION
    if tuple(scored.manifest.labels) != SPOOF_LABELS or not 0 < truth.sum() < len(truth):
        return None
    bonafide = scored.scores[:, 0]
    miss, alarm = miss_and_false_alarm(truth, bonafide)
    stretch = NormalDist().inv_cdf
    low, high = _DET_SHARES[0], _DET_SHARES[-1]
    ticks = [(stretch(share), f"{100 * share:g}") for share in _DET_SHARES]
    x = Axis("spoof taken for real (%)", stretch(low), stretch(high), ticks)
    y = Axis("real taken for spoof (%)", stretch(low), stretch(high), ticks)
    chart = Chart("Misses over false alarms (DET)", x, y)
    places = [[stretch(min(max(v, low / 2), 1 - low / 2)) for v in values.tolist()] for values in (alarm, miss)]
    chart.line([x.low, x.high], [y.low, y.high], hue="var(--ink-2)", dashed=True, name="as many of one as of the other")
    chart.line(*places, hue=hue_of(0), name="bonafide")
    return chart.svg(), equal_error_rate(bonafide[truth], bonafide[~truth])


def calibration_chart(scored: Scored) -> str:
    """Return how often decisions were right over how sure they were; on the diagonal, scores mean what they say."""
    if scored.single:
        true, found = scored.classes()
        right, sure = true == found, np.minimum(with_none(scored.scores).max(axis=1), 1)
    else:
        right = (scored.scores >= DECISION) == (scored.targets >= DECISION)
        sure = np.maximum(scored.scores, 1 - scored.scores)
    low = 0.0 if scored.single else DECISION
    chart = Chart("Calibration", Axis("confidence", low), Axis("share that was right"))
    chart.line([low, 1], [low, 1], hue="var(--ink-2)", dashed=True, name="scores that mean what they say")
    bins = calibration_bins(right, sure)
    chart.line([b.confidence for b in bins], [b.right for b in bins], hue=hue_of(0), name="this model")
    most = max(b.n for b in bins)
    for b in bins:
        name = f"{b.n} decisions, {b.confidence:.2f} sure, {b.right:.2f} right"
        chart.dot(b.confidence, b.right, hue=hue_of(0), name=name, radius=3 + 5 * (b.n / most) ** 0.5)
    return chart.svg()


def learning_charts(log: str) -> list[tuple[str, str]]:
    """Return titles and charts of a run's ``log.csv``: the loss, and what was measured on dev."""
    rows = list(csv.DictReader(io.StringIO(log)))
    curves = {name: _curve(rows, name) for name in (rows[0] if rows else ()) if name not in ("epoch", "step")}
    losses = {name: points for name, points in curves.items() if "loss" in name and len(points) > 1}
    shares = {name: points for name, points in curves.items() if name.startswith("dev_") and name not in losses}
    shares = {name: points for name, points in shares.items() if len(points) > 1}
    charts = []
    for title, chosen, high in (("Loss", losses, None), ("On dev", shares, 1.0)):
        if chosen:
            charts.append((title, _learning_chart(title, chosen, high)))
    return charts


def _curve(rows: Sequence[Mapping[str, str]], name: str) -> list[tuple[float, float]]:
    """Return (epoch, value) of the rows that have a finite value."""
    points = [(float(row["epoch"]), float(row[name])) for row in rows if row.get(name)]
    return [point for point in points if np.isfinite(point[1])]


def _learning_chart(title: str, curves: Mapping[str, list[tuple[float, float]]], high: float | None) -> str:
    last = max(points[-1][0] for points in curves.values())
    top = max(value for points in curves.values() for _, value in points) if high is None else high
    chart = Chart(f"{title} over epochs", Axis("epoch", 0, last), Axis(", ".join(curves), 0, max(top, 1e-9)))
    for i, (name, points) in enumerate(curves.items()):
        chart.line([x for x, _ in points], [y for _, y in points], hue=hue_of(i), name=name)
    return chart.svg()
