# SPDX-License-Identifier: Apache-2.0
"""Changes to whole batches of waveforms: replayable, one setting apart from the other, and doing what they say."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from auricle.batches.augment.batch import (
    IMPULSE_DENSITY,
    WavePlan,
    add_impulses,
    add_noise,
    apply_waves,
    change_speeds,
    channel_response,
    draw_waves,
    pass_channel,
)
from auricle.batches.augment.crop import change_speed
from auricle.recipe.schema import AugmentSection

RATE = 16_000
OFF = AugmentSection(mixup_alpha=0, shift=False, time_mask_ms=0, masks=0, gain_db=0, noise_snr_db=None)
FULL = {
    "shift": True,
    "speed": (0.9, 1.1),
    "gain_db": 6.0,
    "noise_snr_db": (10.0, 40.0),
    "noise_share": 0.5,
    "filter_share": 0.5,
    "impulse_share": 0.5,
    "masks": 1,
    "time_mask_ms": 200.0,
}
CLIPS = np.arange(400, dtype=np.int64)


def draw(spec: AugmentSection, epoch: int = 0, clips: np.ndarray = CLIPS) -> WavePlan:
    return draw_waves(spec, 3, np.full(len(clips), epoch), clips, 1_000)


def waves(count: int = 4, samples: int = 4_000) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((count, samples)).astype(np.float32)


def rms(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(np.square(x, dtype=np.float64), axis=-1))


def tones(hz: float, count: int = 1, samples: int = RATE) -> np.ndarray:
    return np.tile(0.3 * np.sin(2 * np.pi * hz * np.arange(samples) / RATE), (count, 1)).astype(np.float32)


def test_a_crop_is_changed_the_same_way_alone_in_a_batch_and_again():
    spec, x = AugmentSection(**FULL), waves(400, 1_200)
    whole = apply_waves(x, draw(spec), 1_000)
    again = apply_waves(x, draw(spec), 1_000)
    assert np.array_equal(whole, again)
    some = np.array([7, 133, 250])
    np.testing.assert_allclose(apply_waves(x[some], draw(spec, clips=CLIPS[some]), 1_000), whole[some], atol=1e-6)
    assert not np.array_equal(apply_waves(x, draw(spec, epoch=1), 1_000), whole)


@pytest.mark.parametrize(
    ("changes", "moved"),
    [
        ({"shift": False}, {"shift"}),
        ({"speed": (1.0, 1.0)}, {"speed"}),
        ({"gain_db": 0.0}, {"gain"}),
        ({"noise_snr_db": None}, {"noise"}),
        ({"noise_share": 0.0}, {"noise"}),
        ({"filter_share": 0.0}, ("notches", "distortion")),
        ({"impulse_share": 0.0}, {"impulses"}),
        ({"time_mask_ms": 0.0}, {"masks"}),
    ],
    ids=str,
)
def test_a_setting_changes_its_own_part_and_nothing_else(changes, moved):
    before, after = draw(AugmentSection(**FULL)), draw(AugmentSection(**{**FULL, **changes}))
    different = {
        f.name for f in fields(WavePlan) if not np.array_equal(getattr(before, f.name), getattr(after, f.name))
    }
    assert different == set(moved)


def test_ranges_and_shares_are_kept_and_used():
    plan = draw(AugmentSection(**FULL))
    gain_db = 20 * np.log10(plan.gain)
    assert -6 <= gain_db.min() < -5 < 5 < gain_db.max() <= 6
    assert 0.9 <= plan.speed.min() < 0.91 < 1.09 < plan.speed.max() <= 1.1
    snr_db = -20 * np.log10(plan.noise[plan.noise > 0])
    assert 10 <= snr_db.min() < 12 < 38 < snr_db.max() <= 40
    for share in (plan.noise > 0, plan.notches[..., 2].any(1), plan.impulses > 0):
        assert share.mean() == pytest.approx(0.5, abs=0.1)
    assert plan.impulses.max() < IMPULSE_DENSITY
    start, width = plan.masks[:, 0, 0].T
    assert 0.19 < width.max() <= 0.2
    assert (start + width).max() <= 1 + 1e-6
    assert not plan.masks[:, 1].any()


def test_everything_off_leaves_crops_alone():
    x = waves()
    assert np.array_equal(apply_waves(x, draw(OFF, clips=CLIPS[:4]), 4_000), x)
    assert draw(OFF).masks.shape == (400, 2, 0, 2)


def test_shift_rolls_the_end_to_the_start_and_the_input_stays():
    x = np.arange(16, dtype=np.float32).reshape(2, 8)
    plan = replace(draw(OFF, clips=CLIPS[:2]), shift=np.array([0.25, 0.0]), gain=np.array([2.0, 1.0]))
    out = apply_waves(x, plan, 8)
    assert out.tolist() == [[12, 14, 0, 2, 4, 6, 8, 10], [8, 9, 10, 11, 12, 13, 14, 15]]
    assert x[0].tolist() == list(range(8))


def test_speeds_are_those_of_the_single_form():
    x = waves(3, 1_500)
    out = change_speeds(x, np.array([0.8, 1.0, 1.3]), 1_000)
    for row, speed in enumerate((0.8, 1.0, 1.3)):
        np.testing.assert_allclose(out[row], change_speed(x[row], speed, 1_000), atol=1e-6)


def test_a_stop_band_takes_its_tone_and_leaves_the_others():
    notches = np.zeros((1, 5, 3))
    notches[:, :, 1] = 0.1
    notches[0, 0] = (0.25, 0.1, 1.0)  # 2 kHz of 8 kHz, 800 Hz wide, all of it
    response = channel_response(notches, 1_025)[0]
    assert response[256] == pytest.approx(0, abs=0.02)
    assert response[100] == pytest.approx(1, abs=0.01)
    assert response[1_000] == pytest.approx(1, abs=0.01)
    x = tones(2_000) + tones(5_000)
    spectrum = np.abs(np.fft.rfft(pass_channel(x, notches, np.zeros((1, 2)))[0]))
    assert spectrum[2_000] < 0.05 * spectrum[5_000]


def test_distortion_makes_harmonics_at_its_level():
    none = np.zeros((1, 5, 3))
    none[:, :, 1] = 0.1
    spectrum = np.abs(np.fft.rfft(pass_channel(tones(500), none, np.array([[0.0, 0.1]]))[0]))
    # x + 0.1 x^3 of a sine: the third harmonic has 0.025 of an amplitude of 1.075.
    assert spectrum[1_500] / spectrum[500] == pytest.approx(0.025 / 1.075, rel=0.02)
    assert spectrum[1_000] < 1e-3 * spectrum[500]


def test_a_channel_keeps_the_loudness():
    x, plan = waves(50, 3_000), draw(AugmentSection(filter_share=1.0), clips=CLIPS[:50])
    np.testing.assert_allclose(rms(pass_channel(x, plan.notches, plan.distortion)), rms(x), rtol=1e-4)
    assert not pass_channel(np.zeros((1, 100), np.float32), plan.notches[:1], plan.distortion[:1]).any()


def test_impulses_hit_the_asked_share_and_follow_the_signal():
    x = np.concatenate([np.zeros((1, 5_000)), np.ones((1, 5_000))], axis=1).astype(np.float32)
    out = add_impulses(x, np.array([0.05]), np.array([17]))
    hit = out != x
    assert not hit[:, :5_000].any()
    assert hit[:, 5_000:].mean() == pytest.approx(0.05, abs=0.01)
    assert np.abs(out - x).max() <= 2


@pytest.mark.parametrize("colour", [0, 1, 2])
def test_noise_has_the_asked_ratio(colour):
    x = tones(440, 2, 30_000)
    noise = add_noise(x, np.array([0.1, 0.5]), np.array([colour, 0]), np.array([9, 99])) - x
    assert rms(noise[0]) / rms(x[0]) == pytest.approx(0.1, rel=0.3)  # a part of the bank is not as loud as the whole
    assert rms(noise[1]) / rms(x[1]) == pytest.approx(0.5, rel=0.05)


def test_noise_of_a_crop_longer_than_the_bank():
    x = np.ones((1, 600_000), np.float32)
    assert np.std(add_noise(x, np.array([0.1]), np.array([0]), np.array([5])) - x) == pytest.approx(0.1, rel=0.05)
