# SPDX-License-Identifier: Apache-2.0
"""Two models on the same clips: differences with intervals, which are narrower than two intervals side by side.

Both are scored on the same draws of groups (``evaluation.intervals``), so what makes a clip hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auricle.evaluation.clip_metrics import CLIP_METRICS, ClipMetric, ClipScores
from auricle.evaluation.intervals import IndexArray, Statistic, bootstrap_interval, bootstrap_mean
from auricle.results import FloatArray, Interval


@dataclass(frozen=True)
class Difference:
    """One figure of two models, and the first less the second.

    Attributes:
        first: of the first model.
        second: of the second.
        change: first - second.
    """

    first: Interval
    second: Interval
    change: Interval

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the 95 % interval of the difference leaves 0 out."""
        return self.change.low > 0 or self.change.high < 0


@dataclass(frozen=True)
class Agreement:
    """How many clips which of two models has right.

    A clip is right if its class has the highest score, or, where a clip has several, if all decisions are right.
    """

    both: int
    first_only: int
    second_only: int
    neither: int


def paired_metrics(
    first: FloatArray, second: FloatArray, targets: FloatArray, groups: Sequence[object], task: str
) -> dict[str, Difference]:
    """Return every registered figure that both models have.

    Args:
        first: scores ``(clip, label)`` of the first model.
        second: of the second, same shape.
        targets: same shape.
        groups: of each clip, drawn whole.
        task: ``single`` or ``multi``.
    """
    one, other = ClipScores(first, targets, task), ClipScores(second, targets, task)
    found: dict[str, Difference] = {}
    for name, metric in CLIP_METRICS.of_task(task).items():
        intervals = _intervals(metric, one, other, groups)
        if intervals is not None:
            found[name] = Difference(*intervals)
    return found


def agreement(first: FloatArray, second: FloatArray, targets: FloatArray, task: str) -> Agreement:
    """Count the clips that both, one or neither has right; arguments as for ``paired_metrics``."""
    a, b = (_right(ClipScores(scores, targets, task)) for scores in (first, second))
    return Agreement(int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum()), int((~a & ~b).sum()))


def _right(clips: ClipScores) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if clips.task == "single":
        return np.asarray(clips.true_class == clips.found_class)
    return np.asarray((clips.decided == clips.present).all(axis=1))


def _intervals(
    metric: ClipMetric, one: ClipScores, other: ClipScores, groups: Sequence[object]
) -> tuple[Interval, Interval, Interval] | None:
    a, b = metric.compute(one), metric.compute(other)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return bootstrap_mean(a, groups), bootstrap_mean(b, groups), bootstrap_mean(a - b, groups)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        raise TypeError("a metric is one figure a clip, or a function of clips, for every model alike")
    found = [bootstrap_interval(function, groups) for function in (a, b, _less(a, b))]
    first, second, change = found
    return None if first is None or second is None or change is None else (first, second, change)


def _less(a: Statistic, b: Statistic) -> Statistic:
    """Return the difference of two figures on the same items; undefined where one of them is."""

    def change(index: IndexArray) -> float | None:
        first, second = a(index), b(index)
        return None if first is None or second is None else first - second

    return change
