# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from auricle.reports.spectrogram import MOST_COLUMNS, ROWS, spectrogram_png


def picture(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return palette indices, shape ``(row, column)``."""
    return np.asarray(Image.open(io.BytesIO(spectrogram_png(samples, rate))))


@pytest.mark.parametrize("frequency", [300, 1000, 3000, 6000])
def test_a_tone_is_a_line_at_its_frequency(tone, frequency):
    image = picture(tone(1.0, 16_000, frequency), 16_000)
    brightest = image[:, 20:80].astype(int).sum(axis=1).argmax()
    mel = 2595 * np.log10(1 + np.array([40, frequency, 8000]) / 700)
    from_below = (mel[1] - mel[0]) / (mel[2] - mel[0]) * (ROWS - 1)
    assert abs((ROWS - 1 - brightest) - from_below) <= 1.5


def test_sound_stands_at_its_time(recording):
    image = picture(recording, 8_000)
    loud = image.max(axis=0) > 100
    assert len(loud) == 200, "one column for each 10 ms"
    assert loud[53:97].all()
    assert not loud[:45].any()
    assert not loud[105:].any()


def test_long_recordings_keep_the_width_and_every_click():
    rate, clicks = 8_000, [200_000, 4_000_000, 7_000_000]
    samples = np.zeros(8_000_000, np.float32)  # 1000 s
    for click in clicks:
        samples[click : click + 400] = 0.5
    image = picture(samples, rate)
    assert image.shape == (ROWS, MOST_COLUMNS)
    loud = np.flatnonzero(image.max(axis=0) > 128)
    found = {round(column / MOST_COLUMNS * len(samples) / 100_000) for column in loud}
    assert {2, 40, 70} == found


@pytest.mark.parametrize("samples", [np.zeros(1, np.float32), np.ones(7, np.float32), np.zeros(8_000, np.float32)])
def test_very_short_and_silent_recordings_have_a_picture(samples):
    image = picture(samples, 8_000)
    assert image.shape[0] == ROWS
    assert image.shape[1] >= 1
