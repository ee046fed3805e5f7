# SPDX-License-Identifier: Apache-2.0
"""Vocoders: a recording is taken apart into what a synthesiser would make speech of, and put together again.

What comes out is a copy as a machine makes it, of a voice that a detector of synthetic speech knows as a person's.
``griffin_lim`` throws away phases and the fine structure of the spectrum; ``world`` keeps pitch, envelope and noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.errors import UsageError
from auricle.results import FloatArray

Complex = npt.NDArray[np.complex128]
Array = npt.NDArray[np.float64]

VOCODERS = ("griffin_lim", "world")
#: Weight of what the last iteration changed, in the fast form of Griffin and Lim's algorithm.
MOMENTUM = 0.99
_FRAME, _HOP = 1024, 256


def griffin_lim(
    samples: FloatArray, sample_rate: int, *, bands: int = 80, steps: int = 16, seed: int = 0
) -> FloatArray:
    """Return the recording made again of its mel bands alone.

    The spectrum is the least-squares one of the bands; phases begin at random and are made to agree with each other
    (Griffin and Lim 1984; the fast form of Perraudin, Balazs and Søndergaard, 2013).

    Args:
        samples: shape ``(time,)``.
        sample_rate: in Hz.
        bands: number of mel bands, from 0 Hz to half the sample rate.
        steps: iterations; few leave an echo.
        seed: of the first phases.

    Returns:
        As many samples.
    """
    padded = np.pad(np.asarray(samples, np.float64), (_FRAME // 2, _FRAME // 2 + _HOP))
    spectrum = _analyse(padded)
    bank = mel_triangles(bands, _FRAME // 2 + 1, sample_rate)
    magnitude = np.maximum(np.abs(spectrum) @ bank.T @ np.linalg.pinv(bank).T, 0)
    phase = np.exp(2j * np.pi * np.random.default_rng(seed).random(spectrum.shape))
    before = np.zeros_like(spectrum)
    for _ in range(steps):
        now = _analyse(_synthesise(magnitude * phase, len(padded)))
        phase = now + MOMENTUM * (now - before)
        phase /= np.maximum(np.abs(phase), 1e-12)
        before = now
    sound = _synthesise(magnitude * phase, len(padded))
    return np.asarray(sound[_FRAME // 2 : _FRAME // 2 + len(samples)], np.float32)


def mel_triangles(bands: int, bins: int, sample_rate: int) -> Array:
    """Return triangles that are evenly spaced on the mel scale (O'Shaughnessy's), shape ``(band, bin)``."""
    frequencies = np.linspace(0, sample_rate / 2, bins)
    edges = 700 * np.expm1(np.linspace(0, np.log1p(sample_rate / 2 / 700), bands + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def _window() -> Array:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME))


def _analyse(sound: Array) -> Complex:
    """Return the spectra of all frames, ``(frame, bin)``."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, _FRAME)[::_HOP]
    return np.asarray(np.fft.rfft(frames * _window()))


def _synthesise(spectra: Complex, length: int) -> Array:
    """Return the sound whose spectra are nearest to the given ones (weighted overlap and add)."""
    window = _window()
    parts = (np.fft.irfft(spectra, _FRAME) * window).reshape(len(spectra), -1, _HOP)
    weights = np.broadcast_to(np.square(window).reshape(-1, _HOP), parts.shape)
    total, weight = np.zeros((2, len(spectra) + parts.shape[1], _HOP))
    for i in range(parts.shape[1]):
        total[i : i + len(spectra)] += parts[:, i]
        weight[i : i + len(spectra)] += weights[:, i]
    sound = (total / np.maximum(weight, 1e-8)).ravel()[:length]
    return np.pad(sound, (0, max(0, length - len(sound))))


def world(samples: FloatArray, sample_rate: int, *, pitch: float = 1.0, bands: int | None = None) -> FloatArray:
    """Return the recording made again by WORLD of its pitch, spectral envelope and aperiodicity.

    Morise, Yokomori and Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system", 2016.

    Args:
        samples: shape ``(time,)``.
        sample_rate: in Hz.
        pitch: multiplies the pitch.
        bands: code the envelope with so many numbers, as statistical synthesis does; None keeps it whole.

    Returns:
        As many samples.

    Raises:
        UsageError: ``pyworld`` is not installed.
    """
    engine = _pyworld()
    sound = np.ascontiguousarray(samples, np.float64)
    coarse, times = engine.dio(sound, sample_rate)
    f0 = engine.stonemask(sound, coarse, times, sample_rate)
    envelope = engine.cheaptrick(sound, f0, times, sample_rate)
    aperiodicity = engine.d4c(sound, f0, times, sample_rate)
    if bands is not None:
        size = engine.get_cheaptrick_fft_size(sample_rate)
        coded = engine.code_spectral_envelope(envelope, sample_rate, bands)
        envelope = engine.decode_spectral_envelope(coded, sample_rate, size)
    out = engine.synthesize(f0 * pitch, envelope, aperiodicity, sample_rate)[: len(sound)]
    return np.asarray(np.pad(out, (0, len(sound) - len(out))), np.float32)


def _pyworld() -> Any:
    try:
        import pyworld  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise UsageError(
            'the vocoder world needs the package pyworld: pip install "auricle[voices]", or leave it out'
        ) from error
    return pyworld
