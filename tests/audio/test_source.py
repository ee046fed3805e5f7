# SPDX-License-Identifier: Apache-2.0
"""What a file system can do to a reader: each case has one verdict, and none hangs."""

from __future__ import annotations

import errno
import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from helpers.badfiles import wav

from auricle.audio import source as source_module
from auricle.audio.decode import open_audio, read_audio
from auricle.audio.source import MemorySource
from auricle.audio.view import View
from auricle.errors import InputError


def fifo(folder):
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


def unix_socket(folder):
    os.chdir(folder)  # a socket's name may have 108 bytes only
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.wav")
    return folder / "s.wav"


def folder_called_wav(folder):
    (folder / "x.wav").mkdir()
    return folder / "x.wav"


def self_link(folder):
    (folder / "loop.wav").symlink_to("loop.wav")
    return folder / "loop.wav"


def dangling_link(folder):
    (folder / "gone.wav").symlink_to("nowhere.wav")
    return folder / "gone.wav"


def below_a_file(folder):
    (folder / "a.wav").write_bytes(wav())
    return folder / "a.wav" / "b.wav"


FAILURES = [
    ("F4 loop", self_link, "broken_link", "a symbolic link to itself"),
    ("F4 dangling", dangling_link, "broken_link", "a symbolic link to nothing; restore its target"),
    ("F8 pipe", fifo, "not_regular", "a named pipe, not a regular file"),
    ("F8 socket", unix_socket, "not_regular", "a socket, not a regular file"),
    ("F8 device", lambda folder: Path("/dev/zero"), "not_regular", "a device, not a regular file"),
    ("F9 folder", folder_called_wav, "not_regular", "a folder, not a regular file; give its files"),
    ("absent", lambda folder: folder / "absent.wav", "not_found", "no such file; check the path"),
    ("long name", lambda folder: folder / ("x" * 300), "not_found", "longer than the file system allows"),
    ("below a file", below_a_file, "not_found", "a part of the path is no folder"),
    ("NUL", lambda folder: "a\0b.wav", "not_found", "it holds a NUL byte"),
]


@pytest.mark.parametrize(("make", "code", "text"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES])
def test_failures(make, code, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=text) as caught:
        read_audio(make(tmp_path))
    assert caught.value.code == code


NAMES = [
    b"\xff\xfe.wav",
    "new\nline.wav",
    "quo\"te's.wav",
    "-rf.wav",
    "=cmd|calc.wav",
    "\N{DOG FACE}.wav",
    "x" * 251 + ".wav",
    " .wav",
]


@pytest.mark.parametrize(
    "name", NAMES, ids=[f"F{1 if isinstance(name, bytes) else 2}-{i}" for i, name in enumerate(NAMES)]
)
@pytest.mark.parametrize("form", [os.fsencode, os.fsdecode, Path])
def test_any_name_is_read(name, form, tmp_path):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(wav())
    audio = read_audio(form(path))
    assert (audio.duration, audio.flags) == (2.0, ())
    assert audio.path == os.fsdecode(path), "so that it can be opened again"


def test_f7_permission(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(wav())

    def refuse(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(source_module.os, "open", refuse)
    with pytest.raises(InputError, match="Permission denied: this user may not read it; change its perm") as caught:
        read_audio(tmp_path / "a.wav")
    assert caught.value.code == "permission"


def test_f10_vanished(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(wav())
    real_open = os.open

    def vanish(name, *args, **options):
        path.unlink()
        return real_open(name, *args, **options)

    monkeypatch.setattr(source_module.os, "open", vanish)
    with pytest.raises(InputError, match="the file disappeared while it was opened") as caught:
        read_audio(path)
    assert caught.value.code == "vanished"


@pytest.mark.parametrize("change", ["grows", "touched", "removed"])
def test_f11_changed(change, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav())
    with open_audio(path, block_s=0.5) as reader:
        next(iter(reader))
        if change == "grows":
            with path.open("ab") as file:
                file.write(b"\0" * 100)
        elif change == "touched":
            os.utime(path, (1, 1))
        else:
            path.unlink()
        list(reader)
    assert [flag.code for flag in reader.flags] == ["changed"]


def test_f11_growing_object():
    file = io.BytesIO(wav())
    with open_audio(file, block_s=0.5) as reader:
        next(iter(reader))
        file.seek(0, os.SEEK_END)
        file.write(b"\0" * 100)
        list(reader)
    assert [flag.code for flag in reader.flags] == ["changed"]


def failing_pread(monkeypatch, failures, code=errno.EIO):
    """Make the next ``failures`` reads fail, and note the pauses instead of sleeping."""
    real_pread, pauses, left = os.pread, [], [failures]

    def pread(*args):
        if left[0] > 0:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return real_pread(*args)

    monkeypatch.setattr(source_module.os, "pread", pread)
    monkeypatch.setattr(source_module.time, "sleep", pauses.append)
    return pauses


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
@pytest.mark.parametrize("failures", [1, 2, 3])
def test_f12_three_retries_help(failures, code, tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(wav())
    pauses = failing_pread(monkeypatch, failures, code)
    assert read_audio(tmp_path / "a.wav").flags == ()
    assert pauses == list(source_module.RETRY_PAUSES_S[:failures])


def test_f12_then_it_is_an_io_error(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(wav())
    pauses = failing_pread(monkeypatch, 4)
    with pytest.raises(
        InputError, match="Input/output error: the file system failed 4 times; check the disk"
    ) as caught:
        read_audio(tmp_path / "a.wav")
    assert caught.value.code == "io_error"
    assert pauses == list(source_module.RETRY_PAUSES_S)


def test_f12_inside_the_decoder_it_is_never_called_corrupt(tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    path.write_bytes(wav(np.zeros(1_000_000)))
    with open_audio(path, block_s=1.0) as reader:
        next(iter(reader))
        failing_pread(monkeypatch, 1_000_000)
        with pytest.raises(InputError) as caught:
            list(reader)
    assert caught.value.code == "io_error"


def test_f12_at_opening(tmp_path, monkeypatch):
    (tmp_path / "a.wav").write_bytes(wav())
    monkeypatch.setattr(source_module.time, "sleep", lambda pause: None)

    def stale(*args, **options):
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(source_module.os, "open", stale)
    with pytest.raises(InputError, match="Stale file handle") as caught:
        read_audio(tmp_path / "a.wav")
    assert caught.value.code == "io_error"


def test_files_are_closed_again(tmp_path):
    (tmp_path / "good.wav").write_bytes(wav())
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        read_audio(tmp_path / "good.wav")
        with pytest.raises(InputError):
            read_audio(tmp_path / "bad.wav")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_view_joins_header_and_part():
    view = View(MemorySource(b"0123456789"), b"ab", 3, 7)
    assert view.read() == b"ab3456"
    assert view.seek(-2, os.SEEK_END) == 4
    assert view.read(10) == b"56"
    assert view.seek(1) == 1
    assert view.read(2) == b"b3"
    assert view.tell() == 3
    assert view.seek(100) == 100
    assert view.read(1) == b""
