# SPDX-License-Identifier: Apache-2.0
"""What recordings do to workers, here or on a cluster. A module of its own, so that workers can import it."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

from auricle.audio.listing import Entry
from auricle.errors import UsageError


def behave(folder: str, entry: Entry) -> dict:
    """Do what the name of the recording says."""
    name = entry.path.rstrip("0123456789")
    if name == "hang":
        time.sleep(60)
    if name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "die" or (name == "die once" and not (Path(folder) / entry.path).exists()):
        (Path(folder) / entry.path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "refuse":
        raise UsageError("the model is broken")
    return {"path": entry.path, "pid": os.getpid(), "error": None}


def open_work(folder: str):
    return partial(behave, folder)


def open_shards(folder: str):
    work = open_work(folder)
    return lambda piece: work(Entry(piece))


def open_refused(_folder: str):
    raise UsageError("no such model")


def dying(_folder: str):
    os._exit(3)


def work_with_a_killer(open_task, folder: str, names: tuple[str, ...]):
    """Return the work of a task whose worker is killed the first time it meets each of some recordings."""
    work = open_task()

    def careful(entry: Entry) -> dict:
        mark = Path(folder) / Path(entry.path).name
        if mark.name in names and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return work(entry)

    return careful
