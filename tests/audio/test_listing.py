# SPDX-License-Identifier: Apache-2.0
"""Which recordings files, folders and patterns name; the numbers F1 to F14 are those of the register of bad inputs."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from auricle.audio import listing
from auricle.audio.listing import Entry, Listing
from auricle.errors import UsageError
from auricle.results import Failure, Flag


def paths(inputs, **options):
    return [entry.path for entry in Listing(inputs, **options)]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.wav", "a.FLAC", "notes.txt", ".hidden.wav", "._b.wav", "sub/c.Mp3", "sub/deep/d.ogg", ".git/e.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folder_is_searched_below_and_sorted(tree):
    assert paths(["."]) == ["./a.FLAC", "./b.wav", "./sub/c.Mp3", "./sub/deep/d.ogg"]


def test_named_files_are_kept_whatever_they_are(tree):
    named = ["notes.txt", "-", ".hidden.wav", "absent.wav", "b.wav"]
    assert paths(named) == named


def test_patterns(tree):
    assert paths(["*.wav", "sub/**/*.ogg"]) == ["b.wav", "sub/deep/d.ogg"]
    (tree / "[1].wav").touch()
    assert paths(["[1].wav"]) == ["[1].wav"], "a file of that very name"


def test_pattern_without_match(tree):
    with pytest.raises(UsageError, match=r"no file matches '\*\.aiff'; check the pattern, or quote it"):
        paths(["*.aiff"])


def test_f5_link_loops_are_visited_once(tree):
    (tree / "sub" / "loop").symlink_to(tree)
    (tree / "sub" / "again").symlink_to(tree / "sub")
    found = paths([str(tree)])
    assert len(found) == len(set(found)) == 4


def test_f4_links_to_nothing_and_to_themselves_are_reported_when_they_are_read(tree):
    (tree / "z.wav").symlink_to("z.wav")
    (tree / "y.wav").symlink_to("/nowhere/y.wav")
    assert paths(["."])[-2:] == ["./y.wav", "./z.wav"]


def test_f13_folder_without_recordings_says_what_it_holds(tmp_path):
    for name in ("a.txt", "b.txt", "c.pdf", "README"):
        (tmp_path / name).touch()
    with pytest.raises(
        UsageError, match=r"found \.txt \(2\).*\.pdf \(1\).*\(no extension\) \(1\)|found \.txt \(2\)"
    ) as caught:
        paths([str(tmp_path)])
    assert "looked for .aac" in caught.value.message
    assert "\n" not in caught.value.message


def test_f13_empty_folder(tmp_path):
    with pytest.raises(UsageError, match="found nothing; looked for"):
        paths([str(tmp_path)])


def test_f1_names_that_are_not_utf8(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.wav")).touch()
    (found,) = Listing([str(tmp_path)])
    assert os.fsencode(found.path).endswith(b"/\xff.wav")
    assert Entry.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_f3_twins_stand_side_by_side_and_name_each_other(tmp_path):
    for name in ("a.wav", "B.wav", "b.WAV", "caf\u00e9.wav", "cafe\u0301.wav", "d.wav", "D.txt"):
        (tmp_path / name).touch()
    found = {Path(entry.path).name: entry.flags for entry in Listing([str(tmp_path)])}
    assert list(found) == ["a.wav", "B.wav", "b.WAV", "cafe\u0301.wav", "caf\u00e9.wav", "d.wav"]
    assert found["B.wav"] == (Flag("name_collision", {"with": "b.WAV"}),)
    assert found["b.WAV"] == (Flag("name_collision", {"with": "B.wav"}),)
    assert [flag.code for flag in found["caf\u00e9.wav"]] == ["name_collision"]
    assert found["a.wav"] == found["d.wav"] == ()


def test_f6_links_that_lead_out_are_followed_only_when_asked(tmp_path):
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "a.wav").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "in.wav").touch()
    (root / "inside.wav").symlink_to("in.wav")
    (root / "out.wav").symlink_to(tmp_path / "elsewhere" / "deep" / "a.wav")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    found = Listing([str(root)])
    assert [Path(entry.path).name for entry in found] == ["in.wav", "inside.wav"]
    assert found.links_outside == 2
    followed = paths([str(root)], follow_links=True)
    assert [os.path.relpath(path, root) for path in followed] == [
        "folder/deep/a.wav",
        "in.wav",
        "inside.wav",
        "out.wav",
    ]


def test_f6_nothing_but_links_that_lead_out(tmp_path):
    (tmp_path / "a.wav").touch()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "out.wav").symlink_to(tmp_path / "a.wav")
    with pytest.raises(UsageError, match=r"found 1 links that lead out of it \(--follow-links follows them\); looked"):
        paths([str(tmp_path / "root")])


def test_f7_a_folder_that_cannot_be_listed_is_an_entry_with_its_error(tree, monkeypatch):
    real = os.scandir

    def scandir(folder):
        if str(folder).endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(folder)

    monkeypatch.setattr(listing.os, "scandir", scandir)
    (failed,) = [entry for entry in Listing(["."]) if entry.error is not None]
    assert (failed.path, failed.error.code) == ("./sub/deep", "permission")
    assert failed.error.message.startswith("the folder cannot be listed: Permission denied: this user may not read it")
    assert Entry.from_json(json.loads(json.dumps(failed.to_json()))) == failed


def test_f9_a_folder_with_the_name_of_a_recording_is_an_entry(tmp_path):
    (tmp_path / "x.wav").mkdir()
    (tmp_path / "x.wav" / "inside.wav").touch()
    assert [Path(path).name for path in paths([str(tmp_path)])] == ["x.wav"]


def test_f12_a_share_that_fails_for_a_moment_is_tried_again(tree, monkeypatch):
    real, failures = os.scandir, iter([errno.EIO, errno.ESTALE])

    def scandir(folder):
        if (code := next(failures, None)) is not None:
            raise OSError(code, os.strerror(code))
        return real(folder)

    monkeypatch.setattr(listing.os, "scandir", scandir)
    monkeypatch.setattr("time.sleep", lambda _: None)
    assert len(paths(["."])) == 4


def test_f12_a_share_that_stays_away_is_an_io_error(tree, monkeypatch):
    monkeypatch.setattr(listing.os, "scandir", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    monkeypatch.setattr("time.sleep", lambda _: None)
    (entry,) = Listing(["."])
    assert (entry.path, entry.error.code) == (".", "io_error")


def test_listing_starts_before_it_ends(tree, monkeypatch):
    seen = []
    real = os.scandir
    monkeypatch.setattr(listing.os, "scandir", lambda folder: seen.append(folder) or real(folder))
    assert next(iter(Listing(["."]))).path == "./a.FLAC"
    assert seen == ["."]


def test_folders_may_be_nested_more_deeply_than_calls(tmp_path, monkeypatch):
    depth = 1_200
    monkeypatch.chdir(tmp_path)
    try:
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        Path("x.wav").touch()
        os.chdir(tmp_path)
        assert paths(["."]) == ["./" + "d/" * depth + "x.wav"]
    finally:  # pytest could not: it removes folders by recursion
        os.chdir(tmp_path)
        subprocess.run(["rm", "-rf", "d"], check=True)


class Named:
    """A directory entry without a file system."""

    def __init__(self, name):
        self.name = name

    def is_dir(self):
        return False

    def is_symlink(self):
        return False


class Scandir:
    def __init__(self, count):
        # Multiples of a prime modulo a power of two: every name once, in no order.
        self.names = (Named(f"{i * 7_919 % count:06d}.wav") for i in range(count))

    def __enter__(self):
        return self.names

    def __exit__(self, *_):
        return None


#: In a process of its own: what other tests left behind allocates too.
MEASURE = """
import sys, tracemalloc
sys.path.insert(0, sys.argv[2])
from auricle.audio import listing
from test_listing import Scandir
listing.SORTED_IN_MEMORY = 500
for count in (1_000, 1 << 13):  # the first round imports
    listing.os.scandir = lambda _: Scandir(count)
    tracemalloc.start()
    right = sum(entry.path.endswith(f"/{i:06d}.wav") for i, entry in enumerate(listing.Listing([sys.argv[1]])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
print(right, peak)
"""


def test_f14_a_folder_of_any_size_takes_little_memory(tmp_path):
    words = [sys.executable, "-c", MEASURE, str(tmp_path), str(Path(__file__).parent)]
    right, peak = map(int, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    assert right == 1 << 13
    assert peak < 1e6, "names in memory would take some 2 MB"


@pytest.mark.parametrize(
    "entry",
    [
        Entry("a.wav"),
        Entry("a.wav", named=True),
        Entry("a.wav", flags=(Flag("name_collision", {"with": "A.wav"}),)),
        Entry("a.wav", error=Failure("permission", "no")),
    ],
)
def test_an_entry_survives_json(entry):
    assert Entry.from_json(json.loads(json.dumps(entry.to_json()))) == entry
