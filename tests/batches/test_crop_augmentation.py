# SPDX-License-Identifier: Apache-2.0
"""Augmentation: drawn apart from applied, replayable, and doing what it says."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from auricle.batches.augment.augmentation import Placement
from auricle.batches.augment.crop import (
    NOISE_BANK_SAMPLES,
    NOISE_COLOURS,
    Plan,
    augment_waveform,
    change_speed,
    draw_plan,
    equalise,
    level_weights,
    mask_features,
    noise_bank,
    take_crop,
)
from auricle.recipe.schema import AugmentSection

RATE = 16_000
OFF = AugmentSection(
    mixup_alpha=0, shift=False, speed=(1, 1), time_mask_ms=0, freq_mask_mels=0, gain_db=0, noise_snr_db=None
)
FULL = {
    "shift": True,
    "speed": (0.85, 1.15),
    "time_mask_ms": 200.0,
    "freq_mask_mels": 8,
    "masks": 2,
    "gain_db": 6.0,
    "noise_snr_db": (10.0, 40.0),
    "noise_share": 1.0,
}
STILL = Plan(Placement(), gain=1.0, noise=None, masks=np.zeros((2, 0, 2), np.float32))


def draw(spec: AugmentSection, seed: int = 0) -> Plan:
    return draw_plan(spec, np.random.default_rng(seed), clip_ms=1_000, n_mels=64)


def draws(spec: AugmentSection, count: int = 300) -> list[Plan]:
    return [draw(spec, seed) for seed in range(count)]


def peak_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * RATE / len(samples)


def field_of(plan: Plan, name: str):
    return getattr(plan.place if name in Placement._fields else plan, name)


# --- drawing


def test_a_draw_can_be_replayed(tone):
    spec = AugmentSection(**FULL)
    first, second = draw(spec, 7), draw(spec, 7)
    clip = tone(1.0)
    assert np.array_equal(take_crop(clip, 8_000, first.place), take_crop(clip, 8_000, second.place))
    assert np.array_equal(augment_waveform(clip, 0.3, first), augment_waveform(clip, 0.3, second))
    assert np.array_equal(first.masks, second.masks)
    assert draw(spec, 8).place.start != first.place.start


@pytest.mark.parametrize(
    "changes",
    [
        {"shift": False},
        {"speed": (1.0, 1.0)},
        {"gain_db": 0.0},
        {"noise_snr_db": None},
        {"noise_share": 0.0},
        {"time_mask_ms": 0.0},
        {"freq_mask_mels": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_setting_changes_its_own_part_and_nothing_else(changes):
    """Every draw consumes the same randomness, so switching one thing off leaves the others as they were."""
    field = {"noise_snr_db": "noise", "noise_share": "noise", "gain_db": "gain"}.get(next(iter(changes)))
    field = field or ("masks" if "mask" in next(iter(changes)) else next(iter(changes)))
    whole, changed = AugmentSection(**FULL), AugmentSection(**{**FULL, **changes})
    for seed in range(5):
        rngs = [np.random.default_rng(seed) for _ in range(2)]
        before, after = (draw_plan(spec, rng, 1_000, 64) for spec, rng in zip((whole, changed), rngs, strict=True))
        assert rngs[0].bit_generator.state == rngs[1].bit_generator.state
        same = [n for n in ("start", "shift", "speed", "gain", "noise") if n != field]
        assert [field_of(before, n) for n in same] == [field_of(after, n) for n in same]
        assert np.array_equal(before.masks, after.masks) == (field != "masks")
        assert field == "masks" or field_of(before, field) != field_of(after, field)


def test_ranges_are_kept_and_used():
    plans = draws(AugmentSection(gain_db=6, speed=(0.8, 1.25), noise_snr_db=(10, 30), noise_share=0.25))
    gains_db = np.array([20 * np.log10(p.gain) for p in plans])
    speeds = np.array([p.place.speed for p in plans])
    snrs_db = np.array([-20 * np.log10(p.noise[2]) for p in plans if p.noise is not None])
    assert -6 <= gains_db.min() < -5 < 5 < gains_db.max() <= 6
    assert 0.8 <= speeds.min() < 0.83 < 1.2 < speeds.max() <= 1.25
    assert np.median(np.log(speeds)) == pytest.approx(0, abs=0.03)  # as often slower as faster
    assert 10 <= snrs_db.min() < 12 < 28 < snrs_db.max() <= 30
    assert len(snrs_db) / len(plans) == pytest.approx(0.25, abs=0.08)
    assert {p.noise[0] for p in plans if p.noise is not None} == set(range(len(NOISE_COLOURS)))
    assert all(0 <= p.place.start < 1 and 0 <= p.place.shift < 1 for p in plans)


def test_everything_off_leaves_a_crop_alone(tone):
    plan = draw(OFF)
    assert (plan.place.shift, plan.place.speed, plan.gain, plan.noise) == (0.0, 1.0, 1.0, None)
    clip = tone(1.0)
    assert np.array_equal(augment_waveform(take_crop(clip, len(clip), plan.place), plan.place.shift, plan), clip)
    assert plan.masks[..., 1].max() == 0


def test_masks_are_at_most_as_wide_as_asked():
    plans = draws(AugmentSection(time_mask_ms=200, freq_mask_mels=16, masks=3))
    start, width = (np.stack([p.masks[..., i] for p in plans]) for i in range(2))
    assert start.shape == (300, 2, 3)
    assert 0.19 < width[:, 0].max() <= 0.2  # of 1000 ms
    assert 0.24 < width[:, 1].max() <= 0.25  # of 64 mels
    assert start.min() >= 0
    assert (start + width).max() <= 1 + 1e-6
    wider = draw(AugmentSection(time_mask_ms=5_000, masks=2)).masks[0]
    assert (wider[:, 0] + wider[:, 1]).max() <= 1 + 1e-6


# --- cropping and speed


def test_a_crop_starts_anywhere_and_never_runs_out():
    samples = np.arange(100, dtype=np.float32)
    starts = {int(take_crop(samples, 40, Placement(start=s))[0]) for s in np.linspace(0, 0.9999, 500)}
    assert starts == set(range(61))
    assert take_crop(samples, 200, Placement()).tolist() == samples.tolist()
    assert take_crop(samples, 100, Placement(start=0.99)).tolist() == samples.tolist()


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 2.0])
def test_speed_moves_a_tone(tone, speed):
    fast = change_speed(tone(2.0, frequency=1_000), speed, RATE)
    assert len(fast) == min(RATE, int((2 * RATE - 1) / speed))
    assert peak_hz(fast) == pytest.approx(1_000 * speed, abs=RATE / len(fast))


def test_speed_reads_between_samples():
    assert change_speed(np.array([0, 1, 2, 4], np.float32), 0.5, 10).tolist() == [0, 0.5, 1, 1.5, 2, 3]
    assert change_speed(np.array([0, 1, 2, 4, 8], np.float32), 2.0, 10).tolist() == [0, 2]


@pytest.mark.parametrize("speed", [0.85, 1.0, 1.15])
def test_a_crop_at_any_speed_fills_the_clip_if_the_recording_is_long_enough(speed):
    samples = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    for start in (0.0, 0.5, 0.999999):
        assert len(take_crop(samples, 8_000, Placement(start=start, speed=speed))) == 8_000
    assert len(take_crop(samples[:1], 8_000, Placement(speed=speed))) == 1
    short = take_crop(samples[:4_000], 8_000, Placement(speed=speed))
    assert len(short) == pytest.approx(4_000 / speed, abs=2)


def test_speed_stays_exact_in_long_recordings():
    """Read from a ramp, a sample is its own position; in float32, positions are 1/16 apart after a minute."""
    ramp = np.arange(1_500_000) % 1_000
    read = change_speed(ramp.astype(np.float32), 1.17, 1_200_000)[-5_000:]
    position = (np.arange(1_195_000, 1_200_000) * 1.17) % 1_000
    inside = position < 999
    np.testing.assert_allclose(read[inside], position[inside], atol=1e-3)


# --- roll, gain, noise


def test_shift_rolls_the_end_to_the_start():
    clip = np.arange(8, dtype=np.float32)
    assert augment_waveform(clip, 0.25, STILL).tolist() == [6, 7, 0, 1, 2, 3, 4, 5]


def test_gain_scales_and_the_input_stays():
    clip = np.ones(4, np.float32)
    assert augment_waveform(clip, 0.0, replace(STILL, gain=0.5)).tolist() == [0.5] * 4
    assert clip.tolist() == [1] * 4
    out = augment_waveform(clip, 0.0, STILL)
    out[0] = 9
    assert clip[0] == 1


@pytest.mark.parametrize("colour", range(len(NOISE_COLOURS)))
@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_has_the_asked_ratio_to_the_signal(tone, colour, snr_db):
    clip = tone(5.0)
    noisy = augment_waveform(clip, 0.0, replace(STILL, gain=0.7, noise=(colour, 12_345, 10 ** (-snr_db / 20))))
    noise = noisy - np.float32(0.7) * clip
    measured = 20 * np.log10(np.std(0.7 * clip) / np.sqrt(np.mean(noise**2)))
    assert measured == pytest.approx(snr_db, abs=1.5)  # a part of the bank is not as loud as the whole


def test_silence_gets_no_noise():
    assert not augment_waveform(np.zeros(100, np.float32), 0.0, replace(STILL, noise=(0, 0, 1.0))).any()


def test_noise_of_a_clip_longer_than_the_bank():
    clip = np.ones(NOISE_BANK_SAMPLES + 100, np.float32)
    noisy = augment_waveform(clip, 0.0, replace(STILL, noise=(0, 5, 0.1)))
    assert len(noisy) == len(clip)
    assert np.std(noisy - clip) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(("colour", "fall_db"), [(0, 0.0), (1, -3.01), (2, -6.02)])
def test_noise_falls_by_its_colour(colour, fall_db):
    bank = noise_bank(colour)
    assert np.sqrt(np.mean(bank.astype(np.float64) ** 2)) == pytest.approx(1, abs=1e-4)
    power = np.abs(np.fft.rfft(bank.astype(np.float64))) ** 2
    bands = [power[1 << k : 2 << k].mean() for k in range(8, 17)]  # octaves
    assert 10 * np.log10(bands[-1] / bands[0]) / 8 == pytest.approx(fall_db, abs=0.35)


# --- frequency responses and masks


def test_an_equaliser_is_a_straight_line_in_decibels():
    features = torch.zeros(2, 3, 4)
    coloured = equalise(features, torch.tensor([[0.0, 10.0], [20.0, 20.0]])) / math.log(10)
    assert coloured[0, :, 1].tolist() == pytest.approx([0.0, 0.5, 1.0])  # 10 dB are a power of ten
    assert coloured[1].flatten().tolist() == pytest.approx([2.0] * 12)


def test_without_points_an_equaliser_changes_nothing():
    features = torch.rand(2, 3, 4)
    assert equalise(features, torch.zeros(2, 0)) is features


def test_responses_are_drawn_within_their_range_and_change_no_other_draw():
    plain, coloured = draw(AugmentSection()), draw(AugmentSection(equaliser_db=8))
    assert (plain.equaliser.shape, coloured.equaliser.shape) == ((0,), (5,))
    assert 0 < np.abs(coloured.equaliser).max() <= 8
    others = [f.name for f in fields(Plan) if f.name not in ("equaliser", "masks")]
    assert [getattr(coloured, name) for name in others] == [getattr(plain, name) for name in others]
    assert np.array_equal(coloured.masks, plain.masks)
    assert not np.array_equal(coloured.equaliser, draw(AugmentSection(equaliser_db=8), seed=1).equaliser)


def test_shares_of_loudness_by_hand():
    own, partner = torch.ones(1, 100), torch.full((1, 100), 0.1)
    first, second = level_weights(own, partner, torch.tensor([0.5]))
    assert first.item() == pytest.approx(0.1 * second.item())  # both are as loud as the other in the mix
    assert first.item() ** 2 + second.item() ** 2 == pytest.approx(1)
    first, second = level_weights(own, partner, torch.tensor([1.0]))
    assert (first.item(), second.item()) == (1.0, 0.0)


def test_in_a_mix_the_loudness_of_both_is_as_their_shares():
    generator = torch.Generator().manual_seed(0)
    own, partner = (torch.randn(8, 5_000, generator=generator) * torch.rand(8, 1, generator=generator) for _ in "ab")
    share = torch.rand(8, generator=generator)
    first, second = level_weights(own, partner, share)
    loud = [w.square().unflatten(1, (50, 100)).mean(2).amax(1).sqrt() for w in (first * own, second * partner)]
    torch.testing.assert_close(loud[0] / loud[1], share / (1 - share))


def test_a_short_bark_is_as_loud_as_a_long_one_and_silence_is_no_error():
    long = torch.ones(1, 1_000)
    short = torch.zeros(1, 1_000)
    short[:, 500:520] = 1
    first, second = level_weights(long, short, torch.tensor([0.5]))
    assert first.item() == pytest.approx(second.item())
    shares = level_weights(torch.zeros(1, 1_000), torch.zeros(1, 1_000), torch.tensor([0.7]))
    assert all(torch.isfinite(s).all() for s in shares)


def test_masks_cover_what_they_say_with_the_mean():
    features = torch.arange(40, dtype=torch.float32).reshape(1, 4, 10)
    masks = torch.tensor([[[[0.2, 0.3]], [[0.5, 0.25]]]])  # frames 2 to 4, mel 2
    masked = mask_features(features, masks)
    covered = masked != features
    expected = torch.zeros(4, 10, dtype=torch.bool)
    expected[:, 2:5] = True
    expected[2, :] = True
    assert torch.equal(covered[0], expected)
    assert (masked[covered] == features.mean()).all()


def test_each_clip_has_its_own_masks():
    features = torch.rand(2, 4, 10)
    masks = torch.tensor([[[[0.0, 0.1]], [[0.0, 0.0]]], [[[0.9, 0.1]], [[0.0, 0.0]]]])
    covered = (mask_features(features, masks) != features).any(1)
    assert covered.nonzero().tolist() == [[0, 0], [1, 9]]


@pytest.mark.parametrize("masks", [torch.zeros(1, 2, 0, 2), torch.zeros(1, 2, 3, 2)])
def test_no_mask_and_masks_of_no_width_change_nothing(masks):
    features = torch.rand(1, 4, 10)
    assert torch.equal(mask_features(features, masks), features)
