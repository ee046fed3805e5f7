# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from auricle.data.manifest import Clip, Manifest
from auricle.data.trained_clips import DEV, TEST, TRAIN, clip_id, dump_clips, parse_clips, parts_of, worst_parts
from auricle.errors import BundleError, InputError, UsageError
from auricle.evaluation.held_out import choose_dev, choose_held_out, choose_readable, refuse_trained


@pytest.fixture
def clips(tmp_path):
    """Six recordings of different content; the last two as segments of one file."""
    found = []
    for i, name in enumerate("abcd"):
        (tmp_path / f"{name}.wav").write_bytes(bytes([i]) * 50)
        found.append(Clip(f"{name}.wav", str(tmp_path / f"{name}.wav"), label=("dog",), split="x" if i < 2 else "y"))
    (tmp_path / "long.wav").write_bytes(b"long" * 20)
    path = str(tmp_path / "long.wav")
    return found + [Clip("long.wav", path, label=("dog",), onset=t, offset=t + 5) for t in (0.0, 5.0)]


def manifest_of(clips) -> Manifest:
    return Manifest(Path("data"), "folders", "multi", ("dog",), tuple(clips))


def known_of(**parts) -> dict[str, str]:
    return parse_clips(dump_clips({name: parts.get(name, []) for name in ("train", "dev", "test")}), "m")


def keys(manifest: Manifest) -> list[str]:
    return [clip.key for clip in manifest.clips]


def test_a_recording_is_known_by_its_content_under_any_name(clips, tmp_path):
    known = known_of(train=clips[:1], dev=clips[1:2])
    moved = tmp_path / "moved.flac"
    moved.write_bytes(Path(clips[0].path).read_bytes())
    assert parts_of(known, [Clip("moved.flac", str(moved)), clips[1], clips[2]]) == ["train", "dev", None]


def test_segments_of_one_file_are_told_apart(clips):
    assert clip_id(clips[4]) != clip_id(clips[5])
    assert parts_of(known_of(train=[clips[4]]), clips[4:6]) == ["train", None]


def test_what_is_in_two_parts_was_trained_on(clips):
    assert parts_of(known_of(train=clips[:1], test=clips[:1]), clips[:1]) == ["train"]


def test_held_out_and_new_clips_are_scored_first(clips):
    chosen = choose_held_out(manifest_of(clips), known_of(train=clips[:2], dev=clips[2:3], test=clips[3:4]))
    assert keys(chosen.manifest) == ["d.wav", "long.wav", "long.wav"]
    assert (chosen.part, chosen.trained_on, chosen.left_out) == ("mixed", 0, 3)
    assert "held out or never had" in chosen.note
    assert "3 others of the data are left out (--split all" in chosen.note


def test_dev_is_scored_where_nothing_was_held_out(clips):
    chosen = choose_held_out(manifest_of(clips), known_of(train=clips[:4], dev=clips[4:]))
    assert (len(chosen.manifest), chosen.part, chosen.left_out) == (2, "dev", 4)
    assert "2 dev clips, which selected the weights: a little too good" in chosen.note


def test_training_clips_alone_are_scored_with_a_warning(clips):
    chosen = choose_held_out(manifest_of(clips[:3]), known_of(train=clips))
    assert (chosen.part, chosen.trained_on) == ("train", 3)
    assert chosen.note.startswith("WARNING: the model was trained on 3 of these 3 clips")
    assert chosen.details() == {"part": "train", "trained_on": 3}


def test_all_is_all_and_a_split_is_that_split_with_the_warning_they_deserve(clips):
    known = known_of(train=clips[:1], test=clips[1:])
    everything = choose_held_out(manifest_of(clips), known, split="all")
    assert (len(everything.manifest), everything.trained_on) == (6, 1)
    part = choose_held_out(manifest_of(clips), known, split="x")
    assert (keys(part.manifest), part.trained_on) == (["a.wav", "b.wav"], 1)


def test_a_folder_without_a_list_claims_nothing(clips):
    chosen = choose_held_out(manifest_of(clips), None)
    assert (len(chosen.manifest), chosen.note, chosen.details()) == (6, "", {})


def test_tuning_takes_the_dev_part_of_training_and_never_its_training_clips(clips):
    known = known_of(train=clips[:2], dev=clips[2:4])
    assert keys(choose_dev(manifest_of(clips), known)) == ["c.wav", "d.wav"]
    assert choose_dev(manifest_of(clips[:2]), known) is None
    refuse_trained(manifest_of(clips[2:4]), known, "--tune")
    with pytest.raises(UsageError, match=r"--tune with d: the model was trained on 2 of the 3 clips of the part dev"):
        refuse_trained(manifest_of(clips[:3]), known, "--tune with d")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"train": [1], "dev": [], "test": []}', b'{"train": []}', b"[" * 9999]
)
def test_a_damaged_list_is_said(content):
    with pytest.raises(BundleError, match=r"m: clips.json is damaged"):
        parse_clips(content, "m")


def test_an_absent_file_is_nobodys(tmp_path):
    assert clip_id(Clip("gone.wav", str(tmp_path / "gone.wav"))) == ""
    assert parts_of(known_of(), [Clip("gone.wav", str(tmp_path / "gone.wav"))]) == [None]
    assert np.all([not ids for ids in known_of().items()])


def write_sounds(clips) -> None:
    for seed, path in enumerate(sorted({clip.path for clip in clips})):
        soundfile.write(path, np.random.default_rng(seed).uniform(-1, 1, 80_000), 8_000)


@pytest.mark.parametrize("content", [b"", b"<html>404"])
def test_recordings_that_cannot_be_read_are_not_what_a_figure_is_about(clips, content):
    write_sounds(clips)
    for path, byte in ((clips[2].path, 1), (clips[3].path, 2)):
        Path(path).write_bytes(content * byte)  # new to the model, and no sound
    known, told = known_of(train=clips[:1], dev=[clips[1], *clips[4:]]), {}
    chosen = choose_readable(manifest_of(clips), known, on_failure=told.__setitem__)
    assert keys(chosen.manifest) == ["b.wav", "long.wav", "long.wav"]
    assert (chosen.part, sorted(chosen.unreadable), sorted(told)) == ("dev", ["c.wav", "d.wav"], ["c.wav", "d.wav"])
    assert chosen.details()["unreadable"] == 2
    with pytest.raises(InputError):
        choose_readable(manifest_of(clips[2:4]), known, on_failure=told.__setitem__)
    with pytest.raises(InputError):
        choose_readable(manifest_of(clips[:3]), known, split="y", on_failure=told.__setitem__)


def test_parts_of_a_recording_are_read_one_by_one(clips):
    write_sounds(clips)
    late = replace(clips[5], onset=500.0, offset=505.0)
    told = {}
    chosen = choose_readable(manifest_of([*clips[:5], late]), None, on_failure=told.__setitem__)
    assert keys(chosen.manifest) == ["a.wav", "b.wav", "c.wav", "d.wav", "long.wav"]
    assert list(told) == ["long.wav"]


def test_of_two_models_the_worse_part_counts():
    first, second = {"a": TRAIN, "b": TEST, "c": DEV}, {"a": TEST, "b": DEV, "d": TEST}
    assert worst_parts(first, second) == {"a": TRAIN, "b": DEV, "c": DEV, "d": TEST}
    assert worst_parts(first, None) == first
    assert worst_parts(None, second) == second
    assert worst_parts(None, None) is None
