# SPDX-License-Identifier: Apache-2.0
"""Worker processes of one machine. A recording that hangs or kills its worker costs that recording, not the scan.

Each worker loads the model once and has a short queue of its own, so that it never waits for the parent. When one
dies, the recording it was at is tried once more, by another worker; when that one dies too, the recording has failed.
A recording that takes longer than its time limit fails at once, and its worker is replaced.

Workers are fresh interpreters (``spawn``): they share no thread, lock or file with the parent. They ignore Ctrl-C,
which reaches the whole process group: the parent decides. When the parent is gone, they end.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import cast

from auricle.audio.listing import Entry
from auricle.errors import AuricleError, UsageError
from auricle.results import Failure
from auricle.scanning.task import Record, Work, failed_record

#: Recordings handed to a worker at once: the one it is at, and the next.
QUEUE = 2
#: How often a recording may kill its worker before it is given up.
TRIES = 2
_FAILED_STARTS = 3

Piece = tuple[int, Entry]


def work_in_processes(
    open_work: Callable[[], Work], pieces: Iterable[Piece], *, jobs: int, timeout_s: float
) -> Iterator[tuple[int, Record]]:
    """Yield index and record of every piece, as they are done.

    Args:
        open_work: called once in each worker; must be importable there, as ``Task(...).open`` is.
        pieces: taken one by one, a few ahead.
        jobs: number of worker processes.
        timeout_s: time that one recording is given, in seconds.

    Raises:
        UsageError: the work refuses to go on, as it does when the model is broken.
        AuricleError: workers die before they are ready.
    """
    pool = _Pool(open_work, iter(pieces), timeout_s)
    try:
        yield from pool.run(jobs)
    finally:
        pool.stop()


class _Worker:
    """One process, the pipe to it, and what it has to do."""

    def __init__(self, context: SpawnContext, open_work: Callable[[], Work]) -> None:
        self.connection, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(target=_serve, args=(theirs, open_work), daemon=True)
        self.process.start()
        theirs.close()
        self.ready = False
        self.queue: deque[Piece] = deque()
        self.since = 0.0  # when the recording at the head of the queue was begun

    def give(self, piece: Piece) -> None:
        if not self.queue:
            self.since = time.monotonic()
        self.queue.append(piece)
        try:
            self.connection.send(piece)
        except OSError:  # it has just died: the pipe says so to whoever waits for it, and the piece is in the queue
            return

    def end(self) -> int | None:
        """Kill it, if it still runs; returns its exit code."""
        self.process.kill()
        self.process.join()
        self.connection.close()
        code = self.process.exitcode
        self.process.close()
        return code


class _Pool:
    def __init__(self, open_work: Callable[[], Work], pieces: Iterator[Piece], timeout_s: float) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._open_work, self._pieces, self._timeout_s = open_work, pieces, timeout_s
        self._again: deque[Piece] = deque()
        self._deaths: Counter[int] = Counter()
        self._failed_starts = 0
        self._workers: dict[Connection, _Worker] = {}

    def run(self, jobs: int) -> Iterator[tuple[int, Record]]:
        for _ in range(jobs):
            self._start()
        while any(worker.queue for worker in self._workers.values()):
            for connection in wait(list(self._workers), self._patience()):
                yield from self._hear(self._workers[cast("Connection", connection)])
            for worker in [w for w in self._workers.values() if self._late(w)]:
                yield self._give_up(worker)

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()

    def _start(self) -> None:
        """Start one more worker, if there is work for it."""
        piece = self._next()
        if piece is not None:
            worker = _Worker(self._context, self._open_work)
            self._workers[worker.connection] = worker
            worker.give(piece)
            self._fill(worker)

    def _next(self) -> Piece | None:
        return self._again.popleft() if self._again else next(self._pieces, None)

    def _fill(self, worker: _Worker) -> None:
        while len(worker.queue) < QUEUE and (piece := self._next()) is not None:
            worker.give(piece)

    def _hear(self, worker: _Worker) -> Iterator[tuple[int, Record]]:
        """Take one message of a worker: that it is ready, a record, why it stops, or its death."""
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if isinstance(message, str):
            raise UsageError(message)
        worker.since = time.monotonic()
        if message is None:
            worker.ready, self._failed_starts = True, 0
            return
        worker.queue.popleft()
        self._fill(worker)
        yield message

    def _bury(self, worker: _Worker) -> Iterator[tuple[int, Record]]:
        """Replace a worker that died; the recording it was at has another try, or has failed."""
        del self._workers[worker.connection]
        code = worker.end()
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise AuricleError(
                    f"worker processes die when they start ({_spell_exit(code)}); fewer --jobs take less memory"
                )
        elif worker.queue:
            index, entry = worker.queue[0]
            self._deaths[index] += 1
            if self._deaths[index] >= TRIES:
                worker.queue.popleft()
                text = f"its worker process died {TRIES} times ({_spell_exit(code)}); look at the file, or report it"
                yield index, failed_record(entry, Failure("internal", text))
        self._replace(worker)

    def _give_up(self, worker: _Worker) -> tuple[int, Record]:
        """Fail the recording that took too long, and replace its worker, which cannot be stopped otherwise."""
        del self._workers[worker.connection]
        worker.end()
        index, entry = worker.queue.popleft()
        self._replace(worker)
        text = f"not done after {self._timeout_s:g} s; look at the file, or allow more with --timeout"
        return index, failed_record(entry, Failure("timeout", text))

    def _replace(self, worker: _Worker) -> None:
        self._again.extend(worker.queue)
        self._start()

    def _late(self, worker: _Worker) -> bool:
        return worker.ready and bool(worker.queue) and time.monotonic() - worker.since > self._timeout_s

    def _patience(self) -> float | None:
        """Return the seconds until the next recording can be late; None while only starts are awaited."""
        begun = [worker.since for worker in self._workers.values() if worker.ready and worker.queue]
        return max(0.0, min(begun) + self._timeout_s - time.monotonic()) + 0.01 if begun else None


def _serve(connection: Connection, open_work: Callable[[], Work]) -> None:
    """Be a worker: say that the model is loaded, then answer every piece with its record."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        work = open_work()
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
