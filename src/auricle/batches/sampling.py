# SPDX-License-Identifier: Apache-2.0
"""Which clips make up which step: pure functions of (seed, epoch), never of history.

So a run that resumes in the middle of an epoch, with any number of loader processes, sees the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from auricle.errors import ConfigError
from auricle.results import FloatArray

#: Streams of random numbers that share a seed must differ: each purpose has its own number.
ORDER, CROP, MIX, STEP = 1, 2, 3, 4


def generator(seed: int, purpose: int, *position: int) -> np.random.Generator:
    """Return the random generator of one purpose at one position (epoch, index, ...)."""
    return np.random.default_rng([seed, purpose, *position])


@dataclass(frozen=True)
class BatchPlan:
    """The batches of a run.

    Attributes:
        size: number of clips.
        batch_size: clips a batch; a smaller last batch is left out, unless it is the only one.
        seed: of the order.
        weights: how often to draw each clip, relative to the others; None visits each once an epoch.
    """

    size: int
    batch_size: int
    seed: int
    weights: npt.NDArray[np.floating] | None = None

    @property
    def count(self) -> int:
        """Clips in every batch."""
        return min(self.size, self.batch_size)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return max(1, self.size // self.batch_size)

    def order(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the clips of an epoch in their order, shape ``(size,)``."""
        rng = generator(self.seed, ORDER, epoch)
        if self.weights is None:
            return rng.permutation(self.size)
        chance = self.weights / self.weights.sum()
        return rng.choice(self.size, size=self.size, replace=True, p=np.asarray(chance, np.float64))

    def batch(self, epoch: int, number: int) -> npt.NDArray[np.int64]:
        """Return the clips of one batch."""
        return self.order(epoch)[number * self.batch_size : (number + 1) * self.batch_size]

    def walk(self, first_step: int, last_step: int) -> Iterator[list[tuple[int, int]]]:
        """Yield the batches of steps ``first_step`` to ``last_step - 1`` as ``(epoch, clip)`` pairs."""
        epoch, number = divmod(first_step, self.steps)
        order = self.order(epoch)
        for _ in range(first_step, last_step):
            chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
            yield [(epoch, int(clip)) for clip in chosen]
            number += 1
            if number == self.steps:
                epoch, number = epoch + 1, 0
                order = self.order(epoch)


IntArray = npt.NDArray[np.int64]


def draw_mixup(alpha: float, batch: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Draw mixup (Zhang et al. 2018): each item's partner and its own weight, at least one half.

    Returns:
        partner: ``(batch,)`` indices; weight: ``(batch,)`` in [0.5, 1]. Where ``alpha`` is 0, each item is its own
        partner.
    """
    if alpha == 0:
        return np.arange(batch), np.ones(batch, dtype=np.float32)
    partner = rng.permutation(batch)
    weight = rng.beta(alpha, alpha, size=batch)
    return partner, np.maximum(weight, 1 - weight).astype(np.float32)


class Mixup(NamedTuple):
    """What one process reads of a batch, and how it mixes it.

    Attributes:
        places: in the whole batch, of what is read: first the process's own items, then partners from elsewhere.
        partner: ``(own,)``, for each own item the index of its partner among what is read.
        weight: ``(own,)`` in [0.5, 1], of the item itself in the mix.
    """

    places: IntArray
    partner: IntArray
    weight: FloatArray


@dataclass(frozen=True)
class BatchShard:
    """The part of every step that one process computes.

    Attributes:
        plan: which clips make up which step.
        alpha: of mixup, see ``draw_mixup``.
        rank: number of this process.
        size: number of processes.
    """

    plan: BatchPlan
    alpha: float = 0.0
    rank: int = 0
    size: int = 1

    def __post_init__(self) -> None:
        if self.plan.count < self.size:
            raise ConfigError(
                f"a batch of {self.plan.count} clips cannot be divided among {self.size} processes: raise "
                "data.batch_size (clips of all processes together), take more clips, or start fewer processes"
            )

    @property
    def own(self) -> tuple[int, int]:
        """The stretch of each batch that is this process's own, from and to."""
        count = self.plan.count
        return count * self.rank // self.size, count * (self.rank + 1) // self.size

    @property
    def weight(self) -> float:
        """Share of each batch that is this process's own."""
        low, high = self.own
        return (high - low) / self.plan.count

    def mixup(self, step: int) -> Mixup:
        """Return what this process reads and mixes in a step."""
        partner, weight = draw_mixup(self.alpha, self.plan.count, generator(self.plan.seed, MIX, step))
        low, high = self.own
        wanted = partner[low:high]
        elsewhere = wanted[(wanted < low) | (wanted >= high)]
        places = np.concatenate([np.arange(low, high), elsewhere])
        index = {int(place): number for number, place in enumerate(places)}
        return Mixup(places, np.array([index[int(p)] for p in wanted], np.int64), weight[low:high])

    def walk(self, first_step: int, last_step: int) -> Iterator[list[tuple[int, int]]]:
        """Yield what to read in steps ``first_step`` to ``last_step - 1``, as ``(epoch, clip)`` pairs."""
        for step, batch in enumerate(self.plan.walk(first_step, last_step), first_step):
            yield [batch[place] for place in self.mixup(step).places]
