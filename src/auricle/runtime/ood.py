# SPDX-License-Identifier: Apache-2.0
"""Is a recording anything like what the model was trained on? Music, noise and hum are not speech, whatever it says.

Each window, as the network gets it, is described by eight figures that tell speech from other sounds: syllables come
two to ten times a second, voiced and unvoiced parts take turns, the spectrum moves. The bundle states their mean and
covariance over the training windows; a window far from that (Mahalanobis distance) is unlike them. The figures are
those of classical discriminators of speech and music: Saunders, "Real-Time Discrimination of Broadcast Speech/Music",
ICASSP 1996, and Scheirer and Slaney, "Construction and Evaluation of a Robust Multifeature Speech/Music
Discriminator", ICASSP 1997. None depends on the level. All lie below 3.8 kHz, so that telephone speech is speech.

What this cannot see: speech of another kind (another codec, another synthesiser) is speech.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from auricle.results import Flag, FloatArray
from auricle.runtime.spec import DomainPart
from auricle.timeline import samples_to_seconds

Array = npt.NDArray[np.float64]

FEATURES = (
    "dynamics_db",
    "active_share",
    "syllable_share",
    "flux_db",
    "flatness_db",
    "voicing",
    "voicing_spread",
    "centroid_spread",
)
#: This share of the training windows lies beyond the limit.
BEYOND = 0.03
#: A recording is unlike the training data if more than this share of its windows is.
MOST = 0.5

_FRAME_S, _HOP_S = 0.032, 0.016
_BAND_HZ = (150.0, 3_800.0)
_BANDS = 16
_RANGE_DB, _ACTIVE_DB = 50.0, 30.0
_SYLLABLES_HZ, _ENVELOPE_HZ = (2.0, 10.0), (0.5, 30.0)
_PITCH_HZ = (70.0, 400.0)
_LEAST = 1e-20
_FLOOR = 1e-8
_RIDGE = 1e-6


class DomainCheck:
    """Compares the windows of one recording with the training data, as they are scored."""

    def __init__(self, domain: DomainPart, sample_rate: int) -> None:
        self._domain = domain
        self._rate = sample_rate
        self._mean = np.array(domain.mean)
        self._whitening = np.array(domain.whitening)
        #: Of the windows so far.
        self.distances: list[float] = []

    def add(self, window: FloatArray, _embedding: FloatArray | None = None) -> None:
        """Take a window of shape ``(sample,)``; digital silence is like nothing, and counts as unlike."""
        self.distances.append(distance(window_features(window, self._rate), self._mean, self._whitening))

    def flags(self, samples: int) -> tuple[Flag, ...]:
        """Return what is unlike the training data in a recording of ``samples`` at the model's rate."""
        found = []
        length_s = samples_to_seconds(samples, self._rate)
        if length_s < self._domain.shortest_s:
            found.append(Flag("too_short", {"duration_s": length_s, "shortest_trained_s": self._domain.shortest_s}))
        beyond = float(np.mean([d > self._domain.limit for d in self.distances])) if self.distances else 0.0
        if beyond > MOST:
            typical = float(np.median(self.distances))
            found.append(
                Flag("out_of_distribution", {"share": beyond, "distance": typical, "limit": self._domain.limit})
            )
        return tuple(found)


def fit_domain(windows: npt.ArrayLike, shortest_s: float) -> DomainPart:
    """Return the description of training windows.

    Args:
        windows: their features, shape ``(window, feature)``.
        shortest_s: length of the shortest training recording in seconds.
    """
    table = np.asarray(windows, np.float64)
    if table.ndim != 2 or table.shape[1] != len(FEATURES) or len(table) == 0:
        raise ValueError(f"need features of shape (window, {len(FEATURES)}) of one window or more, got {table.shape}")
    mean = table.mean(axis=0)
    centred = table - mean
    covariance = centred.T @ centred / len(table)
    covariance += _RIDGE * np.eye(len(mean)) * max(1.0, float(np.trace(covariance)) / len(mean))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    distances = np.linalg.norm(centred @ whitening.T, axis=1)
    return DomainPart(
        shortest_s=shortest_s,
        features=FEATURES,
        mean=tuple(mean.tolist()),
        whitening=tuple(tuple(row) for row in whitening.tolist()),
        limit=max(float(np.quantile(distances, 1 - BEYOND)), _LEAST),
    )


