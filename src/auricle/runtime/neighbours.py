# SPDX-License-Identifier: Apache-2.0
"""Is a recording anything like what the model was made of? How far its vector lies from those of training recordings.

The distance is one less the cosine to the k-th nearest training vector, after the mean of all is taken off: Sun et al.,
"Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022. The limit is a conformal one (Vovk et al.,
"Algorithmic Learning in a Random World", 2005): of recordings like the ones that it was set on, which nothing was
fitted on, at most the stated share lies beyond it.

What this cannot see: a sound that the network itself takes for one that it knows.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.errors import BundleError
from auricle.results import Flag, FloatArray
from auricle.runtime.npz import NpzError, read_npz
from auricle.runtime.spec import NeighboursPart

NEIGHBOURS_FILE = "neighbours.npz"
#: The neighbour that counts where there are enough of them.
NEIGHBOUR = 3
#: Share of recordings like the training data that may lie beyond the limit.
BEYOND = 0.05
#: Fewer recordings than this say nothing about a limit.
LEAST = 9
_MOST_BYTES = 64_000_000


@dataclass(frozen=True)
class Neighbours:
    """Vectors of training recordings.

    Attributes:
        mean: ``(dimension,)``, of all of them.
        vectors: ``(recording, dimension)``, less the mean and of length 1.
        k: the neighbour that counts.
    """

    mean: FloatArray
    vectors: FloatArray
    k: int

    @classmethod
    def of(cls, embeddings: npt.ArrayLike) -> Neighbours:
        """Return the neighbours of ``(recording, dimension)``."""
        table = np.asarray(embeddings, np.float32)
        if table.ndim != 2 or len(table) < 2:
            raise ValueError(f"need two vectors or more, got shape {table.shape}")
        mean = table.mean(axis=0).astype(np.float16).astype(np.float32)
        vectors = _unit(table - mean).astype(np.float16).astype(np.float32)
        return cls(mean, vectors, max(1, min(NEIGHBOUR, len(table) // 4)))

    def distances(self, embeddings: npt.ArrayLike) -> FloatArray:
        """Return how far each of ``(recording, dimension)`` is from its k-th neighbour, ``(recording,)`` in [0, 2]."""
        return self._kth(_unit(np.asarray(embeddings, np.float32) - self.mean) @ self.vectors.T)

    def distances_within(self, groups: Sequence[object]) -> FloatArray:
        """Return how far each training vector is from its k-th neighbour of another group, ``(recording,)``.

        Args:
            groups: of each vector: a speaker, a site, a source recording; ``range(n)`` if each stands alone.
        """
        numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
        cosines = self.vectors @ self.vectors.T
        cosines[numbers[:, None] == numbers] = -1
        return self._kth(cosines)

    def _kth(self, cosines: FloatArray) -> FloatArray:
        nearest = np.sort(cosines, axis=1)[:, -self.k]
        return np.asarray(1 - nearest, np.float32)

    def dump(self) -> bytes:
        """Return the file's content: float16, which moves a distance by less than .001."""
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean.astype(np.float16), vectors=self.vectors.astype(np.float16))
        return buffer.getvalue()


def read_neighbours(content: bytes, part: NeighboursPart, where: str) -> Neighbours:
    """Return the stored vectors; raises ``BundleError`` if they are not what ``dump`` wrote."""
    try:
        found = read_npz(content, _MOST_BYTES)
        mean, vectors = (found[name].astype(np.float32) for name in ("mean", "vectors"))
        if vectors.ndim != 2 or mean.shape != vectors.shape[1:] or len(vectors) < part.k or not len(mean):
            raise NpzError("its shapes do not fit together")
    except (NpzError, KeyError, ValueError) as error:
        raise BundleError(f"{where}: {NEIGHBOURS_FILE} cannot be used: {error}; get the model folder again") from error
    return Neighbours(mean, vectors, part.k)


def fit_limit(distances: npt.ArrayLike, k: int) -> NeighboursPart | None:
    """Return the limit that recordings like these keep; None of too few.

    Args:
        distances: of recordings that are like the training data and none of it, ``(recording,)``.
        k: the neighbour that counts.

    >>> fit_limit([0.1] * 18 + [0.2], 1).limit
    0.2
    """
    known = np.sort(np.asarray(distances, np.float64))
    if len(known) < LEAST:
        return None
    rank = min(len(known), math.ceil((len(known) + 1) * (1 - BEYOND)))
    beyond = max(BEYOND, 1 / (len(known) + 1))
    return NeighboursPart(k=k, limit=round(float(known[rank - 1]), 6), beyond=round(beyond, 4), recordings=len(known))


def fit_neighbours(
    train: npt.ArrayLike, held_out: npt.ArrayLike | None, groups: Sequence[object]
) -> tuple[NeighboursPart, bytes] | None:
    """Return the limit and the stored vectors; None where there are too few recordings.

    Args:
        train: vectors of training recordings, ``(recording, dimension)``.
        held_out: of recordings that nothing was fitted on; with too few of them, training recordings are compared
            with those of other groups.
        groups: of each training recording.
    """
    if len(np.asarray(train)) < LEAST:
        return None
    found = Neighbours.of(train)
    part = None if held_out is None or not len(np.asarray(held_out)) else fit_limit(found.distances(held_out), found.k)
    if part is None:
        part = fit_limit(found.distances_within(groups), found.k)
    return None if part is None else (part, found.dump())


class NeighbourCheck:
    """Compares the vectors of one recording's windows with the training data, as they are scored."""

    def __init__(self, part: NeighboursPart, neighbours: Neighbours) -> None:
        self._part = part
        self._neighbours = neighbours
        #: Of the windows so far.
        self.distances: list[float] = []

    def add(self, _window: FloatArray, embedding: FloatArray | None) -> None:
        """Take the vector of a window, ``(dimension,)``; None where the model gives none here."""
        if embedding is not None:
            self.distances.append(float(self._neighbours.distances(embedding[None])[0]))

    def flags(self, _samples: int) -> tuple[Flag, ...]:
        """Return the flag of a recording whose median window is beyond the limit."""
        if not self.distances:
            return ()
        distance, part = float(np.median(self.distances)), self._part
        if distance <= part.limit:
            return ()
        return (Flag("out_of_distribution", {"distance": distance, "limit": part.limit, "beyond": part.beyond}),)


def _unit(table: FloatArray) -> FloatArray:
    return np.asarray(table / np.maximum(np.linalg.norm(table, axis=-1, keepdims=True), 1e-12), np.float32)
