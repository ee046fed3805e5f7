# SPDX-License-Identifier: Apache-2.0
"""Children forked from a warm process, which are there in milliseconds, and strace on them."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auricle.errors import AuricleError

#: Every system call by which a writer could change what is on the disk.
CHANGING = (
    "creat,openat,write,pwrite64,writev,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,truncate,ftruncate,fallocate,chmod,fchmod"
)
#: Exit codes of a child: done; ended by an error for users; ended by an error of the system; anything else.
DONE, TOLD, SYSTEM, OTHER = 0, 3, 4, 5
_PR_SET_PTRACER, _ANY = 0x59616D61, -1


@dataclass(frozen=True)
class Child:
    """A forked process that waits for ``go``."""

    pid: int
    gate: int

    def go(self) -> None:
        """Let it begin."""
        os.write(self.gate, b"!")
        os.close(self.gate)

    def wait(self) -> int:
        """Return its exit code, or minus the signal that ended it."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def fork(work: Callable[[], object]) -> Child:
    """Fork a child that does ``work`` when it is told to, and ends without any of pytest's own endings."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of threads, which all sleep here
        pid = os.fork()
    if pid > 0:
        os.close(read)
        return Child(pid, write)
    code = OTHER
    try:
        os.close(write)
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(_ANY), 0, 0, 0)  # any process may trace this one
        os.read(read, 1)
        work()
        code = DONE
    except AuricleError:
        code = TOLD
    except OSError:
        code = SYSTEM
    except BaseException:  # noqa: BLE001 - nothing may get out of here into the tests of the parent
        traceback.print_exc()
    finally:
        os._exit(code)


def traced(work: Callable[[], object], log: Path, *rules: str) -> int | None:
    """Do ``work`` in a child under strace with these ``inject`` rules; returns its exit code, None if it may not."""
    child = fork(work)
    options = [word for rule in rules for word in ("-e", f"inject={rule}")]
    command = ["strace", "-p", str(child.pid), "-o", str(log), "-e", f"trace={CHANGING}", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        attached = "attached" in tracer.stderr.readline()
        child.go()
        code = child.wait()
        tracer.stderr.read()
    return code if attached else None


def calls_in(log: Path) -> Counter[str]:
    """Count the system calls of a log."""
    return Counter(re.findall(r"^(\w+)\(", log.read_text(), re.MULTILINE))


def why_no_strace(folder: Path) -> str | None:
    """Say why strace cannot be used here; None if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    if traced(lambda: None, folder / "log") is None:
        return "strace may not trace processes here"
    return None
