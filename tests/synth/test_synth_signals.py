# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.synth.signals import (
    band_noise,
    coloured_noise,
    decay,
    envelope,
    harmonics,
    phase_of,
    resonate,
    rms,
    time_axis,
)

RATE = 8_000


def test_a_steady_phase_is_a_plain_sine():
    phase = phase_of(np.full(80, 100.0), RATE)
    np.testing.assert_allclose(
        harmonics(phase, np.array([1.0])), np.sin(2 * np.pi * 100 * time_axis(80, RATE)), atol=1e-6
    )


def test_harmonics_above_half_the_rate_are_left_out():
    phase = phase_of(np.full(800, 1500.0), RATE)
    np.testing.assert_array_equal(harmonics(phase, np.ones(2)), harmonics(phase, np.ones(9)))


def test_decay_reaches_one_over_e():
    np.testing.assert_allclose(decay(17, RATE, 0.002)[[0, 16]], [1, 1 / np.e])


def test_band_noise_stays_in_its_band():
    noise = band_noise(np.random.default_rng(0), 8_000, RATE, 1_000, 2_000)
    power = np.abs(np.fft.rfft(noise)) ** 2
    assert power[800:2_400].sum() / power.sum() > 0.9


def test_resonance_equals_direct_convolution():
    sound = np.random.default_rng(0).standard_normal(300).astype(np.float32)
    modes = np.array([500.0, 1200.0])
    time = time_axis(300, RATE)
    ring = (np.sin(2 * np.pi * modes[:, None] * time) * np.exp(-np.pi * 200 * time)).sum(axis=0)
    length = int(RATE * 4 / 200)
    wanted = np.convolve(sound, ring[:length])[:300]
    np.testing.assert_allclose(resonate(sound, RATE, modes, bandwidth_hz=200), wanted, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 10, 8_000])
def test_envelope_is_positive_and_bounded(samples):
    values = envelope(np.random.default_rng(0), samples, RATE, rate_hz=2.0)
    assert len(values) == samples
    assert values.min() >= 0.05
    assert values.max() <= 1


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_the_colour_of_noise_is_the_fall_of_its_power(exponent):
    power = np.abs(np.fft.rfft(coloured_noise(np.random.default_rng(0), 1 << 16, exponent))) ** 2
    low, high = power[1_000:2_000].mean(), power[4_000:8_000].mean()
    assert np.log(low / high) / np.log(4) == pytest.approx(exponent, abs=0.1)


def test_the_root_mean_square_by_hand():
    assert rms(np.array([3, 4, 0, 0], np.float32)) == 2.5
    assert rms(np.zeros(0, np.float32)) == 0
    assert rms(np.full(3, 1e-30, np.float32)) == pytest.approx(1e-30)  # its square is no float32
