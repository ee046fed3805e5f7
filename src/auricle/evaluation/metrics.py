# SPDX-License-Identifier: Apache-2.0
"""Clip metrics as pure functions: check, compute, return.

A figure that the data cannot give is ``None``, never 0: the recall of a class without a clip is unknown, not bad.
Averages over classes take the classes that have one. Matrices have shape ``(clip, label)``, in the order of the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_SMALLEST = 1e-7


def accuracy(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> float:
    """Return the share of clips whose predicted class is the true one; class numbers of shape ``(clip,)``.

    >>> accuracy([0, 1, 2, 2], [0, 1, 2, 0])
    0.75
    """
    true, found = _class_numbers(targets, predictions)
    return float((true == found).mean())


def confusion_matrix(targets: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> IntArray:
    """Count clips by true class (row) and predicted class (column), shape ``(classes, classes)``."""
    true, found = _class_numbers(targets, predictions)
    if max(true.max(), found.max()) >= classes:
        raise ValueError(f"class numbers reach {max(true.max(), found.max())}, but there are {classes} classes")
    return np.bincount(true * classes + found, minlength=classes * classes).reshape(classes, classes)


def f1_scores(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> list[float | None]:
    """Return F1 of each label, from 0/1 matrices; None for a label that no clip has."""
    return f1_from_counts(count_hits(targets, predictions))


def count_hits(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> IntArray:
    """Return true positives, false positives and false negatives of each label, shape ``(label, 3)``."""
    true, found = _zero_one(targets, "targets"), _zero_one(predictions, "predictions")
    _same_shape(true, found)
    return np.stack([(true & found).sum(0), (~true & found).sum(0), (true & ~found).sum(0)], axis=1)


def f1_from_counts(counts: IntArray) -> list[float | None]:
    """Return F1 of each row of ``(true positives, false positives, false negatives)``; None without a true one."""
    return [float(2 * tp / (2 * tp + fp + fn)) if tp + fn > 0 else None for tp, fp, fn in counts.tolist()]


def macro_f1(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> float | None:
    """Return the mean of the labels' F1 over the labels that occur."""
    return mean_defined(f1_scores(targets, predictions))


def average_precisions(targets: npt.ArrayLike, scores: npt.ArrayLike) -> list[float | None]:
    """Return average precision of each label: the mean of the precision over the steps of the recall.

    Clips with equal scores are one step, as in scikit-learn. None for a label that no clip has.
    """
    true, values = _targets_and_scores(targets, scores)
    return [_average_precision(t, s) for t, s in zip(true.T, values.T, strict=True)]


def mean_average_precision(targets: npt.ArrayLike, scores: npt.ArrayLike) -> float | None:
    """Return mAP: the mean of ``average_precisions`` over the labels that occur."""
    return mean_defined(average_precisions(targets, scores))


def roc_aucs(targets: npt.ArrayLike, scores: npt.ArrayLike) -> list[float | None]:
    """Return the area under the ROC curve of each label: how often a clip with it outscores one without.

    Ties count one half. None for a label that all clips have, or none.
    """
    true, values = _targets_and_scores(targets, scores)
    return [_roc_auc(t, s) for t, s in zip(true.T, values.T, strict=True)]


def log_loss(targets: npt.ArrayLike, probabilities: npt.ArrayLike, task: str) -> float:
    """Return the mean negative log-likelihood in nats.

    Args:
        targets: 0/1 or soft, shape ``(clip, label)``.
        probabilities: same shape, kept 1e-7 away from 0 and 1.
        task: ``single``: a clip's loss is ``-sum(t * log p)``; ``multi``: the mean of all binary losses.
    """
    t, p = _matrix(targets, "targets"), np.clip(_matrix(probabilities, "probabilities"), _SMALLEST, 1 - _SMALLEST)
    _same_shape(t, p)
    if task == "single":
        return float(-(t * np.log(p)).sum(axis=1).mean())
    if task == "multi":
        return float(-(t * np.log(p) + (1 - t) * np.log(1 - p)).mean())
    raise ValueError(f"task {task!r} is neither 'single' nor 'multi'")


