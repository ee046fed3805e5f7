# SPDX-License-Identifier: Apache-2.0
"""Copies made before training: replayable, in their shares, and what a room does."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.audio.codecs import CODECS, pass_codec
from auricle.batches.augment.offline import DECAY_S, DIRECT_DB, CopyPlan, draw_copy, make_copy, put_into_room
from auricle.recipe.schema import AugmentSection

RATE = 16_000
SPEC = AugmentSection(copies=2, room_share=0.5, codec_share=0.5, codecs=tuple(CODECS))


def test_a_copy_is_a_function_of_its_place(tone):
    plan = draw_copy(SPEC, 3, 17, 1)
    assert draw_copy(SPEC, 3, 17, 1) == plan
    assert len({draw_copy(SPEC, *place) for place in ((3, 17, 1), (3, 17, 2), (3, 18, 1), (4, 17, 1))}) > 1
    sound = tone(0.5)
    assert np.array_equal(make_copy(sound, RATE, plan), make_copy(sound, RATE, plan))


def test_shares_and_ranges_are_kept_and_used():
    plans = [draw_copy(SPEC, 0, clip, 1) for clip in range(600)]
    rooms, codecs = [p.room for p in plans if p.room], [p.codec for p in plans if p.codec]
    assert len(rooms) / 600 == pytest.approx(0.5, abs=0.07)
    assert len(codecs) / 600 == pytest.approx(0.5, abs=0.07)
    assert {name for name, _ in codecs} == set(CODECS)
    for number, (low, high) in enumerate((DECAY_S, DIRECT_DB)):
        values = [room[number] for room in rooms]
        assert low <= min(values) < low + 0.1 * (high - low) < high - 0.1 * (high - low) < max(values) <= high
    assert draw_copy(AugmentSection(copies=1), 0, 5, 1) == CopyPlan(None, None)


def test_the_room_comes_before_the_codec(tone):
    sound, room = tone(0.3), (0.2, 3.0, 9)
    both = make_copy(sound, RATE, CopyPlan(room, ("mulaw", 0.5)))
    assert np.array_equal(both, pass_codec(put_into_room(sound, RATE, *room), RATE, "mulaw"))
    assert np.array_equal(make_copy(sound, RATE, CopyPlan(None, None)), sound)


def test_a_click_rings_for_the_decay_time_at_the_asked_level():
    click = np.zeros(RATE, np.float32)
    click[100] = 1
    out = put_into_room(click, RATE, 0.5, 6.0, 1)
    assert not out[:99].any() or np.abs(out[:99]).max() < 1e-6
    direct, tail = out[100] ** 2, np.square(out[101:], dtype=np.float64)
    assert 10 * np.log10(direct / tail.sum()) == pytest.approx(6, abs=0.1)
    early, late = tail[:800].mean(), tail[4_000:4_800].mean()  # a quarter of a second later: 30 dB less
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=1.5)
    assert np.sqrt(np.mean(out**2)) == pytest.approx(np.sqrt(np.mean(click**2)), rel=1e-4)


def test_silence_in_a_room_is_silent():
    assert not put_into_room(np.zeros(500, np.float32), RATE, 0.2, 5.0, 0).any()
