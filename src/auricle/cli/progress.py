# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from auricle.cli.guard import say

#: Seconds between two plain lines: a log file of an hour holds 120 of them.
LINE_EVERY_S = 30.0
#: The same on a terminal, where a note is written over.
BAR_EVERY_S = 0.5


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


class Meter:
    """Shows how many pieces of work are done, as a context manager.

    Args:
        what: a word for the work, such as ``tag``.
        quiet: show nothing.
        clock: monotonic seconds, replaceable in tests.
    """

    def __init__(self, what: str, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.what = what
        self.note = ""
        self._quiet = quiet
        self._clock = clock
        self._start = self._last = clock()
        self._first: int | None = None
        self._bar: Any = None

    def __enter__(self) -> Self:
        """Start the clock; the bar appears with the first piece."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self.close()

    def close(self) -> None:
        """Remove the bar, if there is one."""
        if self._bar is not None:
            self._bar.stop()

    def show_seconds(self, done_s: float, total_s: float | None) -> None:
        """Show that ``done_s`` seconds of a recording are done, of ``total_s`` if that is known."""
        now = self._clock()
        if self._quiet or now - self._last < (BAR_EVERY_S if sys.stderr.isatty() else LINE_EVERY_S):
            return
        self._last = now
        text = f"{spell_seconds(done_s)} scored" if total_s is None else _spell_part(done_s, total_s)
        if self._bar is None and sys.stderr.isatty():
            self._bar = _start_bar(self.what, 1)
        if self._bar is not None:
            self.note = text
            self._bar.update(self._bar.task_ids[0], note=text)
            return
        left = ""
        if total_s is not None and done_s > 0:
            left = f", about {spell_seconds((now - self._start) / done_s * max(0.0, total_s - done_s))} left"
        say(f"{self.what}: {text}{left}")

    def update(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` pieces are done; with one piece there is nothing to show."""
        if self._quiet or total <= 1:
            return
        if self._first is None:  # a resumed run begins in the middle: what was done before says nothing of speed
            self._first = done - 1
            if sys.stderr.isatty():
                self._bar = _start_bar(self.what, total)
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, note=self.note)
        elif self._clock() - self._last >= LINE_EVERY_S and done < total:
            self._last = self._clock()
            left = (self._last - self._start) / (done - self._first) * (total - done)
            note = f", {self.note}" if self.note else ""
            say(f"{self.what}: {done} of {total}, about {spell_seconds(left)} left{note}")


def _spell_part(done_s: float, total_s: float) -> str:
    return f"{spell_seconds(done_s)} of {spell_seconds(total_s)} scored"


def _start_bar(what: str, total: int) -> Any:
    """Return a running bar of rich on stderr."""
    bar = make_bar(what, total)
    bar.start()
    return bar


def make_bar(what: str, total: int, console: Any = None) -> Any:
    """Return a bar of rich with one task, on stderr if no console is given."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    def whole() -> Column:  # where a line is short, the bar gives way, then the note; the numbers stay
        return Column(no_wrap=True)

    columns = (
        TextColumn(what, table_column=whole()),
        BarColumn(),
        MofNCompleteColumn(table_column=whole()),
        TimeRemainingColumn(table_column=whole()),
        TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, overflow="ellipsis")),
    )
    bar = Progress(*columns, console=Console(stderr=True) if console is None else console, transient=True)
    bar.add_task(what, total=total, note="")
    return bar
