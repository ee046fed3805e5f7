# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.synth.demo_scene import assemble

RATE = 1_000


def tone(samples, level=1.0):
    return (level * np.sin(np.arange(samples))).astype(np.float32)


def test_events_say_exactly_where_the_sounds_are():
    scene, events = assemble(
        [("a", tone(500)), ("b", tone(300))], 3.0, sample_rate=RATE, snr_db=40, background_db=-60, seed=1
    )
    assert scene.shape == (3_000,)
    assert scene.dtype == np.float32
    loud = np.zeros(3_000, bool)
    for event in events:
        loud[round(event.onset * RATE) : round(event.offset * RATE)] = True
    assert {(e.label, round(e.offset - e.onset, 6), e.score) for e in events} == {("a", 0.5, 1.0), ("b", 0.3, 1.0)}
    assert loud.sum() == 800
    assert np.sqrt(np.mean(scene[~loud] ** 2)) == pytest.approx(0.001, rel=0.1)
    assert np.sqrt(np.mean(scene[loud] ** 2)) == pytest.approx(0.1, rel=0.05)


def test_the_ratio_to_the_noise_does_not_depend_on_the_level_of_the_clip():
    scenes = [assemble([("a", tone(500, level))], 1.0, sample_rate=RATE, seed=3)[0] for level in (0.01, 1.0)]
    np.testing.assert_allclose(scenes[0], scenes[1], atol=1e-6)


def test_a_scene_never_clips():
    scene, _ = assemble([("a", tone(500))], 1.0, sample_rate=RATE, snr_db=40, background_db=-20)
    assert np.abs(scene).max() == pytest.approx(0.99)


def test_a_scene_without_sounds_is_its_noise():
    scene, events = assemble([], 1.0, sample_rate=RATE)
    assert events == ()
    assert 0 < np.abs(scene).max() < 0.02


def test_sounds_rise_and_fall():
    """An even sound of a second that rises for a fifth of it: half as high after a tenth."""
    even = np.ones(1_000, np.float32)
    scene, (event,) = assemble([("a", even)], 3.0, sample_rate=RATE, snr_db=60, background_db=-80, fade_s=0.2, seed=2)
    begin = round(event.onset * RATE)
    assert scene[begin + 100] / scene[begin + 500] == pytest.approx(0.5, abs=0.01)
    assert scene[begin + 900] / scene[begin + 500] == pytest.approx(0.5, abs=0.01)


def test_a_recording_is_repeated_behind_the_sounds_at_the_level_of_the_noise():
    scene, _ = assemble([], 1.0, sample_rate=RATE, background_db=-20, background=tone(300, 0.7))
    assert np.sqrt(np.mean(scene**2)) == pytest.approx(0.1, rel=0.05)
    np.testing.assert_allclose(scene[:300], scene[300:600], atol=1e-6)


def test_equal_seeds_equal_scenes():
    clips = [("a", tone(100)), ("b", tone(100))]
    (a, events_a), (b, events_b), (c, _) = (assemble(clips, 1.0, sample_rate=RATE, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert events_a == events_b
    assert not np.array_equal(a, c)


@given(st.lists(st.integers(1, 200), max_size=5), st.integers(0, 50))
def test_sounds_never_overlap_and_keep_their_distance(lengths, seed):
    _, events = assemble([(str(i), tone(n)) for i, n in enumerate(lengths)], 2.5, sample_rate=RATE, seed=seed)
    assert len(events) == len(lengths)
    edges = [0.0, *(edge for e in events for edge in (e.onset, e.offset)), 2.5]
    assert edges == sorted(edges)
    assert all(b.onset - a.offset >= 0.3 - 1e-9 for a, b in pairwise(events))


def test_clips_that_do_not_fit():
    with pytest.raises(ValueError, match="the clips need 1200 samples and gaps of 300, the scene has 1000"):
        assemble([("a", tone(600)), ("b", tone(600))], 1.0, sample_rate=RATE)
