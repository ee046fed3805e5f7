# SPDX-License-Identifier: Apache-2.0
"""The classical baseline of anti-spoofing: LFCC and two Gaussian mixtures, as in the baselines of ASVspoof 2019.

Linear-frequency cepstra (Sahidullah, Kinnunen and Hanilçi, "A Comparison of Features for Synthetic Speech Detection",
Interspeech 2015): windows of 20 ms every 10 ms, 512-point spectra, 20 triangular filters evenly over 0 to 8 kHz, 20
cepstra with their first and second differences, 60 numbers a frame. One mixture of each class; the score of a recording
is the mean over its frames of the difference of the log-likelihoods, higher = bona fide.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from auricle.audio.decode import read_audio
from auricle.files import atomic_write
from auricle.results import FloatArray

RATE, WINDOW, HOP, FFT = 16_000, 320, 160, 512
FILTERS = 20
COMPONENTS, ITERATIONS, MOST_FRAMES = 256, 10, 50_000


def linear_filters(filters: int = FILTERS) -> np.ndarray:
    """Triangles with evenly spaced centres from 0 to half the rate, shape ``(filter, bin)``."""
    edges = np.linspace(0, RATE / 2, filters + 2)
    bins = np.fft.rfftfreq(FFT, 1 / RATE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def cosines(filters: int = FILTERS) -> np.ndarray:
    """The orthonormal discrete cosine transform (type II), shape ``(cepstrum, filter)``."""
    k, n = np.arange(filters)[:, None], np.arange(filters)
    matrix = np.sqrt(2 / filters) * np.cos(np.pi * k * (n + 0.5) / filters)
    matrix[0] /= np.sqrt(2)
    return matrix


def differences(values: np.ndarray, reach: int = 3) -> np.ndarray:
    """Slopes over ``2 * reach + 1`` frames, edges repeated: ``(frame, feature)`` to the same shape."""
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    steps = np.arange(-reach, reach + 1)
    total = sum(step * padded[reach + step : reach + step + len(values)] for step in steps)
    return total / (steps**2).sum()


def lfcc(samples: FloatArray) -> FloatArray:
    """Return the features of a recording at 16 kHz, shape ``(frame, 60)``."""
    padded = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hamming(WINDOW), FFT, axis=1)) ** 2
    cepstra = np.log(power @ linear_filters().T + 1e-12) @ cosines().T
    first = differences(cepstra)
    return np.concatenate([cepstra, first, differences(first)], axis=1).astype(np.float32)


@cache
def features_of_one(path: str) -> FloatArray:
    """Return the features of a file; folds and seeds ask for the same ones again."""
    return lfcc(read_audio(path, sample_rate=RATE).samples)


def features_of(paths: Sequence[str]) -> list[FloatArray]:
    return [features_of_one(path) for path in paths]


def train(human: Sequence[FloatArray], fake: Sequence[FloatArray], seed: int, components: int = COMPONENTS) -> dict:
    """Fit both mixtures; returns their parameters by name."""
    from sklearn.mixture import GaussianMixture

    found = {}
    for name, clips in (("bonafide", human), ("spoof", fake)):
        frames = np.concatenate(clips)
        rng = np.random.default_rng(seed)
        frames = frames[rng.permutation(len(frames))[:MOST_FRAMES]]
        model = GaussianMixture(
            components,
            covariance_type="diag",
            reg_covar=1e-3,
            max_iter=ITERATIONS,
            tol=0,
            init_params="random_from_data",
            random_state=seed,
        )
        model.fit(frames)
        found |= {
            f"{name}.weights": model.weights_,
            f"{name}.means": model.means_,
            f"{name}.variances": model.covariances_,
        }
    return found


def log_likelihood(frames: FloatArray, weights: np.ndarray, means: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the log density of each frame under a mixture with diagonal covariances, shape ``(frame,)``."""
    constant = np.log(weights) - 0.5 * (np.log(2 * np.pi * variances).sum(1) + (means**2 / variances).sum(1))
    logs = constant + frames @ (means / variances).T - 0.5 * (frames**2) @ (1 / variances).T
    peak = logs.max(axis=1, keepdims=True)
    return (peak + np.log(np.exp(logs - peak).sum(axis=1, keepdims=True)))[:, 0]


def score(mixtures: dict, frames: FloatArray) -> float:
    """Return the mean log-likelihood ratio of a recording's frames."""
    parts = [
        log_likelihood(
            frames.astype(np.float64), *(mixtures[f"{name}.{part}"] for part in ("weights", "means", "variances"))
        )
        for name in ("bonafide", "spoof")
    ]
    return float((parts[0] - parts[1]).mean())


def save(path: Path, mixtures: dict) -> None:
    atomic_write(path, lambda file: np.savez(file, **mixtures))


def load(path: Path) -> dict:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)
