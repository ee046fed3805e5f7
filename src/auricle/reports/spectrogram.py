# SPDX-License-Identifier: Apache-2.0
"""A picture of a recording: time to the right, pitch upwards on the mel scale, louder is brighter."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from auricle.audio.melscale import hz_to_mel_htk, mel_to_hz_htk
from auricle.reports.palette import loudness_scale
from auricle.reports.png import encode_png
from auricle.results import FloatArray

#: What a page needs; wider pictures only grow the file.
MOST_COLUMNS = 1400
ROWS = 160
#: Softer than the loudest place by this much is black.
RANGE_DB = 70.0

_WINDOW_S = 0.05
_HOP_S = 0.01
_FRAMES_A_COLUMN = 4
_MOST_FRAMES = 4096
_LOWEST_HZ = 40.0


def spectrogram_png(samples: FloatArray, sample_rate: int) -> bytes:
    """Return a picture of a recording of any length, at most ``MOST_COLUMNS`` wide, as PNG.

    Args:
        samples: shape ``(time,)``.
        sample_rate: in Hz.
    """
    image = _mel_rows(sample_rate) @ _column_power(samples, sample_rate)
    level_db = 10 * np.log10(np.maximum(image, 1e-12))
    share = (level_db - level_db.max()) / RANGE_DB + 1
    pixels = (255 * np.clip(share, 0, 1)).round().astype(np.uint8)
    return encode_png(pixels[::-1], loudness_scale())


def _column_power(samples: FloatArray, sample_rate: int) -> npt.NDArray[np.float64]:
    """Return the highest power of each frequency in each column, shape ``(bin, column)``.

    Long recordings are looked at in larger steps, up to a window's length, so that no sound falls between two
    windows; and a few thousand windows at a time, so that memory stays that of a picture.
    """
    size = _window_samples(sample_rate)
    hop = max(round(_HOP_S * sample_rate), math.ceil(len(samples) / (MOST_COLUMNS * _FRAMES_A_COLUMN)), 1)
    padded = np.pad(samples, (size // 2, size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[: max(1, len(samples)) : min(hop, size)]
    hann = np.hanning(size + 1)[:-1]
    count = min(MOST_COLUMNS, len(frames))
    edges = [*(np.arange(count) * len(frames) // count).tolist(), len(frames)]
    image = np.empty((count, size // 2 + 1))
    at_once = max(1, _MOST_FRAMES * count // len(frames))
    for first in range(0, count, at_once):
        bounds = edges[first : first + at_once + 1]
        power = np.abs(np.fft.rfft(frames[bounds[0] : bounds[-1]] * hann, axis=1)) ** 2
        image[first : first + at_once] = np.maximum.reduceat(power, np.array(bounds[:-1]) - bounds[0], axis=0)
    return image.T


def _window_samples(sample_rate: int) -> int:
    return max(16, 2 * round(_WINDOW_S * sample_rate / 2))


def _mel_rows(sample_rate: int) -> npt.NDArray[np.float64]:
    """Return the weights that turn bins into rows of equal mel height, lowest first, shape ``(row, bin)``.

    Triangles between neighbouring rows, never narrower than a bin, so that no row falls between two.
    """
    size = _window_samples(sample_rate)
    bins_hz = np.fft.rfftfreq(size, 1 / sample_rate)
    low, high = hz_to_mel_htk([_LOWEST_HZ, sample_rate / 2])
    centres_hz = mel_to_hz_htk(np.linspace(low, high, ROWS))
    width_hz = np.maximum(np.gradient(centres_hz), sample_rate / size)
    weights = np.maximum(0, 1 - np.abs(bins_hz[None] - centres_hz[:, None]) / width_hz[:, None])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
