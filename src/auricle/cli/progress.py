# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from auricle.cli.guard import say

#: Seconds between two plain lines: a log file of an hour holds 120 of them.
LINE_EVERY_S = 30.0


def spell_seconds(seconds: float) -> str:
    """Return a duration for people.

    >>> [spell_seconds(s) for s in (0.4, 75, 7260)]
    ['0 s', '1 min 15 s', '2 h 1 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Progress:
    """Counts finished pieces of ``total``, as a context manager.

    Args:
        what: a word for the work, such as ``tag``.
        total: pieces in all; with one piece there is nothing to show.
        quiet: show nothing.
        clock: monotonic seconds, replaceable in tests.
    """

    def __init__(
        self, what: str, total: int, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.what, self.total, self.done = what, total, 0
        self._clock = clock
        self._start = self._last = clock()
        self._show = not quiet and total > 1
        self._bar: Any = None

    def __enter__(self) -> Progress:
        """Start the bar if stderr is a terminal."""
        if self._show and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn(self.what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self.what, total=self.total)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self) -> None:
        """Count one finished piece."""
        self.done += 1
        if self._bar is not None:
            self._bar.advance(self._task)
        elif self._show and self._clock() - self._last >= LINE_EVERY_S and self.done < self.total:
            self._last = self._clock()
            left = (self._last - self._start) / self.done * (self.total - self.done)
            say(f"{self.what}: {self.done} of {self.total}, about {spell_seconds(left)} left")
