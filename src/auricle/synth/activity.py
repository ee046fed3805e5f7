# SPDX-License-Identifier: Apache-2.0
"""Where a recording sounds: parts found by their energy, so that labels cut from them have true edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.results import FloatArray
from auricle.timeline import seconds_to_samples


@dataclass(frozen=True)
class RegionRule:
    """What counts as sounding.

    Attributes:
        within_db: a frame sounds if it is at most this far below the loudest one.
        bridge_s: shorter silences belong to the sound around them.
        frame_s: length of a frame.
        shortest_s: shorter sounds are not used.
    """

    within_db: float = 26.0
    bridge_s: float = 0.25
    frame_s: float = 0.02
    shortest_s: float = 0.04


def active_regions(samples: FloatArray, sample_rate: int, rule: RegionRule | None = None) -> list[tuple[int, int]]:
    """Return begin and end in samples of each part of a recording that sounds, in order.

    Args:
        samples: shape ``(time,)``.
        sample_rate: in Hz.
        rule: what counts as sounding.
    """
    rule = RegionRule() if rule is None else rule
    size = max(1, seconds_to_samples(rule.frame_s, sample_rate))
    power = frame_power(samples, size, -(-len(samples) // size))
    if not power.any():
        return []
    loud = np.flatnonzero(power >= power.max() * 10 ** (-rule.within_db / 10))
    longest_gap = round(rule.bridge_s / rule.frame_s)
    breaks = np.flatnonzero(np.diff(loud) - 1 > longest_gap)
    begins = loud[np.concatenate([[0], breaks + 1])]
    ends = loud[np.concatenate([breaks, [len(loud) - 1]])] + 1
    least = round(rule.shortest_s / rule.frame_s)
    return [
        (int(begin) * size, min(int(end) * size, len(samples)))
        for begin, end in zip(begins, ends, strict=True)
        if end - begin >= least
    ]


def frame_power(samples: FloatArray, size: int, frames: int) -> npt.NDArray[np.float64]:
    """Return the mean power of so many frames of ``size`` samples; behind the end there is silence.

    >>> frame_power(np.array([1, 3, 2], np.float32), 2, 3).tolist()
    [5.0, 2.0, 0.0]
    """
    padded = np.zeros(frames * size)
    taken = samples[: frames * size]
    padded[: len(taken)] = taken
    return np.asarray(np.square(padded.reshape(frames, size)).mean(axis=1))


def loudest(samples: FloatArray, length: int) -> FloatArray:
    """Return the part of a recording with the most energy, all of it where it is not longer.

    >>> loudest(np.array([0, 0, 3, 1, 0], np.float32), 2).tolist()
    [3.0, 1.0]
    """
    if len(samples) <= length:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]
