# SPDX-License-Identifier: Apache-2.0
"""The bank of negatives: what else there is in the world, as vectors, so that a model of one class knows it.

Recordings under free licences and synthetic sounds went through the built-in model; kept are 8-bit vectors of some of
them, whole clips and short runs of frames, and the mean and deviation over all. ``scripts/make_bank.py`` makes the file
anew for a new built-in model; the network is known by its hash, and no other is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auricle.enrolment.linear import Array
from auricle.errors import BundleError
from auricle.runtime.npz import read_npz

BANK_FILE = Path(__file__).with_name("bank.npz")
#: Stored numbers are deviations from the mean, in sixteenths.
STEPS = 16
#: Digits of the hashes of recordings.
DIGITS = 16
_MOST_BYTES = 16_000_000


@dataclass(frozen=True)
class Scale:
    """Mean and deviation of vectors over all sounds that the bank was made of, each ``(feature,)``."""

    mean: Array
    deviation: Array

    def apply(self, vectors: npt.ArrayLike) -> Array:
        """Return vectors ``(..., feature)`` with mean 0 and deviation 1 over the bank's sounds."""
        return np.asarray((np.asarray(vectors, np.float64) - self.mean) / self.deviation)


@dataclass(frozen=True)
class Bank:
    """What the file holds.

    Attributes:
        backbone: SHA-256 of the network's file.
        clip_scale: of clip vectors.
        frame_scale: of frame vectors.
        clips: scaled vectors of sounds, ``(sound, feature)``.
        runs: scaled vectors of frames that follow each other, ``(sound, frame, feature)``.
        recordings: the first digits of the SHA-256 of every recording behind any of the numbers.
    """

    backbone: str
    clip_scale: Scale
    frame_scale: Scale
    clips: Array
    runs: Array
    recordings: frozenset[str]


@lru_cache(maxsize=1)
def load_bank(backbone: str) -> Bank:
    """Return the package's bank.

    Args:
        backbone: SHA-256 of the network that it has to be of.

    Raises:
        BundleError: it was made with another network.
    """
    found = read_npz(BANK_FILE.read_bytes(), _MOST_BYTES)
    made_of = bytes(found["backbone"]).hex()
    if made_of != backbone:
        raise BundleError(
            f"{BANK_FILE.name} was made with the network {made_of[:12]}…, the built-in model's is {backbone[:12]}…; "
            "make it again: python scripts/make_bank.py"
        )
    clip_scale, frame_scale = (Scale(*found[name].astype(np.float64)) for name in ("clip_scale", "frame_scale"))
    clips, runs = (found[name].astype(np.float64) / STEPS for name in ("clips", "runs"))
    recordings = frozenset(f"{int(value):0{DIGITS}x}" for value in found["heard"])
    return Bank(made_of, clip_scale, frame_scale, clips, runs, recordings)


def pack(scaled: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return scaled vectors as the file stores them."""
    return np.clip(np.round(np.asarray(scaled) * STEPS), -127, 127).astype(np.int8)


def far_from(sounds: Array, positives: Array, limit: float) -> npt.NDArray[np.bool_]:
    """Tell which sounds are unlike every positive: no cosine similarity reaches ``limit``.

    >>> far_from(np.array([[1.0, 0.1], [0.0, 1.0]]), np.array([[1.0, 0.0]]), 0.8).tolist()
    [False, True]

    Args:
        sounds: scaled vectors, ``(sound, feature)``.
        positives: scaled vectors, ``(clip, feature)``.
        limit: similarity from which on a sound may be what the positives are.
    """
    return np.asarray((similarity(sounds, positives) < limit).all(axis=1))


def similarity(a: Array, b: Array) -> Array:
    """Return the cosine similarity of each row of ``a`` with each of ``b``."""
    return np.asarray(_unit(a) @ _unit(b).T)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9))
