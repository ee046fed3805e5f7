# SPDX-License-Identifier: Apache-2.0
"""Work in the background: one job at a time in a thread, which can be asked how far it is and told to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

log = logging.getLogger("auricle.studio")

#: Steps of priority by which a thread yields: it has about a third of what another thread has then.
YIELDED = 5


class Job:
    """A piece of work in a thread.

    Args:
        kind: what it does.
        total: how many steps it has.
        work: does it; gets the job, looks at ``stopped`` often, and adds to ``done``.
        yielding: whether everything else comes first, where threads have priorities of their own (Linux).

    Attributes:
        done: steps so far.
        stopped: is set when it shall end.
        error: what ended it early, for people.
    """

    def __init__(self, kind: str, total: int, work: Callable[[Job], object], *, yielding: bool = False) -> None:
        self.kind = kind
        self.total = total
        self.done = 0
        self.stopped = threading.Event()
        self.error: Exception | None = None
        self._work = work
        self._yielding = yielding
        self._thread = threading.Thread(target=self._run, name=f"auricle-{kind}", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Tell it to stop, and wait until it has."""
        self.stopped.set()
        self._thread.join()

    def wait(self) -> None:
        """Wait until it has ended; raises what ended it early."""
        self._thread.join()
        if self.error is not None:
            raise self.error

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"kind", "done", "total"}``."""
        return {"kind": self.kind, "done": self.done, "total": self.total}

    def _run(self) -> None:
        if self._yielding:
            yield_to_others()
        try:
            self._work(self)
        except Exception as error:  # whatever it is, it must not end in a thread unseen
            self.error = error
            log.exception("%s ended early", self.kind)


def yield_to_others() -> None:
    """Let other threads have most of the processor while they want it; where that cannot be, nothing changes."""
    if sys.platform == "linux":  # elsewhere the number is that of the process
        with contextlib.suppress(OSError):
            thread = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + YIELDED)
