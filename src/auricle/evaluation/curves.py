# SPDX-License-Identifier: Apache-2.0
"""Scores as curves: precision over recall, misses over false alarms, being right over being sure.

Pure functions. Scores that are equal cannot be told apart by any threshold, so they move along a curve together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def precision_recall(true: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Array, Array]:
    """Return recall and precision at every threshold, from the strictest on; each of shape ``(threshold,)``.

    >>> recall, precision = precision_recall([1, 0, 1], [0.9, 0.8, 0.7])
    >>> recall.tolist(), precision.round(3).tolist()
    ([0.5, 0.5, 1.0], [1.0, 0.5, 0.667])
    """
    hits, alarms, positives, _ = _counts(true, scores)
    return hits / positives, hits / (hits + alarms)


def miss_and_false_alarm(true: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Array, Array]:
    """Return the shares of misses and of false alarms at every threshold, from "accept nothing" to "accept all".

    >>> miss, alarm = miss_and_false_alarm([1, 0, 1], [0.9, 0.8, 0.7])
    >>> miss.tolist(), alarm.tolist()
    ([1.0, 0.5, 0.5, 0.0], [0.0, 0.0, 1.0, 1.0])
    """
    hits, alarms, positives, negatives = _counts(true, scores)
    return 1 - np.append(0, hits) / positives, np.append(0, alarms) / negatives


def _counts(true: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Array, Array, int, int]:
    """Return hits and false alarms at every distinct score from high to low, and how many could be had of each."""
    truth, values = np.asarray(true).astype(bool), np.asarray(scores, np.float64)
    if truth.shape != values.shape or truth.ndim != 1:
        raise ValueError(f"need truth and scores of one shape (clip,), got {truth.shape} and {values.shape}")
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if positives == 0 or negatives == 0:
        raise ValueError(f"a curve needs both kinds, got {positives} positives and {negatives} negatives")
    order = np.argsort(-values, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)
    hits = np.cumsum(truth[order])[ends].astype(np.float64)
    return hits, ends + 1 - hits, positives, negatives


@dataclass(frozen=True)
class Bin:
    """Decisions of about the same confidence: how sure they were on average, how often right, and how many."""

    confidence: float
    right: float
    n: int


def calibration_bins(correct: npt.ArrayLike, confidence: npt.ArrayLike, bins: int = 10) -> list[Bin]:
    """Return the bins of equal width, as ``metrics.expected_calibration_error`` has them, that hold a decision.

    >>> calibration_bins([1, 0, 1], [0.95, 0.95, 0.15])
    [Bin(confidence=0.15, right=1.0, n=1), Bin(confidence=0.95, right=0.5, n=2)]
    """
    c, p = np.asarray(correct, np.float64).ravel(), np.asarray(confidence, np.float64).ravel()
    index = np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)
    return [
        Bin(float(p[index == i].mean()), float(c[index == i].mean()), int((index == i).sum()))
        for i in range(bins)
        if (index == i).any()
    ]
