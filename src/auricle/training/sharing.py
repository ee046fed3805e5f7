# SPDX-License-Identifier: Apache-2.0
"""How one step's batch is mixed and dealt to processes, so that together they compute what one alone would.

Order and mixing are drawn for the whole batch, as functions of (seed, step). A process then takes its stretch of
the batch, and reads beside it those partners of its items that lie in other stretches:

    batch        a b c d e f g h          partner of each    c a b d h e f g
    process 0    a b c d                  reads  a b c d
    process 1            e f g h          reads  e f g h
    partner of e were b:                  process 1 would read  e f g h | b
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from auricle.errors import ConfigError
from auricle.results import FloatArray
from auricle.training.augment import mixing
from auricle.training.batches import MIX, BatchPlan, generator

IntArray = npt.NDArray[np.int64]


class Mixture(NamedTuple):
    """What one process reads of a batch, and how it mixes it.

    Attributes:
        places: in the whole batch, of what is read: first the process's own items, then partners from elsewhere.
        partner: ``(own,)``, for each own item the index of its partner among what is read.
        share: ``(own,)`` in [0.5, 1], of the item itself in the mix.
    """

    places: IntArray
    partner: IntArray
    share: FloatArray


@dataclass(frozen=True)
class Share:
    """The part of every step that one process computes.

    Attributes:
        plan: which clips make up which step.
        alpha: of mixing, see ``augment.mixing``.
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
                f"a batch of {self.plan.count} clips cannot be dealt to {self.size} processes: raise data.batch_size "
                "(clips of all processes together), take more clips, or start fewer processes"
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

    def mixture(self, step: int) -> Mixture:
        """Return what this process reads and mixes in a step."""
        partner, share = mixing(self.alpha, self.plan.count, generator(self.plan.seed, MIX, step))
        low, high = self.own
        wanted = partner[low:high]
        elsewhere = wanted[(wanted < low) | (wanted >= high)]
        places = np.concatenate([np.arange(low, high), elsewhere])
        index = {int(place): number for number, place in enumerate(places)}
        return Mixture(places, np.array([index[int(p)] for p in wanted], np.int64), share[low:high])

    def walk(self, first_step: int, last_step: int) -> Iterator[list[tuple[int, int]]]:
        """Yield what to read in steps ``first_step`` to ``last_step - 1``, as ``(epoch, clip)`` pairs."""
        for step, batch in enumerate(self.plan.walk(first_step, last_step), first_step):
            yield [batch[place] for place in self.mixture(step).places]
