# SPDX-License-Identifier: Apache-2.0
"""Atomic writes, hashes, JSON, and the folder lock."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from auricle import files
from auricle.errors import RunError, UsageError
from auricle.files import (
    FolderLock,
    atomic_write,
    read_json,
    require_space,
    sha256_bytes,
    sha256_file,
    sweep_orphans,
    write_json,
)

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_atomic_write_bytes_and_writer(tmp_path):
    path = tmp_path / "a.bin"
    atomic_write(path, b"one")
    assert path.read_bytes() == b"one"
    atomic_write(os.fsencode(path), lambda file: file.write(b"two") and None)
    assert path.read_bytes() == b"two"
    assert names_in(tmp_path) == ["a.bin"]


def test_atomic_write_respects_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        atomic_write(tmp_path / "a", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_atomic_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def half(file):
        file.write(b"ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, half)
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.bin"]


def test_atomic_write_orders_its_steps(tmp_path, monkeypatch):
    """The file must be on the disk before the rename, and the folder after it."""
    steps = []
    real_fsync = os.fsync

    def fsync(handle):
        steps.append("folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file")
        steps.append((tmp_path / "a").exists())
        real_fsync(handle)

    monkeypatch.setattr(files.os, "fsync", fsync)
    atomic_write(tmp_path / "a", b"x")
    assert steps == ["file", False, "folder", True]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = (
        "import os, signal, sys; from auricle.files import atomic_write\n"
        "def write(file): file.write(b'new'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic_write(sys.argv[1], write)"
    )
    result = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert result.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_hashes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "empty").touch()
    assert sha256_file(tmp_path / "a") == sha256_bytes(b"abc") == ABC_SHA256
    assert sha256_file(tmp_path / "empty") == sha256_bytes(b"") == EMPTY_SHA256
    (tmp_path / "large").write_bytes(b"x" * 3_000_000)
    assert sha256_file(tmp_path / "large") == sha256_bytes(b"x" * 3_000_000)


def test_json_round_trip_keeps_order_and_text(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": ["ü", None, 0.1]})
    assert path.read_text(encoding="utf-8").startswith('{\n  "b": 1,\n  "a": [\n    "ü",')
    assert path.read_text(encoding="utf-8").endswith("}\n")
    assert read_json(path) == {"b": 1, "a": ["ü", None, 0.1]}


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_damaged_json(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.json is no valid JSON: "):
        read_json(tmp_path / "a.json")


# --- FolderLock -------------------------------------------------------------------------------------------------------


def lock_of(folder, **changes):
    with FolderLock(folder):
        holder = json.loads((folder / "lock").read_text())
    (folder / "lock").write_text(json.dumps({**holder, **changes}))


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_lock_is_held_and_given_back(tmp_path):
    folder = tmp_path / "new"
    with FolderLock(folder):
        holder = json.loads((folder / "lock").read_text())
        assert (holder["pid"], holder["host"]) == (os.getpid(), socket.gethostname())
        with pytest.raises(RunError, match=f"is in use by process {os.getpid()} on .*; wait for it or choose another"):
            FolderLock(folder).__enter__()
    assert names_in(folder) == []


def test_lock_is_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyError), FolderLock(tmp_path):
        raise KeyError
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("changes", [{"boot": "another"}, {"pid": -1}, {"pid": "x"}, {"pid": "dead"}])
def test_stale_lock_is_taken_over(tmp_path, changes):
    lock_of(tmp_path, **({"pid": dead_pid()} if changes == {"pid": "dead"} else changes))
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert names_in(tmp_path) == []


def test_r16_a_number_that_was_given_to_another_process_is_stale(tmp_path):
    """A container that starts again has the same host, boot and numbers of processes."""
    lock_of(tmp_path, pid=os.getpid(), started="1")
    with FolderLock(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["started"] not in ("", "1")


def test_r16_a_process_that_waits_to_be_buried_holds_no_lock(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet buried
    lock_of(tmp_path, pid=process.pid, started="")
    with FolderLock(tmp_path):
        pass
    process.wait()


# --- orphans and space


def orphan(folder, name: str, age_s: float = 0.0):
    path = folder / name
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_r22_what_killed_writers_left_is_swept(tmp_path):
    code = (
        "import os, signal, sys; from auricle.files import atomic_write\n"
        "def write(file): file.write(b'new'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic_write(sys.argv[1], write)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.bin")], check=False)
    assert len(names_in(tmp_path)) == 1, "the kill left its temporary file"
    assert sweep_orphans(tmp_path) == 1
    assert names_in(tmp_path) == []


def test_r22_the_temporary_of_a_live_writer_stays(tmp_path):
    inside = []
    atomic_write(tmp_path / "a", lambda _: inside.append(sweep_orphans(tmp_path)))
    assert inside == [0]
    assert names_in(tmp_path) == ["a"]


def test_r22_temporaries_from_elsewhere_are_swept_when_they_are_old(tmp_path):
    young = orphan(tmp_path, ".auricle-1-00000000-0123456789abcdef.tmp")
    orphan(tmp_path, ".auricle-1-00000000-0123456789abcdee.tmp", age_s=90_000)
    orphan(tmp_path, ".auricle-0123456789abcdef.tmp", age_s=90_000)
    (tmp_path / ".auricle-notes.txt").write_text("of the user")
    assert sweep_orphans(tmp_path) == 2
    assert names_in(tmp_path) == sorted([young.name, ".auricle-notes.txt"])


def test_r22_half_made_folders_are_swept_too(tmp_path):
    name = f".auricle-{dead_pid()}-{files._machine()}-0123456789abcdef.tmp"
    (tmp_path / name).mkdir()
    (tmp_path / name / "model.onnx").write_bytes(b"")
    assert sweep_orphans(tmp_path) == 1
    assert names_in(tmp_path) == []


def test_a_folder_that_is_not_there_has_no_orphans(tmp_path):
    assert sweep_orphans(tmp_path / "none") == 0


def test_r1_too_little_space_is_refused_with_both_figures(tmp_path, monkeypatch):
    require_space(tmp_path, 1, "a checkpoint")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=2_500_000))
    with pytest.raises(RunError) as caught:
        require_space(tmp_path, 7_000_000, "a run with its checkpoints")
    assert str(caught.value) == (
        f"{tmp_path} has 2.5 MB of free disk space, and a run with its checkpoints needs 7.0 MB; "
        "free some space or choose another folder"
    )


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_damaged_lock_is_taken_over(tmp_path, content):
    (tmp_path / "lock").write_text(content)
    with FolderLock(tmp_path):
        pass
    assert names_in(tmp_path) == []


def test_lock_of_another_host_is_respected(tmp_path):
    lock_of(tmp_path, host="elsewhere", pid=4_000_000)
    with pytest.raises(RunError, match="is in use by process 4000000 on elsewhere"):
        FolderLock(tmp_path).__enter__()


def test_lock_of_a_live_process_is_respected_and_survives(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        lock_of(tmp_path, pid=process.pid, started="")
        with pytest.raises(RunError, match=f"by process {process.pid}"):
            FolderLock(tmp_path).__enter__()
        assert (tmp_path / "lock").exists()
    finally:
        process.kill()
        process.wait()
