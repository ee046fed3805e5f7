# SPDX-License-Identifier: Apache-2.0
"""Building blocks of synthetic sound: tones, noise bands, resonances. Arrays are ``(time,)`` float32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from auricle.results import FloatArray

DoubleArray = npt.NDArray[np.float64]


def time_axis(samples: int, sample_rate: int) -> DoubleArray:
    """Return the time of each sample in seconds."""
    return np.arange(samples) / sample_rate


def phase_of(frequency_hz: DoubleArray, sample_rate: int) -> DoubleArray:
    """Return the phase in radians of a tone of changing frequency: the running integral, from 0."""
    step = 2 * np.pi * frequency_hz / sample_rate
    return np.cumsum(step) - step


def harmonics(phase: DoubleArray, weights: DoubleArray) -> FloatArray:
    """Return the weighted sum of the sines of 1, 2, 3, ... times ``phase``; those above half the rate are left out."""
    sound = np.zeros(len(phase))
    fastest = float(np.abs(np.diff(phase)).max(initial=0.0))
    for number, weight in enumerate(weights, 1):
        if number * fastest < np.pi:
            sound += weight * np.sin(number * phase)
    return sound.astype(np.float32)


def rms(sound: FloatArray | DoubleArray) -> float:
    """Return the root mean square of a sound, 0 for one without samples."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0


def decay(samples: int, sample_rate: int, time_constant_s: float) -> DoubleArray:
    """Return an exponential decay from 1 to 1/e after ``time_constant_s``."""
    return np.asarray(np.exp(-time_axis(samples, sample_rate) / time_constant_s))


def band_noise(
    generator: np.random.Generator, samples: int, sample_rate: int, low_hz: float, high_hz: float
) -> FloatArray:
    """Return Gaussian noise between two frequencies, shaped in the frequency domain with soft edges (2nd order)."""
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    frequency_hz = np.fft.rfftfreq(samples, 1 / sample_rate)
    rising = frequency_hz**2 / (frequency_hz**2 + low_hz**2)
    falling = 1 / (1 + (frequency_hz / high_hz) ** 8)
    return np.fft.irfft(spectrum * rising * falling, samples).astype(np.float32)


def resonate(sound: FloatArray, sample_rate: int, modes_hz: DoubleArray, *, bandwidth_hz: float) -> FloatArray:
    """Send a sound through damped resonators side by side.

    A resonator of frequency f and bandwidth b rings as ``exp(-pi b t) sin(2 pi f t)``; the convolution
    with that response is done by FFT, long enough that nothing wraps around.
    """
    length = min(len(sound), int(sample_rate * 4 / bandwidth_hz))
    time = time_axis(length, sample_rate)
    rings = np.sin(2 * np.pi * modes_hz[:, None] * time) * np.exp(-np.pi * bandwidth_hz * time)
    size = len(sound) + length
    response = np.fft.rfft(rings.sum(axis=0), size)
    return np.fft.irfft(np.fft.rfft(sound, size) * response, size)[: len(sound)].astype(np.float32)


def envelope(generator: np.random.Generator, samples: int, sample_rate: int, *, rate_hz: float) -> FloatArray:
    """Return a random positive envelope that changes about ``rate_hz`` times a second, between 0.05 and 1."""
    points = max(2, int(samples / sample_rate * rate_hz) + 2)
    values = generator.uniform(0.05, 1.0, points)
    return np.interp(np.linspace(0, points - 1, samples), np.arange(points), values).astype(np.float32)


def coloured_noise(generator: np.random.Generator, samples: int, exponent: float) -> FloatArray:
    """Return Gaussian noise whose power falls as ``1 / frequency ** exponent`` (0 white, 1 pink, 2 brown)."""
    spectrum = np.fft.rfft(generator.standard_normal(samples))
    # Below a thousandth of the band the spectrum is flat: what lies there would only be a slow drift.
    frequency = np.maximum(np.arange(len(spectrum)), max(1.0, len(spectrum) / 1000))
    return np.fft.irfft(spectrum / frequency ** (exponent / 2), samples).astype(np.float32)
