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
        assert 10 ** (-36 / 20) * 0.999 <= peak <= 1.001
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


def test_backwards_is_the_same_sound_reversed():
    """A ramp of all of a recording, alone and unchanged, rises or falls."""
    plain = {"shares": (1.0, 0.0, 0.0), "speed": (1.0, 1.0), "equaliser_db": 0.0, "room_share": 0.0, "cut_share": 0.0}
    rules = [CropRules(**plain, synthetic_share=0.0, reverse_share=share) for share in (0.0, 1.0)]

    def ramp(number: int, first: int, count: int) -> np.ndarray:
        return np.arange(1, 1 + count, dtype=np.float32)

    rises = [np.diff(make_crop(r, 0, np.array([99_999]), ramp, RATE).mixture) > 0 for r in rules]
    assert [rise.sum() for rise in rises] == [40_958, 1], "each has one jump, where it was turned in time"


@pytest.mark.parametrize("length_s", [0.64, 1.28])
def test_short_crops_are_whole_crops(length_s):
    """Nothing in a rule needs a long crop; a shard asks for the length that is its turn."""
    for number in range(12):
        crop = make_crop(CropRules(), number, LENGTHS, read, RATE, length_s)
        assert crop.mixture.shape == (length_s * RATE,)
        assert crop.activity.shape[1] == 100 * length_s
        assert np.isfinite(crop.sources).all()
