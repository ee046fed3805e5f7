# SPDX-License-Identifier: Apache-2.0
"""Turns of training in which both the spoofing systems and the speakers of the scored recordings are new.

How a model of synthetic voices fares with the systems and speakers of its training data says little about others: so
its scores are calibrated, and its recipe chosen, on recordings of which models of that recipe knew neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from auricle.data.manifest import NO_SYSTEM, Manifest
from auricle.data.splits import Fold
from auricle.data.stratify import IntArray, group_counts, split_groups

Folds = Sequence[Sequence[str]]


def split_systems(manifest: Manifest, indices: IntArray, k: int, seed: int) -> list[list[str]]:
    """Split the spoofing systems of some clips over folds, each with a like share of the clips; at most ``k`` folds.

    Fewer than ``k`` systems make as many folds as there are systems; less than two, or none named, cannot be left
    out: every fold is empty then.
    """
    counts = Counter(system for system in _systems(manifest, indices) if system is not None)
    names = sorted(counts)
    if len(names) < 2:
        return [[] for _ in range(k)]
    k = min(k, len(names))
    sizes = np.array([[counts[name], 1] for name in names], np.float64)
    parts = split_groups(sizes, [1 / k] * k, np.random.default_rng(seed), represent=True)
    return [[name for name, part in zip(names, parts, strict=True) if part == fold] for fold in range(k)]


def leave_out(manifest: Manifest, indices: IntArray, folds: Folds, seed: int) -> tuple[Fold, ...]:
    """Return the turns in which each fold's systems, and a share of the speakers, are scored and not trained on.

    People (and voices of several systems) are split over the folds, stratified and seeded; a voice that only one system
    has goes with it. A recording is scored in the turn that holds out both its system and its speaker; in a turn that
    holds out one of the two it is in neither part.

    Args:
        manifest: the data, with groups that are speakers.
        indices: of the clips to split.
        folds: the systems that each turn holds out; clips of systems in none of them always train.
        seed: of the split.
    """
    groups = [manifest.groups()[i] for i in indices]
    systems = _systems(manifest, indices)
    fold_of: dict[str | None, int] = {system: number for number, names in enumerate(folds) for system in names}
    people = _people(groups, systems, fold_of)
    kinds = np.array([[1.0, 0.0] if s is None else [0.0, 1.0] for s in systems])
    rows = [i for i, group in enumerate(groups) if group in people]
    numbers, counts = group_counts([groups[i] for i in rows], kinds[rows])
    parts = split_groups(counts, [1 / len(folds)] * len(folds), np.random.default_rng(seed), represent=True)
    fold_of_person = {groups[i]: int(parts[number]) for i, number in zip(rows, numbers, strict=True)}
    turns = []
    for turn in range(len(folds)):
        held = [
            {fold == turn for fold in (fold_of_person.get(group), fold_of.get(system)) if fold is not None}
            for group, system in zip(groups, systems, strict=True)
        ]
        train = np.array([i for i, flags in zip(indices, held, strict=True) if True not in flags], np.int64)
        test = np.array([i for i, flags in zip(indices, held, strict=True) if flags == {True}], np.int64)
        turns.append(Fold(str(turn + 1), train, test))
    return tuple(turns)


def _systems(manifest: Manifest, indices: IntArray) -> list[str | None]:
    """Return the system of each clip; None for bona fide ones and where the data does not say."""
    named = (manifest.clips[i].extra.get("system", NO_SYSTEM) for i in indices)
    return [None if system == NO_SYSTEM else system for system in named]


def _people(groups: Sequence[str], systems: Sequence[str | None], fold_of: dict[str | None, int]) -> set[str]:
    """Return the groups that are split by themselves: all but the voices of one single system of a fold."""
    systems_of: dict[str, set[str | None]] = {}
    for group, system in zip(groups, systems, strict=True):
        systems_of.setdefault(group, set()).add(system)
    return {group for group, found in systems_of.items() if len(found) > 1 or next(iter(found)) not in fold_of}
