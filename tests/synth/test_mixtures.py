# SPDX-License-Identifier: Apache-2.0
"""Mixtures: functions of (seed, number), within their part, at any rate the same sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auricle.audio.resample import resample
from auricle.data.manifest import Clip
from auricle.errors import InputError
from auricle.synth.mixtures import MixRules, Mixture, MixtureSources, Part, render_mixture

RULES = MixRules(count=200, seed=3, clip_s=0.5)
PARTS = ("1", "1", "2", "2", "2")
SOURCES = MixtureSources(RULES, tuple(Clip(f"{i}.wav", f"/{i}.wav") for i in range(9)), PARTS)


def test_a_mixture_is_a_function_of_seed_and_number():
    assert SOURCES.draw(17) == SOURCES.draw(17)
    assert SOURCES.draw(17) != SOURCES.draw(18)
    other = replace(SOURCES, rules=replace(RULES, seed=4))
    assert other.draw(17) != SOURCES.draw(17)


def test_labelled_recordings_are_mixed_within_their_part_and_with_the_pool():
    mixtures = [SOURCES.draw(number) for number in range(RULES.count)]
    parts = [{PARTS[s] for s in m.sources if s < len(PARTS)} for m in mixtures]
    assert max(map(len, parts)) == 1
    assert {frozenset(p) for p in parts} == {frozenset(), frozenset({"1"}), frozenset({"2"})}
    assert {s for m in mixtures for s in m.sources} == set(range(9))
    assert 0.1 < np.mean([len(m.parts) == 1 for m in mixtures]) < 0.3
    assert 0.15 < np.mean([m.parts[0].source >= len(PARTS) for m in mixtures]) < 0.35


def test_a_pool_alone_is_mixed_with_itself():
    pool = replace(SOURCES, parts=())
    assert all(pool.draw(number).parts for number in range(20))
    with pytest.raises(ValueError, match="there is nothing to mix"):
        MixtureSources(RULES, (), ()).draw(0)


def test_levels_by_hand():
    """Two constant sounds of equal level: the second lies 20 dB below, the peak at -6.02 dB."""
    mixture = Mixture(0, (Part(0, 0, 1.0, 0, 0.0), Part(1, 0, 1.0, 0, -20.0)), peak_db=20 * np.log10(2))
    found = render_mixture(mixture, lambda i: np.full(10, (0.3, 0.7)[i], np.float32), 4)
    np.testing.assert_allclose(found, [0.5] * 4, atol=1e-6)
    silent = render_mixture(mixture, lambda i: np.full(10, (0.0, 0.7)[i], np.float32), 4)
    np.testing.assert_allclose(silent, [0.5] * 4, atol=1e-6)
    assert render_mixture(mixture, lambda _: np.zeros(10, np.float32), 4).tolist() == [0, 0, 0, 0]


def test_a_short_recording_is_repeated_and_the_roll_wraps():
    mixture = Mixture(0, (Part(0, 0, 1.0, 0.25, 0.0),), peak_db=0)
    found = render_mixture(mixture, lambda _: np.array([1, 2, 3, 4], np.float32), 8)
    assert (found * 3).round(5).tolist() == [1, 2, 1, 2, 3, 1, 2, 3]  # interpolation ends before the last sample
    assert render_mixture(mixture, lambda _: np.array([1], np.float32), 2).tolist() == [1, 1]


def test_teacher_and_student_hear_the_same_at_their_rates():
    rng = np.random.default_rng(0)
    low = [np.convolve(rng.standard_normal(40_000), np.ones(16) / 16, "same").astype(np.float32) for _ in range(9)]
    at = {16_000: [resample(x, 32_000, 16_000) for x in low], 32_000: low}
    mixture = SOURCES.draw(5)
    high = SOURCES.make(mixture, lambda clip: at[32_000][int(clip.key[0])], 32_000)
    found = SOURCES.make(mixture, lambda clip: at[16_000][int(clip.key[0])], 16_000)
    assert (len(high), len(found)) == (16_000, 8_000)
    middle = slice(500, -500)
    assert np.corrcoef(resample(high, 32_000, 16_000)[middle], found[middle])[0, 1] > 0.98


def test_an_absent_recording_is_named():
    gone = replace(SOURCES, clips=(None,) * 9)
    with pytest.raises(InputError, match=r"mixture 5 needs recording \d, which is not in the data"):
        gone.make(gone.draw(5), lambda _: np.zeros(1, np.float32), 8_000)


def test_rules_survive_json():
    assert MixRules.from_dict(RULES.to_dict()) == RULES
