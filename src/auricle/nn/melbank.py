# SPDX-License-Identifier: Apache-2.0
"""Mel filter banks, by the name of the convention they follow.

Two conventions are in use and give different numbers, so they carry their names:

- ``slaney``: the scale of Slaney's Auditory Toolbox (linear below 1 kHz, logarithmic above), triangles
  drawn over frequency, area normalised. This is librosa's default (``htk=False, norm="slaney"``).
- ``kaldi``: mel = 1127 ln(1 + f / 700) (the HTK scale), triangles drawn over *mel*, peaks of 1, as in
  Kaldi's ``mel-computations.cc``; the AST and EfficientAT teachers were trained on it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from auricle.errors import UsageError
from auricle.results import FloatArray

Float64 = npt.NDArray[np.float64]

_SLANEY_STEP_HZ = 200.0 / 3
_SLANEY_KNEE_HZ = 1000.0
_SLANEY_KNEE_MEL = _SLANEY_KNEE_HZ / _SLANEY_STEP_HZ
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel_slaney(hz: npt.ArrayLike) -> Float64:
    """Return mels of Slaney's scale."""
    hz = np.asarray(hz, dtype=np.float64)
    above = _SLANEY_KNEE_MEL + np.log(np.maximum(hz, _SLANEY_KNEE_HZ) / _SLANEY_KNEE_HZ) / _SLANEY_LOG_STEP
    return np.where(hz < _SLANEY_KNEE_HZ, hz / _SLANEY_STEP_HZ, above)


def mel_to_hz_slaney(mel: npt.ArrayLike) -> Float64:
    """Return frequencies in Hz of Slaney's scale."""
    mel = np.asarray(mel, dtype=np.float64)
    above = _SLANEY_KNEE_HZ * np.exp(_SLANEY_LOG_STEP * (np.maximum(mel, _SLANEY_KNEE_MEL) - _SLANEY_KNEE_MEL))
    return np.where(mel < _SLANEY_KNEE_MEL, mel * _SLANEY_STEP_HZ, above)


def hz_to_mel_kaldi(hz: npt.ArrayLike) -> Float64:
    """Return mels of the HTK scale, 1127 ln(1 + f / 700), which Kaldi uses."""
    return 1127.0 * np.log1p(np.asarray(hz, dtype=np.float64) / 700.0)


def _slaney_bank(sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> Float64:
    """Triangles over frequency, each of area 1 (in Hz)."""
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    edges = mel_to_hz_slaney(np.linspace(hz_to_mel_slaney(f_min), hz_to_mel_slaney(f_max), n_mels + 2))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    return np.maximum(0, np.minimum(rising, falling)) * (2.0 / (right - left))


def _kaldi_bank(sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float) -> Float64:
    """Triangles over mel with peaks of 1; the Nyquist bin is left out, as Kaldi does."""
    bins = hz_to_mel_kaldi(np.arange(n_fft // 2 + 1) * sample_rate / n_fft)
    edges = np.linspace(hz_to_mel_kaldi(f_min), hz_to_mel_kaldi(f_max), n_mels + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bank = np.maximum(0, np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)))
    bank[:, -1] = 0
    return bank


_BANKS = {"slaney": _slaney_bank, "kaldi": _kaldi_bank}


def mel_bank(
    sample_rate: int, n_fft: int, n_mels: int, f_min: float, f_max: float, convention: str = "slaney"
) -> FloatArray:
    """Return the filter bank, shape ``(mel, n_fft // 2 + 1)``, float32.

    Args:
        sample_rate: in Hz.
        n_fft: length of the Fourier transform in samples.
        n_mels: number of bands.
        f_min: lowest edge in Hz.
        f_max: highest edge in Hz, at most half the sample rate.
        convention: ``slaney`` or ``kaldi``.

    Raises:
        UsageError: if the convention is unknown, or a band is so narrow that no bin falls into it.
    """
    if convention not in _BANKS:
        raise UsageError(f"mel convention {convention!r} is unknown; known: {', '.join(sorted(_BANKS))}")
    bank = _BANKS[convention](sample_rate, n_fft, n_mels, f_min, f_max)
    empty = np.flatnonzero(bank.max(axis=1) == 0)
    if len(empty):
        raise UsageError(
            f"{n_mels} mel bands from {f_min:g} to {f_max:g} Hz leave band {empty[0]} without a frequency bin "
            f"(bins are {sample_rate / n_fft:.1f} Hz apart); use fewer bands or a longer window"
        )
    return bank.astype(np.float32)
