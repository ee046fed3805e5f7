# SPDX-License-Identifier: Apache-2.0
"""The two mel scales in use, and the way back; they give different numbers, so they carry their names.

- ``slaney``: the scale of Slaney's Auditory Toolbox, linear below 1 kHz and logarithmic above.
- ``htk``: mel = 1127 ln(1 + f / 700), of O'Shaughnessy, "Speech Communication" (1987), which HTK and Kaldi use.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

_SLANEY_STEP_HZ = 200.0 / 3
_SLANEY_KNEE_HZ = 1000.0
_SLANEY_KNEE_MEL = _SLANEY_KNEE_HZ / _SLANEY_STEP_HZ
_SLANEY_LOG_STEP = np.log(6.4) / 27.0
_HTK_FACTOR = 1127.0
_HTK_KNEE_HZ = 700.0


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


def hz_to_mel_htk(hz: npt.ArrayLike) -> Float64:
    """Return mels of the HTK scale."""
    return _HTK_FACTOR * np.log1p(np.asarray(hz, dtype=np.float64) / _HTK_KNEE_HZ)


def mel_to_hz_htk(mel: npt.ArrayLike) -> Float64:
    """Return frequencies in Hz of the HTK scale."""
    return _HTK_KNEE_HZ * np.expm1(np.asarray(mel, dtype=np.float64) / _HTK_FACTOR)
