# SPDX-License-Identifier: Apache-2.0
"""Resampling: whole = blocks exactly, right length, right pitch, nothing above the band."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.audio.resample import Resampler, resample

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]


@given(rate=st.sampled_from(RATES), cuts=st.lists(st.integers(0, 20_000), max_size=12), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_whole_equals_blocks(rate, cuts, seed):
    samples = np.random.default_rng(seed).standard_normal(20_000).astype(np.float32)
    resampler = Resampler(rate, 16_000)
    blocks = [resampler.push(part) for part in np.split(samples, sorted(cuts))]
    blocks.append(resampler.flush())
    assert np.array_equal(np.concatenate(blocks), resample(samples, rate, 16_000))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frames", [1, 160, 12_345])
def test_length_is_the_same_time(rate, frames):
    out = resample(np.ones(frames, np.float32), rate, 16_000)
    assert abs(len(out) - frames * 16_000 / rate) <= 1


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_keeps_pitch_level_and_phase(rate, tone):
    out = resample(tone(1.0, rate=rate), rate, 16_000)
    middle = slice(2_000, 14_000)
    assert np.abs(out[middle] - tone(1.0)[middle]).max() < 1e-4


def test_what_does_not_fit_the_band_is_removed(tone):
    out = resample(tone(1.0, rate=48_000, frequency=12_000.0), 48_000, 16_000)
    assert np.abs(out[1_000:-1_000]).max() < 1e-4


def test_equal_rates_change_nothing(tone):
    samples = tone(0.1)
    assert resample(samples, 16_000, 16_000) is samples


def test_impossible_rates():
    with pytest.raises(ValueError, match="sample rates must be at least 1 Hz, got 0 and 16000"):
        Resampler(0, 16_000)
