# SPDX-License-Identifier: Apache-2.0
"""How uneven the classes are, and weights against it. Pure functions on targets ``(clip, label)``.

Targets may be soft: a class counts by the mass it has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.data.manifest import Manifest
from auricle.results import FloatArray

DoubleArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """Class balance of a data set.

    Attributes:
        counts: clips of each class.
        negatives: clips without any class.
        ratio: largest count over smallest; infinite if a class has no clip, 1 if there is no class.
        evenness: entropy of the class shares over its maximum (Pielou); 1 is even, 0 is one class alone.
    """

    counts: Mapping[str, int]
    negatives: int
    ratio: float
    evenness: float


def measure_balance(manifest: Manifest) -> Balance:
    """Return the class balance of a data set, by hard labels."""
    counts = manifest.hard_targets().sum(axis=0, dtype=np.float64)
    named = {label: int(n) for label, n in zip(manifest.labels, counts, strict=True)}
    if len(counts) == 0:
        return Balance(named, manifest.negatives, 1.0, 1.0)
    ratio = float(counts.max() / counts.min()) if counts.min() > 0 else float("inf")
    return Balance(named, manifest.negatives, ratio, evenness(counts))


def evenness(counts: npt.ArrayLike) -> float:
    """Return the entropy of the shares over its maximum.

    >>> evenness([5, 5])
    1.0
    """
    counts = np.asarray(counts, np.float64)
    if len(counts) < 2 or counts.sum() == 0:
        return 1.0
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(counts)))


def sampler_weights(targets: FloatArray) -> DoubleArray:
    """Return how often to draw each clip, shape ``(clip,)``, summing to 1: every class is drawn equally often.

    A clip weighs the mean of ``1 / count`` over its classes; what it lacks to a mass of 1 belongs to
    the negatives, which count as one more class.
    """
    targets = np.asarray(targets, np.float64)
    silence = np.clip(1 - targets.sum(axis=1), 0, None)
    mass = np.column_stack([targets, silence])
    totals = mass.sum(axis=0)
    inverse = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0)
    weights = (mass * inverse).sum(axis=1) / mass.sum(axis=1)
    return np.asarray(weights / weights.sum())


def group_weights(targets: FloatArray, groups: Sequence[str]) -> DoubleArray:
    """Return how often to draw each clip, shape ``(clip,)``, summing to 1: rare groups more often, classes evenly.

    Within a class a clip weighs ``1 / sqrt(n)``, where ``n`` counts its group's clips: between every clip alike, which
    lets the largest group rule, and every group alike, which repeats a group of one clip all the time.

    Args:
        targets: shape ``(clip, label)``.
        groups: of each clip, such as a speaker's recordings by one system.
    """
    counts = Counter(groups)
    own = np.array([counts[group] ** -0.5 for group in groups])
    by_class = np.asarray(targets, np.float64) * own[:, None]
    totals = by_class.sum(axis=0)
    even = np.divide(by_class, totals, out=np.zeros_like(by_class), where=totals > 0).sum(axis=1)
    negative = own * np.clip(1 - np.asarray(targets, np.float64).sum(axis=1), 0, None)
    weights = even + (negative / negative.sum() if negative.sum() > 0 else 0)
    return np.asarray(weights / weights.sum())


def class_weights(targets: FloatArray) -> DoubleArray:
    """Return weights for a cross-entropy, shape ``(label,)``: inverse to the counts, 1 on average over the clips.

    A class without a clip has weight 0.
    """
    totals = np.asarray(targets, np.float64).sum(axis=0)
    present = totals > 0
    share = totals.sum() / max(1, int(present.sum()))
    return np.asarray(np.divide(share, totals, out=np.zeros_like(totals), where=present))
