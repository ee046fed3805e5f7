# SPDX-License-Identifier: Apache-2.0
"""All runs of frames that any threshold can cut out of scores: as many as frames at most, found without trying any.

A run is a longest stretch of frames that all reach a threshold. Each one belongs to its lowest frame: it reaches to
the nearest lower frames on both sides, exists up to its own score, and is part of a longer run from the higher of the
two neighbours down. So looking at each frame once finds the runs of all thresholds (the deltas of Ebbers, Serizel and
Haeb-Umbach, "Threshold Independent Evaluation of Sound Event Detection Scores", ICASSP 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Runs:
    """Runs of frames ``first ... last``, both included, which exist at thresholds ``bottom < threshold <= top``.

    All have shape ``(run,)``; ``bottom`` is minus infinity for the run that ends only where everything is one.
    """

    first: IntArray
    last: IntArray
    top: Array
    bottom: Array


def threshold_runs(scores: npt.ArrayLike) -> Runs:
    """Return the runs of scores of one label, shape ``(frame,)``.

    One pass with a stack of the runs that are still going on, each with its lowest score, ascending.

    >>> runs = threshold_runs([0.2, 0.8, 0.5])
    >>> list(zip(runs.first.tolist(), runs.last.tolist(), runs.top.tolist(), runs.bottom.tolist()))
    [(1, 1, 0.8, 0.5), (1, 2, 0.5, 0.2), (0, 2, 0.2, -inf)]
    """
    values: list[float] = np.asarray(scores, np.float64).tolist()
    going: list[tuple[int, float]] = [(0, -math.inf)]
    ended: list[tuple[int, int, float, float]] = []
    for frame, score in enumerate([*values, -math.inf]):
        begin = frame
        while going[-1][1] > score:
            begin, lowest = going.pop()
            ended.append((begin, frame - 1, lowest, max(score, going[-1][1])))
        if going[-1][1] < score:
            going.append((begin, score))
    table = np.array(ended, np.float64).reshape(-1, 4)
    frames = table[:, :2].astype(np.int64)
    return Runs(frames[:, 0], frames[:, 1], table[:, 2], table[:, 3])
