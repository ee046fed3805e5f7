# SPDX-License-Identifier: Apache-2.0
"""Scores and labels to figures with 95 % intervals, and a row for each class.

``single``: accuracy, macro F1, log loss and calibration error; a clip of no class counts as one more class,
"none", whose score is what the others leave. ``multi``: mean average precision, macro F1 at a score of 0.5, and
calibration error. A figure that the data cannot give is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from auricle.data.manifest import Manifest
from auricle.evaluation.intervals import bootstrap_interval, bootstrap_mean
from auricle.evaluation.metrics import (
    accuracy,
    average_precisions,
    expected_calibration_error,
    f1_scores,
    log_loss,
    macro_f1,
    mean_average_precision,
    roc_aucs,
)
from auricle.results import FloatArray, Interval, Report

IntArray = npt.NDArray[np.int64]
#: The score from which a class counts as present, in figures that need a decision.
DECISION = 0.5


def with_none(matrix: FloatArray) -> FloatArray:
    """Append the column of "none of the classes": what a row lacks to 1."""
    rest = np.clip(1 - matrix.sum(axis=1, keepdims=True), 0, 1)
    return np.asarray(np.concatenate([matrix, rest], axis=1), np.float32)


def _classes(scores: FloatArray, targets: FloatArray) -> tuple[IntArray, IntArray]:
    """Return true and predicted class numbers; "none" is the last one."""
    return with_none(targets).argmax(axis=1), with_none(scores).argmax(axis=1)


def _one_hot(numbers: IntArray, classes: int) -> npt.NDArray[np.int64]:
    return np.asarray(numbers[:, None] == np.arange(classes), np.int64)


def selection_figures(scores: FloatArray, targets: FloatArray, task: str) -> dict[str, float]:
    """Return the figures that training looks at; the first one selects, the second one says how sure it is.

    Args:
        scores: ``(clip, label)``.
        targets: same shape; soft ones count as present from 0.5.
        task: ``single`` or ``multi``.
    """
    if task == "single":
        return {
            "accuracy": accuracy(*_classes(scores, targets)),
            "log_loss": log_loss(with_none(targets), with_none(scores), "single"),
        }
    precision = mean_average_precision(targets >= DECISION, scores)
    return {"mAP": 0.0 if precision is None else precision, "log_loss": log_loss(targets, scores, "multi")}


def pooled_metrics(
    scores: Sequence[FloatArray], targets: FloatArray, groups: Sequence[object], task: str
) -> dict[str, Interval]:
    """Return figures with intervals, averaged over seeds.

    Args:
        scores: one matrix ``(clip, label)`` a seed.
        targets: ``(clip, label)``.
        groups: of each clip, drawn whole by the bootstrap.
        task: ``single`` or ``multi``.
    """
    figures = _single_metrics(scores, targets, groups) if task == "single" else _multi_metrics(scores, targets, groups)
    return {name: interval for name, interval in figures.items() if interval is not None}


def _interval(seeds: int, figure: Callable[[int, IntArray], float | None], groups: Sequence[object]) -> Interval | None:
    """Bootstrap a figure of (seed number, item numbers)."""
    return bootstrap_interval([partial(figure, seed) for seed in range(seeds)], groups)


def _single_metrics(
    scores: Sequence[FloatArray], targets: FloatArray, groups: Sequence[object]
) -> dict[str, Interval | None]:
    seeds, labels = len(scores), targets.shape[1]
    truth = _classes(scores[0], targets)[0]
    found = [_classes(s, targets)[1] for s in scores]
    right = np.stack([truth == f for f in found])
    full = [with_none(s) for s in scores]
    sure = [np.minimum(f.max(axis=1), 1) for f in full]
    true_full, true_matrix = with_none(targets), _one_hot(truth, labels)
    decided = [_one_hot(f, labels) for f in found]

    def f1(seed: int, items: IntArray) -> float | None:
        return macro_f1(true_matrix[items], decided[seed][items])

    def loss(seed: int, items: IntArray) -> float:
        return log_loss(true_full[items], full[seed][items], "single")

    def calibration(seed: int, items: IntArray) -> float:
        return expected_calibration_error(right[seed][items], sure[seed][items])

    return {
        "accuracy": bootstrap_mean(right, groups),
        "macro_f1": _interval(seeds, f1, groups),
        "log_loss": _interval(seeds, loss, groups),
        "calibration_error": _interval(seeds, calibration, groups),
    }


def _multi_metrics(
    scores: Sequence[FloatArray], targets: FloatArray, groups: Sequence[object]
) -> dict[str, Interval | None]:
    seeds, truth = len(scores), targets >= DECISION

    def precision(seed: int, items: IntArray) -> float | None:
        return mean_average_precision(truth[items], scores[seed][items])

    def f1(seed: int, items: IntArray) -> float | None:
        return macro_f1(truth[items], scores[seed][items] >= DECISION)

    def calibration(seed: int, items: IntArray) -> float:
        found = scores[seed][items]
        return expected_calibration_error((found >= DECISION) == truth[items], _sureness(found))

    return {
        "mAP": _interval(seeds, precision, groups),
        "macro_f1": _interval(seeds, f1, groups),
        "calibration_error": _interval(seeds, calibration, groups),
    }


def _sureness(scores: FloatArray) -> FloatArray:
    """Return how sure the decision at 0.5 is, in [0.5, 1]."""
    return np.asarray(np.maximum(scores, 1 - scores), np.float32)


def make_report(scores: Sequence[FloatArray], manifest: Manifest) -> Report:
    """Return figures and class rows of scores ``(clip, label)``, one matrix a seed."""
    targets = manifest.targets()
    metrics = pooled_metrics(scores, targets, manifest.groups(), manifest.task)
    mean = np.asarray(np.mean(scores, axis=0), np.float32)
    return Report(metrics, _class_rows(mean, targets, manifest), len(manifest), manifest.data_hash)


def _class_rows(
    scores: FloatArray, targets: FloatArray, manifest: Manifest
) -> dict[str, dict[str, float | int | None]]:
    truth = targets >= DECISION
    if manifest.task == "single":
        decided = _one_hot(_classes(scores, targets)[1], targets.shape[1])
    else:
        decided = (scores >= DECISION).astype(np.int64)
    f1 = f1_scores(truth, decided)
    precision = average_precisions(truth, scores)
    auc = roc_aucs(truth, scores)
    return {
        label: {"n": int(truth[:, i].sum()), "f1": f1[i], "ap": precision[i], "auc": auc[i]}
        for i, label in enumerate(manifest.labels)
    }
