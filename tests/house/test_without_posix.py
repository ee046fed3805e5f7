# SPDX-License-Identifier: Apache-2.0
"""The half without torch works where POSIX calls are missing, as on Windows: none of them is needed.

A process takes away what Windows does not have, behind the standard library, whose own branches for POSIX are loaded
before. Signal 0 is Ctrl-C there, so nobody may send it; and text is read as what it is, whatever the system prefers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import soundfile

#: The standard library and other packages have branches for each system: theirs for this one are loaded before.
AWAY = """
    import asyncio, multiprocessing.connection, multiprocessing.context, multiprocessing.reduction, multiprocessing.util
    import concurrent.futures.process, getpass, logging.handlers, netrc, os, platform, selectors, shutil, signal
    import socketserver, subprocess, sys, tarfile, tempfile, uuid, webbrowser
    import numpy, onnxruntime, pydantic, rich, rich.console, soundfile, soxr, typer, yaml
    for name in {preload!r}:
        __import__(name)

    MODULES = {{"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "crypt", "syslog"}}

    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in MODULES:
                raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Missing())
    for name in MODULES:
        sys.modules.pop(name, None)
    for name in (
        "fork forkpty register_at_fork pread pwrite preadv set_blocking getuid geteuid getgid getpgid setsid killpg "
        "sched_getaffinity sched_setaffinity statvfs mkfifo chown fchmod uname sysconf getloadavg nice wait3 waitid "
        "posix_fadvise O_DIRECTORY O_NONBLOCK O_CLOEXEC O_NOFOLLOW O_SYNC"
    ).split():
        if hasattr(os, name):
            delattr(os, name)
    for name in (
        "SIGKILL SIGHUP SIGQUIT SIGALRM SIGCHLD SIGUSR1 SIGUSR2 SIGPIPE SIGTSTP SIGCONT setitimer pthread_sigmask "
        "pthread_kill siginterrupt sigwait alarm pause"
    ).split():
        if hasattr(signal, name):
            delattr(signal, name)
    kill = os.kill

    def no_question(pid, number):
        assert number != 0, "signal 0 is Ctrl-C on Windows"
        kill(pid, number)

    os.kill = no_question
    signal.set_wakeup_fd = lambda fd, *, warn_on_full_buffer=True: -1  # takes pipes that wait there, and not here
"""


def run_as_on_windows(code: str, folder: Path, *preload: str) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(AWAY.format(preload=preload)) + textwrap.dedent(code)
    command = [sys.executable, "-X", "warn_default_encoding", "-W", "error::EncodingWarning:auricle", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, check=False)


@pytest.fixture
def folder(tmp_path):
    rate = 16_000
    time = np.arange(2 * rate) / rate
    for name, hertz in (("high", 2_000), ("low", 300)):
        (tmp_path / "clips" / name).mkdir(parents=True)
        for i in range(3):
            sound = (0.3 * np.sin(2 * np.pi * (hertz + 20 * i) * time)).astype(np.float32)
            soundfile.write(tmp_path / "clips" / name / f"{i}.wav", sound, rate)
    return tmp_path


def test_models_tag_detect_embed_and_are_enrolled(folder):
    done = run_as_on_windows(
        """
        import auricle
        from auricle.files import FolderLock, sync_folder
        from auricle.journal import open_journal

        auricle.enrol("clips/", out="models/mine")
        detector = auricle.load("models/mine")
        assert detector.tag("clips/high/0.wav").scores[0].label == "high"
        assert detector.detect("clips/low/0.wav")["low"]
        assert detector.embed("clips/low/0.wav").embedding.shape == (384,)
        assert len(list(auricle.scan("clips/", model="models/mine", jobs=2))) == 6
        with FolderLock("models"):
            sync_folder(__import__("pathlib").Path("models"))
        print("done")
        """,
        folder,
    )
    assert (done.stdout.splitlines()[-1:], done.returncode) == (["done"], 0), done.stderr


def test_the_command_line_and_its_signals(folder):
    done = run_as_on_windows(
        """
        sys.argv[1:] = ["tag", "clips/high/0.wav", "--format", "json", "--quiet"]
        from auricle.cli.main import run
        run()
        """,
        folder,
    )
    assert done.returncode == 0, done.stderr
    assert '"label": "Sine wave"' in done.stdout


def test_the_server_imports(folder):
    pytest.importorskip("uvicorn")
    done = run_as_on_windows(
        """
        import importlib, pkgutil
        import auricle.server
        for module in pkgutil.iter_modules(auricle.server.__path__, "auricle.server."):
            importlib.import_module(module.name)
        from auricle.server.run import raise_file_limit
        from auricle.server.settings import Settings
        raise_file_limit(Settings())
        print("done")
        """,
        folder,
        *("fastapi", "uvicorn"),
    )
    assert (done.stdout.strip(), done.returncode) == ("done", 0), done.stderr


def test_what_is_missing_is_seen(folder):
    assert "No module named 'fcntl'" in run_as_on_windows("import fcntl", folder).stderr
    assert "has no attribute 'fork'" in run_as_on_windows("os.fork()", folder).stderr
    assert "Ctrl-C" in run_as_on_windows("os.kill(os.getpid(), 0)", folder).stderr


def test_processes_on_windows_are_judged_by_their_exit_code(monkeypatch):
    """Windows's calls, as its documentation has them: 259 runs, others have ended, error 5 is a process of others."""
    import ctypes

    from auricle import files

    class Kernel:
        def __init__(self, handle: int, code: int, error: int = 0) -> None:
            self.handle, self.code, self.error, self.closed = handle, code, error, []

        def OpenProcess(self, access: int, inherit: bool, pid: int) -> int:
            assert (access, inherit, pid) == (0x1000, False, os.getpid())
            return self.handle

        def GetExitCodeProcess(self, handle: int, code: object) -> None:
            code._obj.value = self.code

        def GetLastError(self) -> int:
            return self.error

        def CloseHandle(self, handle: int) -> None:
            self.closed.append(handle)

    def runs(kernel: Kernel) -> bool:
        monkeypatch.setattr(ctypes, "windll", type("Dll", (), {"kernel32": kernel}), raising=False)
        return files._runs_on_windows(os.getpid())

    assert runs(kernel := Kernel(handle=7, code=259))
    assert kernel.closed == [7]
    assert not runs(Kernel(handle=7, code=0))
    assert runs(Kernel(handle=0, code=0, error=5))
    assert not runs(Kernel(handle=0, code=0, error=87))
