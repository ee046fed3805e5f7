# SPDX-License-Identifier: Apache-2.0
"""What each loader process is reading, in memory that all of them share: the dead cannot be asked.

┌ process 0 ┬ process 1 ┬ ...
│ pid       │           │        written by the process itself
│ reading   │           │        number of the clip it reads now, -1 between two
│ since_ns  │           │        when it began with that
│ failed    │           │        number of the last clip that it could not read, -1 if none
└───────────┴───────────┴
"""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.sharedctypes import RawArray
from pathlib import Path

from torch.utils.data import get_worker_info

from auricle.errors import InputError

_FIELDS = 4
_PID, _READING, _SINCE_NS, _FAILED = range(_FIELDS)
_NONE = -1


class UnreadableClip(Exception):
    """A clip could not be read. One text and nothing else: torch makes it anew on its way between processes."""


@dataclass(frozen=True)
class Seen:
    """What is known of one loader process; clips are None where there is none."""

    pid: int
    reading: int | None
    for_s: float
    failed: int | None


class WorkerStatus:
    """What loader processes do, noted by themselves; without any, the training process has the one place.

    Args:
        workers: loader processes.
        dump: file that a process writes its stack to when it is sent ``SIGUSR1``.
    """

    def __init__(self, workers: int, dump: Path) -> None:
        self.dump = dump
        self._shared = RawArray("q", _FIELDS * max(1, workers))
        for place in range(0, len(self._shared), _FIELDS):
            self._shared[place + _READING] = self._shared[place + _FAILED] = _NONE

    def begin(self) -> None:
        """Note the process; call it once in each, first of all."""
        self._shared[_place() + _PID] = os.getpid()
        # Opened here and never closed: in a process that hangs there is no later.
        faulthandler.register(signal.SIGUSR1, self.dump.open("a"), all_threads=True)

    @contextmanager
    def reading(self, clip: int) -> Iterator[None]:
        """Note a clip while the block reads it, and whether that failed for a reason that lies in its file.

        Raises:
            UnreadableClip: it failed for such a reason.
        """
        shared, place = self._shared, _place()
        shared[place + _SINCE_NS] = time.monotonic_ns()
        shared[place + _READING] = clip
        try:
            yield
        except (InputError, OSError, MemoryError) as error:
            shared[place + _FAILED] = clip
            text = str(error)
            raise UnreadableClip(text if text else type(error).__name__) from error
        finally:
            shared[place + _READING] = _NONE

    def look(self) -> list[Seen]:
        """Return what is known of all processes."""
        rows = [self._shared[i : i + _FIELDS] for i in range(0, len(self._shared), _FIELDS)]
        now = time.monotonic_ns()
        return [
            Seen(
                row[_PID],
                None if row[_READING] == _NONE else row[_READING],
                0.0 if row[_READING] == _NONE else (now - row[_SINCE_NS]) / 1e9,
                None if row[_FAILED] == _NONE else row[_FAILED],
            )
            for row in rows
        ]


def _place() -> int:
    """Return where in the shared memory this process writes."""
    info = get_worker_info()
    return 0 if info is None else _FIELDS * info.id
