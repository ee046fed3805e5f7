# SPDX-License-Identifier: Apache-2.0
"""Which of many settings to take, when their figures come from few recordings: the middle of equally good ones.

The very best figure is often luck: a step to the side, and an event or two are lost. So a figure counts together with
its neighbours, and of what is nearly as good as the best, the middle is taken: it is the setting that still holds when
the scores of new recordings lie a little differently.
"""

from __future__ import annotations

from itertools import groupby
from statistics import median_high

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_EQUAL = 1e-9


def with_neighbours(figures: Array, axis: int) -> Array:
    """Return half of each figure and a quarter of both neighbours on an axis; an end is its own neighbour outside.

    >>> with_neighbours(np.array([0.0, 0.8, 0.4]), 0).round(2).tolist()
    [0.2, 0.5, 0.5]
    """
    moved = np.moveaxis(figures, axis, 0)
    before, after = np.concatenate([moved[:1], moved[:-1]]), np.concatenate([moved[1:], moved[-1:]])
    return np.moveaxis((before + 2 * moved + after) / 4, 0, axis)


def middle_of_plateau(figures: Array, slack: float) -> int:
    """Return the middle of the longest run of figures within ``slack`` of the best that holds a best one.

    >>> middle_of_plateau(np.array([0.1, 0.79, 0.8, 0.79, 0.1, 0.79]), 0.02)
    2

    Args:
        figures: shape ``(setting,)``, in the order of the settings.
        slack: how much below the best a figure may lie.
    """
    best = figures.max()
    within = (figures >= best - slack - _EQUAL).tolist()
    runs = [[i for i, _ in run] for is_in, run in groupby(enumerate(within), key=lambda pair: pair[1]) if is_in]
    longest = max((run for run in runs if figures[run].max() >= best - _EQUAL), key=len)
    return longest[(len(longest) - 1) // 2]


def middle_setting(figures: Array, slack: float) -> tuple[int, int]:
    """Return the middle one, ``(row, column)``, of all settings within ``slack`` of the best.

    The median of their rows, and of the columns that they have in it; of two in the middle, the later one.

    >>> middle_setting(np.array([[0.8, 0.2], [0.8, 0.8], [0.8, 0.1]]), 0.0)
    (1, 1)
    """
    rows, columns = np.nonzero(figures >= figures.max() - slack - _EQUAL)
    row = median_high(rows.tolist())
    return row, median_high(columns[rows == row].tolist())
