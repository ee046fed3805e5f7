# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os

import pytest

from auricle.data.paths import regular_size, resolve_listed, search_roots, suffixes_seen, unlisted


@pytest.fixture
def place(tmp_path, write):
    """A table's folder ``set/meta`` with audio where people put it."""
    for name in ("set/meta/a.wav", "set/meta/audio/b.wav", "set/audio/c.wav", "set/meta/deep/d.wav", "secret.wav"):
        write(tmp_path / name, "12345")
    return tmp_path / "set" / "meta"


@pytest.mark.parametrize(
    ("listed", "key", "where"),
    [
        ("a.wav", "a.wav", "a.wav"),
        ("./a.wav", "a.wav", "a.wav"),
        ("deep/d.wav", "deep/d.wav", "deep/d.wav"),
        ("deep\\d.wav", "deep/d.wav", "deep/d.wav"),
        ("deep/../a.wav", "a.wav", "a.wav"),
        ("b.wav", "b.wav", "audio/b.wav"),
        ("c.wav", "c.wav", "../audio/c.wav"),
        ("../audio/c.wav", "../audio/c.wav", "../audio/c.wav"),
    ],
)
def test_found_under_the_roots(place, listed, key, where):
    found = resolve_listed(listed, search_roots(place))
    assert (found.key, found.size_bytes) == (key, 5)
    assert (place / where).samefile(found.path)


def test_an_absolute_path_inside_is_made_relative(place):  # L18
    assert resolve_listed(str(place / "deep" / "d.wav"), search_roots(place)).key == "deep/d.wav"


@pytest.mark.parametrize(
    "listed", ["/etc/passwd", "../../secret.wav", "deep/../../../secret.wav", "..\\..\\secret.wav"]
)
def test_outside_is_refused(place, listed):  # L18
    with pytest.raises(ValueError, match=r"leads outside the data folder .*; write it relative to the table"):
        resolve_listed(listed, search_roots(place))


def test_a_windows_drive_is_refused(place):
    with pytest.raises(ValueError, match=r"is absolute; write it relative to the table"):
        resolve_listed("C:\\audio\\a.wav", search_roots(place))


@pytest.mark.parametrize("listed", ["", "  "])
def test_an_empty_path(place, listed):
    with pytest.raises(ValueError, match="the path is empty"):
        resolve_listed(listed, search_roots(place))


def test_an_absent_file_has_no_size_and_its_first_place(place):
    found = resolve_listed("none.wav", search_roots(place))
    assert found.size_bytes is None
    assert found.path == str(place / "none.wav")


def test_a_name_with_a_backslash_is_taken_as_it_is_if_it_exists(place, write):
    write(place / "odd\\name.wav", "1")
    assert resolve_listed("odd\\name.wav", search_roots(place)).path == str(place / "odd\\name.wav")


def test_folders_and_pipes_are_no_regular_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert regular_size(str(tmp_path)) is None
    assert regular_size(str(tmp_path / "pipe")) is None
    assert regular_size("a\0b") is None


def test_unlisted_looks_only_beside_listed_files(place):
    names = unlisted([str(place / "audio" / "other.wav"), str(place / "a.wav")], {".wav"})
    assert names == [str(place / "audio" / "b.wav")]


def test_suffixes_seen():
    assert suffixes_seen(["a.TXT", "b.txt", "c", "d.pdf"]) == ".txt: 2, .pdf: 1, without ending: 1"
