# SPDX-License-Identifier: Apache-2.0
"""Worker processes of one machine; what becomes of their pieces is ``pool``'s business.

Workers are fresh interpreters (``spawn``): they share no thread, lock or file with the parent. They ignore Ctrl-C,
which reaches the whole process group: the parent decides. When the parent is gone, they end.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from auricle.audio.listing import Entry
from auricle.errors import AuricleError
from auricle.logs import show_logs_of_parent
from auricle.scanning.pool import Link, Piece, Pool, WorkerLost
from auricle.scanning.pulse import Pulse, listen_to_pulse
from auricle.scanning.task import Record, Work, failed_record


def work_in_processes(
    open_work: Callable[[], Work],
    pieces: Iterable[tuple[int, Entry]],
    *,
    jobs: int,
    timeout_s: float,
    on_pulse: Callable[[Entry, Pulse], None] = lambda entry, pulse: None,
) -> Iterator[tuple[int, Record]]:
    """Yield index and record of every piece, as they are done.

    Args:
        open_work: called once in each worker; must be importable there, as ``Task(...).open`` is.
        pieces: taken one by one, a few ahead.
        jobs: number of worker processes.
        timeout_s: time that one recording is given without a sign of life, in seconds.
        on_pulse: is given signs of life, of recordings that take long.

    Raises:
        UsageError: the work refuses to continue, as it does when the model is broken.
        AuricleError: workers die before they are ready.
    """
    yield from Pool(_Processes(open_work), pieces, failed_record, timeout_s, on_pulse).run(jobs)


class _Process:
    """One process, and the pipe to it."""

    def __init__(self, context: SpawnContext, open_work: Callable[[], Work]) -> None:
        self.connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_serve, args=(theirs, open_work), daemon=True)
        self._process.start()
        theirs.close()

    def send(self, piece: Piece) -> None:
        try:
            self.connection.send(piece)
        except OSError:  # it has just died: the pipe says so to whoever waits for it
            return

    def receive(self) -> Any:
        try:
            return self.connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerLost from error

    def end(self) -> str:
        self._process.kill()
        self._process.join()
        self.connection.close()
        code = self._process.exitcode
        self._process.close()
        return _spell_exit(code)


class _Processes:
    """Starts them."""

    def __init__(self, open_work: Callable[[], Work]) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._open_work = open_work

    def start(self) -> _Process:
        return _Process(self._context, self._open_work)

    def wait(self, links: Sequence[Link], timeout_s: float | None) -> Sequence[Link]:
        by_connection: dict[Any, Link] = {link.connection: link for link in links if isinstance(link, _Process)}
        return [by_connection[connection] for connection in wait(list(by_connection), timeout_s)]


def _serve(connection: Connection, open_work: Callable[[], Work]) -> None:
    """Be a worker: say that the model is loaded, then answer every piece with its record."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    show_logs_of_parent()
    try:
        work = open_work()
        listen_to_pulse(connection.send)
        connection.send(None)
        while True:
            index, entry = connection.recv()
            connection.send((index, work(entry)))
    except AuricleError as error:
        connection.send(error.message)
    except (EOFError, ConnectionError):  # the parent is gone
        return


def _spell_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
