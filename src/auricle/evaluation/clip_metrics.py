# SPDX-License-Identifier: Apache-2.0
"""The clip metrics of reports. A metric is one function here, or one of another package, found by its entry point.

Reports, model cards, ``crossval`` and ``--format json`` show whatever is registered, each with its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from auricle.evaluation.intervals import Array, IndexArray, Statistic
from auricle.evaluation.metrics import expected_calibration_error, log_loss, macro_f1, mean_average_precision
from auricle.registry import Registry
from auricle.results import FloatArray

#: The score from which a class counts as present, in figures that need a decision.
DECISION = 0.5


@dataclass(frozen=True)
class ClipScores:
    """What a metric is computed from: the scores of one model on all clips.

    Attributes:
        scores: ``(clip, label)`` in [0, 1].
        targets: same shape; soft ones count as present from 0.5.
        task: ``single``, where a clip of no class counts as one more class, "none", whose score is what the others
            leave; or ``multi``.
    """

    scores: FloatArray
    targets: FloatArray
    task: str

    @cached_property
    def full_scores(self) -> FloatArray:
        """Scores with the column "none", ``(clip, label + 1)``."""
        return with_none(self.scores)

    @cached_property
    def full_targets(self) -> FloatArray:
        """Targets with the column "none", ``(clip, label + 1)``."""
        return with_none(self.targets)

    @cached_property
    def true_class(self) -> IndexArray:
        """Number of each clip's class, ``(clip,)``; "none" is the last one."""
        return np.asarray(self.full_targets.argmax(axis=1), np.int64)

    @cached_property
    def found_class(self) -> IndexArray:
        """Number of each clip's class by the scores, ``(clip,)``; "none" is the last one."""
        return np.asarray(self.full_scores.argmax(axis=1), np.int64)

    @cached_property
    def present(self) -> npt.NDArray[np.bool_]:
        """Which classes a clip has, ``(clip, label)``."""
        if self.task == "single":
            return one_hot(self.true_class, self.targets.shape[1])
        return np.asarray(self.targets >= DECISION)

    @cached_property
    def decided(self) -> npt.NDArray[np.bool_]:
        """Which classes a clip has by the scores, ``(clip, label)``."""
        if self.task == "single":
            return one_hot(self.found_class, self.targets.shape[1])
        return np.asarray(self.scores >= DECISION)


@dataclass(frozen=True)
class ClipMetric:
    """A figure of scored clips.

    Attributes:
        compute: returns a value for each clip, ``(clip,)``, whose mean is the figure; or a function from the numbers
            of the drawn clips to the figure, None where they do not define it.
        tasks: of the models that have it.
        order: of figures in a report, from low to high.
    """

    compute: Callable[[ClipScores], Array | Statistic]
    tasks: tuple[str, ...] = ("single", "multi")
    order: int = 50


class MetricRegistry(Registry[ClipMetric]):
    """Clip metrics by the name that reports show."""

    def of_task(self, task: str) -> dict[str, ClipMetric]:
        """Return the metrics of a task in their order."""
        found = {name: self.get(name) for name in self.names()}
        names = sorted((name for name in found if task in found[name].tasks), key=lambda n: (found[n].order, n))
        return {name: found[name] for name in names}


def _misfit(_name: str, item: object) -> str:
    return "" if isinstance(item, ClipMetric) else f"expected auricle's ClipMetric, got {type(item).__name__}"


CLIP_METRICS = MetricRegistry("clip metric", group="auricle.metrics", accepts=_misfit)


def clip_metric(
    name: str, *, order: int, tasks: tuple[str, ...] = ("single", "multi")
) -> Callable[[Callable[[ClipScores], Array | Statistic]], Callable[[ClipScores], Array | Statistic]]:
    """Return a decorator that registers a function as the metric ``name``."""

    def decorate(compute: Callable[[ClipScores], Array | Statistic]) -> Callable[[ClipScores], Array | Statistic]:
        CLIP_METRICS.add(name, ClipMetric(compute, tasks, order))
        return compute

    return decorate


def with_none(matrix: FloatArray) -> FloatArray:
    """Append the column of "none of the classes": what a row lacks to 1."""
    rest = np.clip(1 - matrix.sum(axis=1, keepdims=True), 0, 1)
    return np.asarray(np.concatenate([matrix, rest], axis=1), np.float32)


def one_hot(numbers: IndexArray, classes: int) -> npt.NDArray[np.bool_]:
    """Return class numbers ``(clip,)`` as a matrix ``(clip, class)``; a row of the class "none" is empty."""
    return np.asarray(numbers[:, None] == np.arange(classes))


@clip_metric("accuracy", order=10, tasks=("single",))
def _accuracy(clips: ClipScores) -> Array:
    return np.asarray(clips.true_class == clips.found_class, np.float64)


@clip_metric("mAP", order=10, tasks=("multi",))
def _mean_average_precision(clips: ClipScores) -> Statistic:
    return lambda drawn: mean_average_precision(clips.present[drawn], clips.scores[drawn])


@clip_metric("macro_f1", order=20)
def _macro_f1(clips: ClipScores) -> Statistic:
    return lambda drawn: macro_f1(clips.present[drawn], clips.decided[drawn])


@clip_metric("log_loss", order=30, tasks=("single",))
def _log_loss(clips: ClipScores) -> Statistic:
    return lambda drawn: log_loss(clips.full_targets[drawn], clips.full_scores[drawn], "single")


@clip_metric("calibration_error", order=40)
def _calibration_error(clips: ClipScores) -> Statistic:
    """Of the class that is named, or of all decisions, whose certainty lies in [0.5, 1]."""
    if clips.task == "single":
        right, sure = clips.true_class == clips.found_class, np.minimum(clips.full_scores.max(axis=1), 1)
    else:
        right, sure = clips.decided == clips.present, np.asarray(np.maximum(clips.scores, 1 - clips.scores), np.float32)
    return lambda drawn: expected_calibration_error(right[drawn], sure[drawn])
