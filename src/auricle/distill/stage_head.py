# SPDX-License-Identifier: Apache-2.0
"""The head on statistics of a teacher's stages: its penalty is chosen by clips of other systems, people or groups.

Such statistics are more numbers than there are clips, so how well a head fits says nothing. What it says of spoofing
systems and speakers that it was not fitted on does; in data without systems, of other groups or folds.
"""

from __future__ import annotations

import numpy as np

from auricle.data.leave_out import leave_out, split_systems
from auricle.data.manifest import VARIANT, Manifest
from auricle.data.splits import crossval_folds
from auricle.errors import DataError
from auricle.results import FloatArray
from auricle.teachers.heads import IntArray, LinearHead, choose_penalty, fit_head

#: Turns in which the penalty is chosen, where the data has no folds of its own.
TURNS = 4


def choosing_turns(manifest: Manifest) -> list[tuple[IntArray, IntArray]]:
    """Return of each turn the clips to fit on and those to judge by; none if the data cannot be split."""
    everything = np.arange(len(manifest), dtype=np.int64)
    systems = split_systems(manifest, everything, TURNS, 0)
    try:
        folds = leave_out(manifest, everything, systems, 0) if systems[0] else crossval_folds(manifest, k=TURNS)
    except DataError:
        return []
    return [(fold.train, fold.test) for fold in folds]


def fit_stage_head(vectors: FloatArray, targets: FloatArray, manifest: Manifest, task: str) -> tuple[LinearHead, float]:
    """Fit a head on the statistics of clips; returns it and its penalty.

    Changed recordings are left out where there are others: they would count for one each, and say less about voices.

    Args:
        vectors: statistics of each clip, ``(clip, dimension)``.
        targets: ``(clip, label)``.
        manifest: the same clips.
        task: ``single`` or ``multi``.

    Raises:
        DataError: see ``teachers.heads.fit_head``.
    """
    own = [i for i, clip in enumerate(manifest.clips) if VARIANT not in clip.extra]
    if 0 < len(own) < len(manifest):
        vectors, targets, manifest = vectors[own], targets[own], manifest.select(own)
    penalty = choose_penalty(vectors, targets, task, choosing_turns(manifest))
    return fit_head(vectors, targets, task, penalty), penalty
