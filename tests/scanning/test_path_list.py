# SPDX-License-Identifier: Apache-2.0
"""``--list``: paths from a file or from stdin, taken to the letter."""

from __future__ import annotations

import io
import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest

import auricle as library
from auricle.errors import RunError, UsageError
from auricle.scanning.path_list import read_paths


def listed(tmp_path, content: bytes) -> list[str]:
    (tmp_path / "list.txt").write_bytes(content)
    return list(read_paths(str(tmp_path / "list.txt")))


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        (b"a.wav\nb c.wav\n", ["a.wav", "b c.wav"]),
        (b"a.wav\r\n\r\nb.wav", ["a.wav", "b.wav"]),
        (b"\xef\xbb\xbfa.wav\n", ["a.wav"]),
        (b" a.wav \n", [" a.wav "]),
        (b"a\nb.wav\0c.wav\0", ["a\nb.wav", "c.wav"]),
        (b"one.wav\0", ["one.wav"]),
        (b"-\n", ["./-"]),
        (b"n\xff.wav\n", ["n\udcff.wav"]),
    ],
)
def test_what_a_list_says(tmp_path, content, paths):
    assert listed(tmp_path, content) == paths


def test_lines_longer_than_a_block_and_lists_longer_than_many(tmp_path):
    names = [f"{i:06}/" + "x" * 100 for i in range(5_000)]
    assert listed(tmp_path, "\n".join(names).encode()) == names
    assert listed(tmp_path, "\0".join(names).encode()) == names


def test_memory_does_not_grow_with_the_list(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"recording.wav\n" * 500_000)
    tracemalloc.start()
    count = sum(1 for _ in read_paths(str(tmp_path / "list.txt")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 500_000
    assert peak < 2_000_000


def test_wrong_lists(tmp_path):
    with pytest.raises(UsageError, match=r"--list nowhere.txt: No such file or directory; check the path of the list"):
        list(read_paths("nowhere.txt"))
    with pytest.raises(UsageError, match="it holds no path; expected one a line, or ended by NUL"):
        listed(tmp_path, b"\n\r\n")
    with pytest.raises(UsageError, match=r"--list a.WAV: that is a recording; give it as INPUT"):
        list(read_paths("a.WAV"))
    with pytest.raises(UsageError, match=r"no list of paths: .* bytes without a line end"):
        listed(tmp_path, b"x" * 200_000)


def test_paths_are_no_patterns_and_folders_are_searched(auricle, model, recordings):
    odd = recordings / "take[1].wav"
    shutil.copy(recordings / "a.wav", odd)
    (recordings / "list.txt").write_text(f"{odd}\n{recordings / 'deep'}\nmissing.wav\n")
    done = auricle("tag", "--list", recordings / "list.txt", "--model", model, "--format", "csv", "--top", 1)
    rows = [line.split(",") for line in done.out.splitlines()[1:]]
    assert [Path(row[0]).name for row in rows] == ["take[1].wav", "b.wav", "missing.wav"]
    assert (done.code, rows[2][6]) == (1, "not_found")


def test_a_list_gives_what_the_paths_give(model, recordings, tmp_path):
    paths = [str(recordings / "a.wav"), str(recordings / "deep" / "b.wav")]
    (tmp_path / "list").write_bytes("\0".join(paths).encode())
    given = [result.to_dict() for result in library.scan(paths, model=model)]
    assert [result.to_dict() for result in library.scan(list_file=tmp_path / "list", model=model)] == given
    both = library.scan(paths[0], list_file=tmp_path / "list", model=model)
    assert [result.path for result in both] == [paths[0], *paths]


def test_stdin_as_a_list(auricle, model, recordings, monkeypatch):
    content = f"{recordings / 'a.wav'}\n".encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    done = auricle("detect", "--list", "-", "--model", model, "--format", "csv")
    assert (done.code, len(done.out.splitlines())) == (0, 4)
    done = auricle("detect", "-", "--list", "-", "--model", model)
    assert (done.code, done.err) == (2, "auricle: - (stdin) is the list and an input; it can be read once\n")


def test_a_scan_resumes_with_the_same_list_only(model, recordings, tmp_path):
    (tmp_path / "list").write_text(f"{recordings / 'a.wav'}\n")
    options = {"list_file": tmp_path / "list", "model": model, "out": tmp_path / "out"}
    assert library.scan(**options).total == 1
    assert library.scan(**options, resume=True).speed is None
    (tmp_path / "list").write_text(f"{recordings / 'deep'}\n")
    with pytest.raises(RunError, match="list"):
        library.scan(**options, resume=True)
