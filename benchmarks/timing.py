# SPDX-License-Identifier: Apache-2.0
"""The one timer: candidates take turns, so that whatever slows the machine down slows all of them down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Candidate:
    """Something to time: a call, and how often it runs in each round."""

    call: Callable[[], object]
    times: int = 1


@dataclass(frozen=True)
class Timing:
    """Median and quartiles of ``n`` single runs, in seconds."""

    median_s: float
    low_s: float
    high_s: float
    n: int

    def to_dict(self) -> dict[str, float]:
        return {k: v if k == "n" else float(f"{v:.4g}") for k, v in asdict(self).items()}


def summarise(seconds: list[float]) -> Timing:
    """Return the median and the quartiles of some runs."""
    if len(seconds) == 1:
        return Timing(seconds[0], seconds[0], seconds[0], 1)
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Timing(median, low, high, len(seconds))


def take_turns(
    candidates: Mapping[str, Candidate],
    *,
    rounds: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time all candidates in turn, each round beginning with another one.

    Args:
        candidates: by name.
        rounds: how often everyone has its turn.
        warm_up: rounds before that, which are not counted.
        clock: seconds, replaceable in tests.
    """
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm_up, rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            for _ in range(candidates[name].times):
                start = clock()
                candidates[name].call()
                elapsed = clock() - start
                if number >= 0:
                    seconds[name].append(elapsed)
    return {name: summarise(values) for name, values in seconds.items()}
