# SPDX-License-Identifier: Apache-2.0
"""How sure is a figure? 95 % intervals by resampling groups: speakers, sites, source recordings.

Clips of one group are alike, so groups are drawn, not clips: as many as there are, with replacement
(percentile bootstrap: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 13). With several seeds, a
draw's figure is the mean over the seeds of that figure on the same draw, so the interval tells about the data; the
spread over seeds is a figure of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from auricle.results import Interval

IndexArray = npt.NDArray[np.int64]
Array = npt.NDArray[np.float64]
#: From the numbers of the drawn items to a figure; None where it is undefined for them.
Statistic = Callable[[IndexArray], float | None]

REPEATS = 1_000
LEVEL = 0.95
#: Of the normal distribution: 95 % lie within so many deviations.
NORMAL_QUANTILE = 1.959964
_MAX_UNDEFINED = 0.5
_BLOCK = 10_000_000


def bootstrap_interval(
    statistics: Statistic | Sequence[Statistic],
    groups: Sequence[object],
    *,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Interval | None:
    """Return a figure with its interval.

    Args:
        statistics: the figure as a function of item numbers; one a seed, if the model was trained with several.
        groups: the group of each item, ``range(n)`` if every item stands alone.
        repeats: how many draws.
        seed: of the draws.

    Returns:
        None if the figure is undefined for all items, or for more than half of the draws.
    """
    functions = [statistics] if callable(statistics) else list(statistics)
    items = _items_by_group(groups)
    value = _mean(functions, np.arange(len(groups)))
    if value is None:
        return None
    counts = _draw_groups(len(items), repeats, seed)
    drawn = [_mean(functions, np.concatenate([items[g] for g in row])) for row in counts]
    known = [figure for figure in drawn if figure is not None]
    if len(known) < (1 - _MAX_UNDEFINED) * repeats:
        return None
    return percentile_interval(value, np.array(known), len(groups))


def bootstrap_mean(
    values: npt.ArrayLike, groups: Sequence[object], *, repeats: int = REPEATS, seed: int = 0
) -> Interval:
    """Return the mean of ``values`` with its interval; the same as ``bootstrap_interval``, all draws at once.

    Args:
        values: such as 0/1 for wrong/right, shape ``(item,)`` or ``(seed, item)``.
        groups: the group of each item.
        repeats: how many draws.
        seed: of the draws.
    """
    table = np.atleast_2d(np.asarray(values, np.float64)).mean(axis=0)
    if len(table) != len(groups):
        raise ValueError(f"got {len(table)} values and {len(groups)} groups; every value needs its group")
    items = _items_by_group(groups)
    sums = np.array([table[index].sum() for index in items])
    sizes = np.array([len(index) for index in items], np.float64)
    means: list[Array] = []
    drawn = _draw_groups(len(items), repeats, seed)
    step = max(1, _BLOCK // len(items))
    for start in range(0, repeats, step):
        block = drawn[start : start + step]
        means.append(sums[block].sum(axis=1) / sizes[block].sum(axis=1))
    return percentile_interval(float(table.mean()), np.concatenate(means), len(table))


def proportion_interval(hits: int, n: int) -> Interval | None:
    """Return a share of independent trials with its 95 % interval (Wilson 1927); None without a trial.

    Resampling says nothing of few trials: of three hits in three, every draw has three.

    >>> found = proportion_interval(3, 3)
    >>> round(found.low, 3), found.high
    (0.439, 1.0)
    """
    if n == 0:
        return None
    low, high = wilson_limits(hits / n, n)
    return Interval(hits / n, 0.0 if hits == 0 else low, 1.0 if hits == n else high, n)


def wilson_limits(share: float, n: float) -> tuple[float, float]:
    """Return the 95 % interval of a share of ``n`` independent trials (Wilson 1927).

    ``n`` need not be whole, where trials of several kinds count as so many of one; infinitely many leave no doubt.

    >>> [round(limit, 3) for limit in wilson_limits(1.0, 3)], wilson_limits(0.5, math.inf)
    ([0.439, 1.0], (0.5, 0.5))
    """
    if math.isinf(n):
        return share, share
    square = NORMAL_QUANTILE**2
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = NORMAL_QUANTILE / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def draw_weights(groups: Sequence[object], repeats: int = REPEATS, seed: int = 0) -> Iterator[Array]:
    """Yield for each draw how often each item was drawn, shape ``(item,)``; the draws of ``bootstrap_interval``."""
    items = _items_by_group(groups)
    for row in _draw_groups(len(items), repeats, seed):
        weights = np.zeros(len(groups))
        for group, times in enumerate(np.bincount(row, minlength=len(items))):
            weights[items[group]] = times
        yield weights


def _items_by_group(groups: Sequence[object]) -> list[IndexArray]:
    """Return the item numbers of each group, groups in the order in which they first appear."""
    if len(groups) == 0:
        raise ValueError("no item to evaluate")
    found: dict[object, list[int]] = {}
    for item, group in enumerate(groups):
        found.setdefault(group, []).append(item)
    return [np.array(items, np.int64) for items in found.values()]


def _draw_groups(groups: int, repeats: int, seed: int) -> IndexArray:
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    return np.random.default_rng(seed).integers(0, groups, (repeats, groups))


def _mean(functions: Sequence[Statistic], index: IndexArray) -> float | None:
    """Return the mean over seeds; None if it is undefined for one of them."""
    values = [function(index) for function in functions]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def percentile_interval(value: float, drawn: Array, n: int) -> Interval:
    """Return a figure of ``n`` items with the 95 % interval of its values in the draws."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Interval(value, float(low), float(high), n)
