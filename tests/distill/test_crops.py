# SPDX-License-Identifier: Apache-2.0
"""Crops are what their rules say, and their sources are where their activity says."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.distill.crop_store import frame_means
from auricle.distill.crops import CropRules, activity, make_crop
from auricle.timeline import FrameGrid

RATE = 8_000
LENGTHS = np.array([4_000, 60_000, 12_000])


def read(number: int, first: int, count: int) -> np.ndarray:
    """Tones, each of its own frequency."""
    time = np.arange(first, min(first + count, LENGTHS[number])) / RATE
    return np.sin(2 * np.pi * (300 * (number + 1)) * time).astype(np.float32)


def test_a_crop_is_a_function_of_its_number():
    first, again, other = (make_crop(CropRules(), n, LENGTHS, read, RATE) for n in (3, 3, 4))
    np.testing.assert_array_equal(first.mixture, again.mixture)
    assert first.mixture.shape == other.mixture.shape == (40_960,)
    assert not np.array_equal(first.mixture, other.mixture)
    seeded = make_crop(CropRules(seed=1), 3, LENGTHS, read, RATE)
    assert not np.array_equal(first.mixture, seeded.mixture)


def test_a_mixture_is_the_sum_of_its_sources_and_keeps_its_peak():
    counts = []
    for number in range(40):
        crop = make_crop(CropRules(), number, LENGTHS, read, RATE)
        np.testing.assert_allclose(crop.mixture, crop.sources.sum(0), atol=1e-6)
        peak = np.abs(crop.mixture).max()
        assert 10 ** (-24 / 20) * 0.999 <= peak <= 1.001
        assert crop.activity.shape == (len(crop.sources), 512)
        counts.append(len(crop.sources))
    assert set(counts) == {1, 2, 3}


def test_shares_of_counts_are_kept():
    rules = CropRules(shares=(0.0, 1.0, 0.0))
    assert {len(make_crop(rules, n, LENGTHS, read, RATE).sources) for n in range(10)} == {2}


def test_activity_by_hand():
    """A source that plays in the second half only; one at -40 dB under it is not heard there, but is before."""
    loud, soft = np.zeros(16_000, np.float32), np.full(16_000, 0.001, np.float32)
    loud[8_000:] = 0.1
    found = activity(np.stack([loud, soft]), RATE)
    assert found.shape == (2, 200)
    assert found[0].tolist() == [0] * 100 + [1] * 100
    assert found[1].tolist() == [1] * 100 + [0] * 100
    assert not activity(np.zeros((1, 8_000), np.float32), RATE).any()


def test_frames_take_the_mean_of_what_lies_in_them():
    """Frames of 80 ms whose first is centred at 10 ms see [-30, 50) ms, of which 5 steps are there, and [50, 130)."""
    steps = np.zeros((1, 30), np.float32)
    steps[0, 4:9] = 1  # 40 to 90 ms
    grid = FrameGrid(1_280, 1, 159.5)
    np.testing.assert_allclose(frame_means(steps, grid, 16_000, 3), [[1 / 5, 4 / 8, 0]], atol=1e-6)


@pytest.mark.parametrize("number", range(8))
def test_synthetic_sources_are_finite(number):
    crop = make_crop(CropRules(synthetic_share=1.0), number, LENGTHS, read, RATE)
    assert np.isfinite(crop.mixture).all()
    assert np.abs(crop.mixture).max() > 0
