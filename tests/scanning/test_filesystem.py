# SPDX-License-Identifier: Apache-2.0
"""F1 to F15 of the register of bad inputs, as a scan meets them. One archive holds what can lie in one folder."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from auricle.audio import source
from auricle.audio.listing import Entry
from auricle.scanning import folder as scan_folder
from auricle.scanning.task import Task

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2
LONG = "long" + "x" * 247 + ".wav"


def obey_permissions():
    """Let the next program obey file permissions even if it runs as root."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
    libc.prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH, 0, 0, 0)


def command_line(*words, **options):
    command = [sys.executable, "-m", "auricle", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, preexec_fn=obey_permissions, **options
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A folder with everything that F1 to F9 name, hard links of one good recording where a good one will do."""
    import numpy as np
    import soundfile

    root = tmp_path_factory.mktemp("f") / "archive"
    root.mkdir()
    good = root / "good.wav"
    soundfile.write(good, np.tile(np.array([0.25, -0.25], np.float32), 500), 1000, subtype="FLOAT")
    (root.parent / "outside").mkdir()
    shutil.copy(good, root.parent / "outside" / "secret.wav")
    shutil.copy(good, root / "locked.wav")
    (root / "locked.wav").chmod(0)
    for name in (
        "new\nline.wav",
        "=cmd.wav",
        "-q.wav",
        "\U0001f415.wav",
        LONG,
        "CASE.wav",
        "case.wav",
        "caf\u00e9.wav",
        "cafe\u0301.wav",
    ):
        os.link(good, root / name)
    os.link(good, os.fsencode(root) + b"/caf\xe9.wav")
    (root / "loop.wav").symlink_to("loop.wav")
    (root / "dangling.wav").symlink_to("nothing.wav")
    (root / "deep").mkdir()
    os.link(good, root / "deep" / "inside.wav")
    (root / "deep" / "up").symlink_to(root)
    (root / "way_out.wav").symlink_to(root.parent / "outside" / "secret.wav")
    (root / "closed").mkdir(mode=0)
    os.mkfifo(root / "pipe.wav")
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(root)  # the path of a socket is short
    listener.bind("socket.wav")
    os.chdir(here)
    (root / "folder.wav").mkdir()
    yield root
    listener.close()
    (root / "closed").chmod(0o700)


@pytest.fixture(scope="module")
def scanned(archive, model):
    """The results of one scan of the archive, by base name, with the finished process and its folder."""
    out = archive.parent / "out"
    done = command_line("tag", archive, "--model", model, "--out", out, "--jobs", 1)
    lines = [json.loads(line) for line in (out / "scores.jsonl").read_text().splitlines()]
    found = {Path(line["path"]).name: line for line in lines}
    assert len(found) == len(lines)
    return found, done, out


def verdict(scanned, name):
    line = scanned[0][name]
    return line["error"]["code"] if line["error"] is not None else tuple(flag["code"] for flag in line["flags"])


def test_f1_a_name_that_is_not_utf8(scanned):
    assert verdict(scanned, "caf\\udce9.wav") == ()
    assert scanned[0]["caf\\udce9.wav"]["duration"] == 1.0


@pytest.mark.parametrize("name", ["new\nline.wav", "=cmd.wav", "-q.wav", "\U0001f415.wav", LONG])
def test_f2_strange_names(scanned, name):
    assert verdict(scanned, name) == ()


def test_f2_strange_names_are_escaped_in_csv(archive, model, auricle, monkeypatch):
    names = [archive / "new\nline.wav", "=cmd.wav"]
    monkeypatch.chdir(archive)
    out = auricle("tag", *names, "--model", model, "--format", "csv", "--top", 1).out
    assert f'"{archive}/new\nline.wav",1,quiet,0.75,,,' in out
    assert "\n'=cmd.wav,1,quiet" in out


@pytest.mark.parametrize("name", ["CASE.wav", "case.wav", "caf\u00e9.wav", "cafe\u0301.wav"])
def test_f3_twins(scanned, name):
    assert verdict(scanned, name) == ("name_collision",)


@pytest.mark.parametrize("name", ["loop.wav", "dangling.wav"])
def test_f4_links_to_nothing(scanned, name):
    assert verdict(scanned, name) == "broken_link"


def test_f5_a_loop_of_folders_is_visited_once(scanned):
    assert sum(Path(line["path"]).name == "inside.wav" for line in scanned[0].values()) == 1
    assert not any("/up/" in line["path"] for line in scanned[0].values())


def test_f6_a_link_out_of_the_folder_is_not_followed_and_said(scanned):
    assert "way_out.wav" not in scanned[0]
    assert "1 links lead out of their folder and are not followed (see --follow-links)" in scanned[1].stderr


@pytest.mark.parametrize("name", ["locked.wav", "closed"])
def test_f7_what_may_not_be_read(scanned, name):
    assert verdict(scanned, name) == "permission"


@pytest.mark.parametrize("name", ["pipe.wav", "socket.wav"])
def test_f8_pipes_and_sockets_do_not_hang(scanned, name):
    assert verdict(scanned, name) == "not_regular"


def test_f9_a_folder_called_like_a_recording(scanned):
    assert verdict(scanned, "folder.wav") == "not_regular"


def test_every_failure_is_counted_and_the_exit_code_tells(scanned):
    found, done, out = scanned
    assert done.returncode == 1
    summary = json.loads((out / "summary.json").read_text())
    assert summary["failures"] == {"broken_link": 2, "not_regular": 3, "permission": 2}
    assert summary["flags"]["name_collision"] == 4
    assert (summary["inputs"], summary["done"], summary["failed"]) == (len(found), len(found) - 7, 7)
    assert len((out / "failures.jsonl").read_text().splitlines()) == 7
    assert "7 failed: not_regular 3, broken_link 2, permission 2 (see failures.jsonl)" in done.stderr


def test_f10_a_file_that_disappears_after_the_listing(model, recordings, auricle, tmp_path, monkeypatch):
    real = scan_folder.start_journal

    def start(*arguments):
        real(*arguments)
        (recordings / "a.wav").unlink()

    monkeypatch.setattr(scan_folder, "start_journal", start)
    auricle("tag", recordings, "--model", model, "--out", tmp_path / "out")
    failures = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [failure["code"] for failure in failures] == ["vanished", "not_audio"]


def test_f11_a_file_that_changes_while_it_is_read(model, recordings, monkeypatch):
    from auricle.runtime import detector

    real = detector.open_input

    def open_and_touch(x, *rest):
        opened = real(x, *rest)
        os.utime(x, ns=(1, 1))
        return opened

    monkeypatch.setattr(detector, "open_input", open_and_touch)
    record = Task("tag", model).open()(Entry(str(recordings / "a.wav")))
    assert [flag["code"] for flag in record["flags"]] == ["changed"]


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
def test_f12_a_share_that_fails_is_tried_again_and_then_an_io_error(code, model, recordings, monkeypatch):
    work = Task("tag", model).open()
    entry = Entry(str(recordings / "a.wav"))
    tries = []

    def fails(*_):
        tries.append(1)
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(source.time, "sleep", lambda _: None)
    monkeypatch.setattr(source.os, "pread", fails)
    assert work(entry)["error"]["code"] == "io_error"
    assert len(tries) >= 4
    monkeypatch.undo()
    assert work(entry)["error"] is None


def test_f13_a_folder_without_recordings_stops_before_the_work(auricle, model, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").touch()
    done = auricle("tag", tmp_path / "notes", "--model", model, "--out", tmp_path / "out")
    assert done.code == 2
    assert "no recording in folder" in done.err
    assert "found .txt (1); looked for .aac" in done.err
    again = auricle("tag", tmp_path / "notes", "--model", model, "--out", tmp_path / "out")
    assert "no recording in folder" in again.err, "nothing is left that would be in the way"


def test_f14_the_listing_is_not_held(model, tmp_path, monkeypatch):
    """The journal takes the entries one by one; that the listing gives them so is tested with it."""
    from auricle.journal import open_journal, start_journal

    alive = []

    class Counted(str):
        __slots__ = ()

        def __del__(self):
            alive.pop()

    def items():
        for i in range(1_000):
            alive.append(i)
            yield Counted(i)
            assert len(alive) <= 2

    start_journal(tmp_path, {}, items())
    with open_journal(tmp_path, {}) as journal:
        assert journal.total == 1_000


def test_f15_a_folder_that_cannot_be_written_stops_at_the_start(archive, model):
    readonly = archive.parent / "readonly"
    readonly.mkdir(mode=0o555)
    done = command_line("tag", archive / "good.wav", "--model", model, "--out", readonly / "out")
    assert done.returncode == 2
    assert f"--out {readonly}/out: cannot write there (Permission denied); choose another folder" in done.stderr


def test_f15_a_disk_that_is_too_small_stops_at_the_start(auricle, model, recordings, tmp_path, monkeypatch):
    monkeypatch.setattr(scan_folder.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1_000))
    done = auricle("tag", recordings, "--model", model, "--out", tmp_path / "out")
    assert done.code == 2
    assert "0 MB are free, and 3 results take at least" in done.err


def test_f15_a_disk_that_fills_up_stops_cleanly_and_the_scan_goes_on_later(
    auricle, model, recordings, tmp_path, monkeypatch
):
    from auricle import journal

    real, calls = os.write, iter([True])

    def write(handle, data):
        if Path(f"/proc/self/fd/{handle}").readlink().name != "records" or next(calls, False):
            return real(handle, data)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal.os, "write", write)
    done = auricle("tag", recordings, "--model", model, "--out", tmp_path / "out")
    assert done.code == 1
    assert (
        "No space left on device after 1 of 3, which are kept; free some space, then continue with --resume" in done.err
    )
    assert not (tmp_path / "out" / "scores.jsonl").exists()
    monkeypatch.undo()
    again = auricle("tag", recordings, "--model", model, "--out", tmp_path / "out", "--resume")
    assert "going on: 1 of 3 are done" in again.err
    assert len((tmp_path / "out" / "scores.jsonl").read_text().splitlines()) == 3