def distance(features: Array, mean: Array, whitening: Array) -> float:
    """Return the Mahalanobis distance of features ``(feature,)``."""
    return float(np.linalg.norm(whitening @ (features - mean)))


def window_features(window: FloatArray, sample_rate: int) -> Array:
    """Describe a window of shape ``(sample,)``; returns one number for each of ``FEATURES``."""
    power, frequencies = _spectra(window, sample_rate)
    inside = (frequencies >= _BAND_HZ[0]) & (frequencies <= _BAND_HZ[1])
    band = power[:, inside]
    energy = band.sum(axis=1)
    level = 10 * np.log10(energy + _LEAST)
    level = np.maximum(level, level.max() - _RANGE_DB)
    active = level > level.max() - _ACTIVE_DB
    spoken = band[active] + (_FLOOR * energy.max() + _LEAST)
    voicing = _voicing(power[active], sample_rate)
    centroid = np.log((spoken @ frequencies[inside]) / spoken.sum(axis=1))
    flatness = 10 * (np.log10(spoken).mean(axis=1) - np.log10(spoken.mean(axis=1)))
    return np.array(
        [
            level.std(),
            active.mean(),
            _syllable_share(np.sqrt(energy)),
            _flux(band, active),
            flatness.mean(),
            voicing.mean(),
            voicing.std(),
            centroid.std(),
        ]
    )


def _spectra(window: FloatArray, sample_rate: int) -> tuple[Array, Array]:
    """Return power spectra ``(frame, bin)`` and the frequencies of the bins in Hz."""
    size, hop = round(_FRAME_S * sample_rate), round(_HOP_S * sample_rate)
    samples = np.pad(window.astype(np.float64), (0, max(0, 2 * size - len(window))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    spectra = np.fft.rfft(frames * np.hanning(size), axis=1)
    return np.asarray(np.square(np.abs(spectra))), np.asarray(np.fft.rfftfreq(size, 1 / sample_rate))


def _syllable_share(envelope: Array) -> float:
    """Return how much of the envelope's slow movement has the rhythm of syllables."""
    moves = np.square(np.abs(np.fft.rfft((envelope - envelope.mean()) * np.hanning(len(envelope)))))
    rates = np.fft.rfftfreq(len(envelope), _HOP_S)

    def within(low: float, high: float) -> float:
        return float(moves[(rates >= low) & (rates <= high)].sum())

    return within(*_SYLLABLES_HZ) / (within(*_ENVELOPE_HZ) + _LEAST)


def _flux(band: Array, active: npt.NDArray[np.bool_]) -> float:
    """Return how much the spectrum's shape changes from frame to frame, in dB, where there is sound."""
    edges = np.unique(np.geomspace(1, band.shape[1], _BANDS + 1).astype(int)) - 1
    groups = np.add.reduceat(band, edges[:-1], axis=1)
    levels = 10 * np.log10(groups + 1e-4 * groups.max(axis=1, keepdims=True) + _LEAST)
    shape = levels - levels.mean(axis=1, keepdims=True)
    both = active[1:] & active[:-1]
    return float(np.abs(np.diff(shape, axis=0))[both].mean()) if both.any() else 0.0


def _voicing(power: Array, sample_rate: int) -> Array:
    """Return how periodic each frame is: its autocorrelation at the best pitch lag, corrected for the window's."""
    size = 2 * (power.shape[1] - 1)
    low, high = round(sample_rate / _PITCH_HZ[1]), min(round(sample_rate / _PITCH_HZ[0]), size // 2)
    correlation = np.fft.irfft(power, axis=1)[:, : high + 1]
    normal = correlation / (correlation[:, :1] + _LEAST) / _window_correlation(size)[: high + 1]
    return np.asarray(np.clip(normal[:, low:].max(axis=1), 0, 1))


@lru_cache(maxsize=8)
def _window_correlation(size: int) -> Array:
    """Return the circular autocorrelation of the frame's window, 1 at lag 0."""
    correlation = np.fft.irfft(np.square(np.abs(np.fft.rfft(np.hanning(size)))))
    return np.asarray(correlation / correlation[0])