def expected_calibration_error(correct: npt.ArrayLike, confidence: npt.ArrayLike, bins: int = 15) -> float:
    """Return how far confidence is from being right, on average over equally wide bins of confidence.

    The definition is that of Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. Both arguments are
    flat: for one label a clip, whether the top label is right and its score; for several, all decisions.
    """
    c, p = np.asarray(correct, np.float64).ravel(), np.asarray(confidence, np.float64).ravel()
    if c.shape != p.shape or len(c) == 0:
        raise ValueError(f"need as many outcomes as confidences, at least one; got {len(c)} and {len(p)}")
    if not (np.isin(c, (0, 1)).all() and (p >= 0).all() and (p <= 1).all()):
        raise ValueError("outcomes must be 0 or 1 and confidences lie in [0, 1]")
    # Bins are open on the left, as in the paper: (0, 1/n], ..., and 0 itself belongs to the first.
    index = np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(index, weights=c - p, minlength=bins)
    return float(np.abs(gaps).sum() / len(p))


def mean_defined(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def decisions(scores: npt.ArrayLike, task: str) -> npt.NDArray[np.bool_]:
    """Return which labels ``tag`` would name first (``single``, one or none) or give at least one half (``multi``).

    Args:
        scores: clip scores, shape ``(clip, label)``.
        task: ``single`` or ``multi``.
    """
    values = np.asarray(scores, np.float32)
    if task == "multi":
        return np.asarray(values >= 0.5)
    first = values == values.max(axis=1, keepdims=True)
    # With negatives the scores leave room for "none": it is the answer where it has the largest share.
    return np.asarray(first & (values.max(axis=1) > 1 - values.sum(axis=1))[:, None])


def _average_precision(true: BoolArray, scores: Array) -> float | None:
    positives = int(true.sum())
    if positives == 0:
        return None
    order = np.argsort(-scores, kind="stable")
    hits, ranked = np.cumsum(true[order]), scores[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    precision = hits[ends] / (ends + 1)
    steps = np.diff(hits[ends], prepend=0) / positives
    return float((precision * steps).sum())


def _roc_auc(true: BoolArray, scores: Array) -> float | None:
    positives = int(true.sum())
    negatives = len(true) - positives
    if positives == 0 or negatives == 0:
        return None
    # Mean rank of equal scores, then the Mann-Whitney statistic.
    _, index, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[index]
    wins = ranks[true].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def _class_numbers(targets: npt.ArrayLike, predictions: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    true, found = np.asarray(targets), np.asarray(predictions)
    for name, values in (("targets", true), ("predictions", found)):
        if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer) or (values < 0).any():
            raise ValueError(f"{name} must be class numbers of shape (clip,), got {values.dtype} of {values.shape}")
    _same_shape(true, found)
    return true.astype(np.int64), found.astype(np.int64)


def _targets_and_scores(targets: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[BoolArray, Array]:
    true, values = _zero_one(targets, "targets"), _matrix(scores, "scores")
    _same_shape(true, values)
    return true, values


def _zero_one(values: npt.ArrayLike, name: str) -> BoolArray:
    matrix = _matrix(values, name)
    if not np.isin(matrix, (0, 1)).all():
        raise ValueError(f"{name} must be 0 or 1")
    return np.asarray(matrix == 1)


def _matrix(values: npt.ArrayLike, name: str) -> Array:
    matrix = np.asarray(values, np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"{name} must have shape (clip, label), got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} hold NaN or infinity")
    return matrix


def _same_shape(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> None:
    if first.shape != second.shape or len(first) == 0:
        raise ValueError(f"need two arrays of one shape with at least one clip, got {first.shape} and {second.shape}")
