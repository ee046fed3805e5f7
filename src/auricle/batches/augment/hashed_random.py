# SPDX-License-Identifier: Apache-2.0
"""Random numbers of a whole batch at once, each a function of (seed, purpose, epoch, clip) and nothing else.

A generator object a clip would cost more than what it draws. Here a number is a hash of where it stands, by the mixing
function of SplitMix64 (Steele, Lea & Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
Words = npt.NDArray[np.uint64]


def _mix(words: Words) -> Words:
    """Return a word for each word that looks unlike it; arrays wrap around without a warning."""
    words = (words ^ (words >> np.uint64(30))) * _MIX1
    words = (words ^ (words >> np.uint64(27))) * _MIX2
    return words ^ (words >> np.uint64(31))


def uniforms(
    seed: int, purpose: int, epoch: int | npt.NDArray[np.int64], clips: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.float64]:
    """Return ``count`` numbers in [0, 1) for each clip, shape ``(clip, count)``.

    Args:
        seed: of the run.
        purpose: tells streams apart that share the rest.
        epoch: one for all clips, or one for each.
        clips: their numbers.
        count: numbers for each; a longer row begins with the shorter one.
    """
    words = np.zeros(len(clips), np.uint64)
    for part in (seed, purpose, epoch, clips):
        number = np.atleast_1d(np.asarray(part, np.int64)).astype(np.uint64)
        words = _mix(words + _GOLDEN * (number + np.uint64(1)))
    places = _GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
    return np.asarray((_mix(words[:, None] + places) >> np.uint64(11)) * 2.0**-53)
