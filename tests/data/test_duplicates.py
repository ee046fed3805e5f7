# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from auricle.data.check import duplicates
from auricle.data.check.duplicates import crossing, find_duplicates
from auricle.data.manifest import Clip, Manifest


@pytest.fixture
def files(tmp_path, write):
    """Write files by content and return a manifest: ``files({"a": content}, split={"a": "train"})``."""

    def make(contents, split=None, fold=None):
        clips = []
        for key, content in contents.items():
            path = write(tmp_path / key, content)
            clips.append(
                Clip(key, str(path), split=(split or {}).get(key), fold=(fold or {}).get(key), size_bytes=len(content))
            )
        return Manifest(tmp_path, "csv", "single", (), tuple(clips))

    return make


def names(groups):
    return [tuple(Path(path).name for path in group) for group in groups]


def test_equal_content_under_other_names(files):  # A50
    manifest = files({"a": b"12345", "b": b"12345", "c": b"12346", "d": b"123456", "e": b"x" * 6, "f": b"x" * 6})
    assert names(find_duplicates(manifest)) == [("a", "b"), ("e", "f")]


def test_a_difference_outside_the_middle_counts(files):
    a, b = b"1" + b"0" * 60_000, b"2" + b"0" * 60_000
    assert find_duplicates(files({"a": a, "b": b})) == []


def test_segments_of_one_file_are_no_duplicates(files):
    manifest = files({"a": b"12345"})
    assert find_duplicates(Manifest(manifest.root, "csv", "single", (), manifest.clips * 2)) == []


def test_only_files_of_equal_size_are_opened(files, monkeypatch):
    monkeypatch.setattr(duplicates, "_middle_hash", lambda path: pytest.fail(f"opened {path}"))
    assert find_duplicates(files({"a": b"1", "b": b"22", "c": b"333"})) == []


def test_a_file_that_vanishes_is_left_out(files):
    manifest = files({"a": b"1", "b": b"1", "c": b"1"})
    Path(manifest.clips[2].path).unlink()
    assert names(find_duplicates(manifest)) == [("a", "b")]


def test_equal_audio_on_two_sides_is_named(files):
    contents = {"a": b"1", "b": b"1", "c": b"22", "d": b"22"}
    manifest = files(contents, split={"a": "train", "b": "test", "c": "dev", "d": "dev"})
    assert crossing(manifest, find_duplicates(manifest)) == [
        "the same audio stands in test and train: a = b; keep one",
    ]
    manifest = files(contents, fold={"a": "1", "b": "1", "c": "1", "d": "2"})
    assert crossing(manifest, find_duplicates(manifest)) == [
        "the same audio stands in fold 1 and fold 2: c = d; keep one",
    ]
    manifest = files(contents)
    assert crossing(manifest, find_duplicates(manifest)) == []
