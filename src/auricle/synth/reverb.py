# SPDX-License-Identifier: Apache-2.0
"""Synthetic reverberation: noise that decays exponentially."""

from __future__ import annotations

import numpy as np

from auricle.results import FloatArray
from auricle.synth.signals import rms

#: Time in which the reverberation of a room falls by 60 dB, from small and furnished to large.
DECAY_S = (0.15, 0.7)
#: Energy of the direct sound over that of the reverberation, in dB.
DIRECT_DB = (0.0, 15.0)


def put_into_room(samples: FloatArray, sample_rate: int, decay_s: float, direct_db: float, seed: int) -> FloatArray:
    """Add the reverberation of a room that never was: noise that dies away, after Polack's model (1988).

    Args:
        samples: shape ``(time,)``.
        sample_rate: in Hz.
        decay_s: time in which the reverberation falls by 60 dB.
        direct_db: energy of the direct sound over that of the reverberation.
        seed: of the echoes.
    """
    length = max(2, round(decay_s * sample_rate))
    fall = 10 ** (-3 * np.arange(1, length) / (decay_s * sample_rate))
    echoes = np.random.default_rng(seed).standard_normal(length - 1) * fall
    echoes *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(echoes**2))
    response = np.concatenate([[1.0], echoes])
    size = 1 << (len(samples) + length - 2).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]
    return np.asarray(wet * (rms(samples) / max(rms(wet), 1e-12)), np.float32)
