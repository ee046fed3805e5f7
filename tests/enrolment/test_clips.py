# SPDX-License-Identifier: Apache-2.0
"""What is kept of a recording that is enrolled."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from auricle.data.manifest import Clip
from auricle.enrolment.backbone import open_backbone
from auricle.enrolment.clips import (
    SCENE_S,
    active_frames,
    dump_enrolled,
    enrol_clip,
    make_scene,
    parse_enrolled,
)
from auricle.errors import BundleError, InputError
from auricle.runtime.detector import load
from auricle.synth.activity import loudest

RATE = 16_000


def burst(seconds: float, *, onset: float = 0.0, total: float | None = None, pitch: float = 700.0) -> np.ndarray:
    """Return a tone in silence."""
    samples = np.zeros(round((seconds if total is None else total) * RATE), np.float32)
    time = np.arange(round(seconds * RATE)) / RATE
    start = round(onset * RATE)
    samples[start : start + len(time)] = 0.3 * np.sin(2 * np.pi * pitch * time)
    return samples


def test_the_loudest_part_of_a_recording():
    samples = np.zeros(100, np.float32)
    samples[60:70] = 1
    assert loudest(samples, 10).tolist() == [1.0] * 10
    assert len(loudest(samples, 200)) == 100


def test_a_scene_has_the_sound_where_its_truth_says():
    scene, truth = make_scene(burst(1.5, onset=2, total=5), RATE, seed=3)
    assert len(scene) == SCENE_S * RATE
    assert truth.shape == (1, 2)
    onset, offset = truth[0]
    assert offset - onset == pytest.approx(1.5, abs=0.05)
    inside = scene[round(onset * RATE) : round(offset * RATE)]
    outside = np.concatenate([scene[: round((onset - 0.05) * RATE)], scene[round((offset + 0.05) * RATE) :]])
    assert np.sqrt(np.mean(inside**2)) > 1.9 * np.sqrt(np.mean(outside**2)), "6 dB at least"


def test_one_cry_with_a_short_breath_is_one_event_and_two_far_apart_are_two():
    near = burst(1, total=4) + burst(1, onset=1.3, total=4)
    far = burst(0.5, total=4) + burst(0.5, onset=2, total=4)
    assert len(make_scene(near, RATE, seed=0)[1]) == 1
    assert len(make_scene(far, RATE, seed=0)[1]) == 2


def test_a_click_too_short_to_be_a_region_is_in_the_scene():
    click = np.zeros(2 * RATE, np.float32)
    click[RATE : RATE + 8] = 0.5
    truth = make_scene(click, RATE, seed=0)[1]
    assert len(truth) == 1
    assert truth[0, 1] - truth[0, 0] == pytest.approx(2.0)


def test_a_scene_is_a_function_of_recording_and_seed():
    sound = burst(1)
    assert np.array_equal(make_scene(sound, RATE, seed=1)[0], make_scene(sound, RATE, seed=1)[0])
    assert not np.array_equal(make_scene(sound, RATE, seed=1)[0], make_scene(sound, RATE, seed=2)[0])


def test_loud_frames_are_where_the_sound_is():
    backbone = open_backbone()
    sound = burst(0.8, onset=2, total=5)
    active = active_frames(sound, backbone, 62)
    assert (active * 0.08 >= 1.9).all()
    assert (active * 0.08 <= 2.85).all()
    assert 9 <= len(active) <= 12


def test_vectors_are_what_the_model_computes_in_use():
    """Windows and margins are those of `tag` and `detect`."""
    sound = np.random.default_rng(0).standard_normal(30 * RATE).astype(np.float32) * 0.05
    backbone = open_backbone()
    clips, frames = backbone.vectors(sound)
    detector = load("general")
    assert len(clips) == 3
    assert len(frames) == len(detector.frames(sound, RATE).values)
    first, _ = backbone.vectors(sound[: backbone.spec.hop_samples + backbone.spec.margin_samples])
    np.testing.assert_allclose(first[0], clips[0], atol=1e-4)


@pytest.fixture
def enrolled(tmp_path):
    found = []
    for number, label in enumerate((("dog",), ("dog", "rain"), ())):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, burst(0.5 + number, pitch=300 + 400 * number), RATE)
        clip = Clip(path.name, str(path), label, negative=not label, group="g" if number else None)
        found.append(enrol_clip(clip, None, open_backbone()))
    return found


def test_what_is_stored_is_read_back(enrolled):
    again = parse_enrolled(dump_enrolled(enrolled, "net"), "net", "m")
    assert [(c.id, c.name, c.label, c.group) for c in again] == [(c.id, c.name, c.label, c.group) for c in enrolled]
    assert [c.group for c in again] == ["0.wav", "g", "g"]
    for one, other in zip(enrolled, again, strict=True):
        for name in ("views", "frames", "scene", "truth"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_clips_of_another_network_and_damage_are_refused(enrolled):
    content = dump_enrolled(enrolled, "net")
    with pytest.raises(BundleError, match=r"m was enrolled with another built-in model .*enrol its clips again"):
        parse_enrolled(content, "other", "m")
    with pytest.raises(BundleError, match=r"m: enrolled\.npz is damaged"):
        parse_enrolled(content[:-200], "net", "m")


def test_silence_shows_nothing(tmp_path):
    path = tmp_path / "quiet.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    with pytest.raises(InputError, match=r"quiet.wav is digital silence") as caught:
        enrol_clip(Clip("quiet.wav", str(path), ("dog",)), None, open_backbone())
    assert caught.value.code == "no_audio"
