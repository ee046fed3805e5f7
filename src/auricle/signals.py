# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM while training: finish the step, save, leave with the right exit code.

A step is short and must not be torn. What may take long and changes nothing (waiting for a batch, scoring the dev
part) is left at once: batch systems kill ten seconds after they have asked.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

#: In a run's folder: asks a run to stop that cannot be sent a signal.
STOP_FILE = "stop"
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class LeftAtOnce(BaseException):
    """Raised where a block that may be left at once was left; no ``except Exception`` may swallow it."""


class StopRequest:
    """Whether somebody asked to stop, and with which exit code.

    Args:
        file: that asks too, where it appears; it holds the exit code.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._exit_code: int | None = None
        self._file = file
        self._may_leave = False

    @property
    def exit_code(self) -> int | None:
        """The exit code that was asked for; None if nobody asked."""
        if self._exit_code is None and self._file is not None and self._file.exists():
            self._exit_code = int(self._file.read_text())
        return self._exit_code

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """Note the wish; a second Ctrl-C stops at once."""
        if self._exit_code is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._exit_code = EXIT_CODES[signal.Signals(number)]
        if self._may_leave:
            raise LeftAtOnce

    def __bool__(self) -> bool:
        return self.exit_code is not None

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a wish to stop, of before or while it runs, leave the block at once by ``LeftAtOnce``."""
        self._may_leave = True
        try:
            if self:
                raise LeftAtOnce
            yield
        finally:
            self._may_leave = False


@contextmanager
def stop_on_signals(file: Path | None = None) -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a wish while the block runs.

    Outside the main thread no signal comes: Ray Train runs a loop there, and asks by ``file``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest(file)
        return
    request = StopRequest()
    before = {number: signal.signal(number, request.ask) for number in EXIT_CODES}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
