# SPDX-License-Identifier: Apache-2.0
"""Splitting groups of clips into parts with a like share of every class, reproducibly.

The method is the iterative stratification of Sechidis, Tsoumakas and Vlahavas, "On the Stratification
of Multi-Label Data", ECML PKDD 2011, with groups of clips in the place of single ones: the class with the
fewest clips left is placed first, each of its groups to the part that lacks most of that class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
DoubleArray = npt.NDArray[np.float64]


def group_counts(groups: Sequence[str], matrix: npt.NDArray[np.floating]) -> tuple[IntArray, DoubleArray]:
    """Return each clip's group number, shape ``(clip,)``, and what each group holds, shape ``(group, column)``."""
    _, numbers = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    counts = np.zeros((int(numbers.max(initial=-1)) + 1, matrix.shape[1]))
    np.add.at(counts, numbers, matrix)
    return numbers.astype(np.int64), counts


def split_groups(
    counts: DoubleArray, shares: Sequence[float], generator: np.random.Generator, *, represent: bool = False
) -> IntArray:
    """Return the part of each group, shape ``(group,)``.

    Args:
        counts: clips of each class in each group, whole numbers, shape ``(group, class)``; no group is empty.
        shares: wanted share of each part; they sum to 1.
        generator: breaks ties and orders the groups.
        represent: give every part at least one group of each class that has enough groups, even
            where its share is smaller than a group.
    """
    order = generator.permutation(len(counts))
    wanted = np.outer(shares, counts.sum(axis=0))
    if represent:
        smallest = np.where(counts > 0, counts, np.inf).min(axis=0, initial=np.inf)
        enough = (counts > 0).sum(axis=0) >= len(shares)
        wanted = np.where(enough & (wanted < smallest), smallest, wanted)
    parts = np.full(len(counts), -1, np.int64)
    left = counts.sum(axis=0)
    while (parts < 0).any():
        rarest = int(np.argmin(np.where(left > 0, left, np.inf)))
        members = order[(parts[order] < 0) & (counts[order, rarest] > 0)]
        for group in members[np.argsort(-counts[members, rarest], kind="stable")]:
            parts[group] = _neediest(wanted, rarest, generator)
            wanted[parts[group]] -= counts[group]
            left -= counts[group]
    return parts


def _neediest(wanted: DoubleArray, column: int, generator: np.random.Generator) -> int:
    """Return the part that lacks most of a class; ties go to the part that lacks most of all, then to chance."""
    best = np.flatnonzero(wanted[:, column] >= wanted[:, column].max() - 1e-9)
    totals = wanted[best].sum(axis=1)
    best = best[totals >= totals.max() - 1e-9]
    return int(generator.choice(best))
