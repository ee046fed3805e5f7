# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from auricle.cli.main import main
from auricle.data.clip_audio import read_clip
from auricle.data.formats.registry import read_manifest
from auricle.data.splits import make_split
from auricle.errors import DataError
from auricle.results import Flag


def problems_of(path, **options):
    with pytest.raises(DataError) as caught:
        read_manifest(path, **options)
    return caught.value.problems


def test_class_folders_nested_with_any_ending_in_order(tmp_path, wav, write):
    for name in ("dog/b.WAV", "dog/deep/er/a.wav", "cat/a.Flac", "Other/n.wav", ".hidden/x.wav", "dog/._b.wav"):
        wav(tmp_path / name)
    write(tmp_path / "dog" / "readme.txt", "no audio")
    manifest = read_manifest(tmp_path)
    assert (manifest.format, manifest.task, manifest.labels, manifest.negatives) == (
        "folders",
        "single",
        ("cat", "dog"),
        1,
    )
    assert [(c.key, c.label) for c in manifest.clips] == [
        ("Other/n.wav", ()),
        ("cat/a.Flac", ("cat",)),
        ("dog/b.WAV", ("dog",)),
        ("dog/deep/er/a.wav", ("dog",)),
    ]
    assert all(c.group is None and c.split is None for c in manifest.clips)


def test_parts_above_the_classes(tmp_path, wav):
    for name in (
        "Train/dog/a.wav",
        "Train/cat/b.wav",
        "validation/dog/c.wav",
        "test/cat/d.wav",
        "test/_negative_/e.wav",
    ):
        wav(tmp_path / name)
    manifest = read_manifest(tmp_path)
    assert {c.key: c.split for c in manifest.clips} == {
        "Train/cat/b.wav": "train",
        "Train/dog/a.wav": "train",
        "test/_negative_/e.wav": "test",
        "test/cat/d.wav": "test",
        "validation/dog/c.wav": "dev",
    }
    assert manifest.negatives == 1


def test_a_class_beside_the_parts_is_a_problem(tmp_path, wav):
    for name in ("train/dog/a.wav", "train/cat/b.wav", "bird/c.wav"):
        wav(tmp_path / name)
    assert problems_of(tmp_path) == ("folder 'bird' stands beside train/; move it into one of the parts",)


def test_files_in_no_class_folder_are_flagged_empty_folders_noted(tmp_path, wav):
    for name in ("dog/a.wav", "cat/b.wav", "loose.wav"):
        wav(tmp_path / name)
    (tmp_path / "bird").mkdir()
    manifest = read_manifest(tmp_path)
    assert manifest.flags == (Flag("unlisted_file", {"count": 1, "first": "loose.wav"}),)
    assert manifest.notes == ("folders without a recording: bird",)


def test_links_out_of_the_folder_are_left_out_unless_asked_for(tmp_path, wav):  # F6
    root = tmp_path / "set"
    for name in ("dog/a.wav", "cat/b.wav"):
        wav(root / name)
    wav(tmp_path / "away" / "far.wav")
    (root / "dog" / "far.wav").symlink_to(tmp_path / "away" / "far.wav")
    (root / "dog" / "near.wav").symlink_to(root / "cat" / "b.wav")
    (root / "dog" / "loop").symlink_to(root)
    manifest = read_manifest(root)
    assert [c.key for c in manifest.clips] == ["cat/b.wav", "dog/a.wav", "dog/near.wav"]
    assert manifest.notes == (
        "1 recordings are linked from outside the folder and were left out: dog/far.wav; --follow-links takes them",
    )
    assert len(read_manifest(root, follow_links=True)) == 4


def test_class_folders_that_are_links_are_found_and_taken_when_asked_for(tmp_path, wav):
    for name in ("dog/a.wav", "dog/b.wav", "cat/a.wav"):
        wav(tmp_path / "elsewhere" / name)
    root = tmp_path / "clips"
    root.mkdir()
    for name in ("dog", "cat"):
        (root / name).symlink_to(tmp_path / "elsewhere" / name)
    (root / "again").symlink_to(root)
    assert problems_of(root) == (
        "all 3 recordings are linked from outside the folder: cat/a.wav, dog/a.wav, dog/b.wav; "
        "--follow-links takes them",
    )
    manifest = read_manifest(root, follow_links=True)
    assert [(c.key, c.label) for c in manifest.clips] == [
        ("cat/a.wav", ("cat",)),
        ("dog/a.wav", ("dog",)),
        ("dog/b.wav", ("dog",)),
    ]


def test_the_command_line_takes_linked_recordings_when_asked_for(tmp_path, wav, capsys):
    root = tmp_path / "clips"
    for name in ("dog", "cat"):
        (root / name).mkdir(parents=True)
        for number in range(2):
            (root / name / f"{number}.wav").symlink_to(wav(tmp_path / f"{name}{number}.wav"))
    for arguments, code in ((["data", "check", str(root)], 2), (["data", "check", str(root), "--follow-links"], 0)):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert (caught.value.code or 0) == code
    heard = capsys.readouterr()
    assert "all 4 recordings are linked from outside the folder" in heard.out
    assert "4 clips, 2 classes" in heard.out


def test_a_dangling_link_is_a_missing_file(tmp_path, wav):
    for i in range(12):
        wav(tmp_path / "set" / "ab"[i % 2] / f"{i}.wav")
    (tmp_path / "set" / "a" / "gone.wav").symlink_to(tmp_path / "set" / "nowhere.wav")
    assert read_manifest(tmp_path / "set").flags == (Flag("missing_file", {"count": 1, "first": "a/gone.wav"}),)


def test_names_that_are_no_unicode(tmp_path, wav):  # F1
    for name in (b"a\xff.wav", b"b\xfe.wav", b"c.wav", b"d.wav"):
        wav(tmp_path / "dog" / os.fsdecode(name))
        wav(tmp_path / "cat" / f"{name[0]}.wav")
    manifest = read_manifest(tmp_path)
    assert [os.fsencode(c.key) for c in manifest.clips][-1] == b"dog/d.wav"
    assert b"dog/a\xff.wav" in [os.fsencode(c.key) for c in manifest.clips]
    assert len(manifest.data_hash) == 64
    split = make_split(manifest, dev_fraction=0.25)
    assert len(split.train) + len(split.dev) == 8
    assert read_clip(manifest.clips[4]).duration == 0.1


def test_nothing_to_hear_says_what_was_seen(tmp_path, write):  # F13
    write(tmp_path / "dog" / "a.txt", "x")
    write(tmp_path / "cat" / "b.txt", "x")
    assert problems_of(tmp_path, data_format="folders") == ("no recording in a class folder; seen: .txt: 2",)
    (problem,) = problems_of(tmp_path)
    assert problem.startswith("seen: .txt: 2; expected class folders, or a .csv")


def test_a_file_is_no_folder(tmp_path, wav):
    assert problems_of(wav(tmp_path / "a.wav"), data_format="folders") == (
        "expected a folder that holds one folder a class",
    )
