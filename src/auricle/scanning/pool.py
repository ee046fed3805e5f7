# SPDX-License-Identifier: Apache-2.0
"""Workers that share the pieces of a work, wherever they run. A piece that hangs or kills its worker costs that piece.

Each worker loads what it needs once and has a short queue of its own, so that it never waits for this process. When one
dies, the piece it was at is tried once more, by another worker; when that one dies too, the piece has failed.
A piece whose worker gives no sign of life for its time limit fails at once, and the worker is replaced; work on a
recording of many hours gives signs all along.

A ``Crew`` starts workers: processes of this machine (``scanning.workers``) or actors of a Ray cluster
(``scale.ray_work``). Values are anything; in a scan, pieces are entries of a listing and values are their records.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from auricle.errors import AuricleError, UsageError
from auricle.results import Failure
from auricle.scanning.pulse import Pulse

#: Pieces handed to a worker at once: the one it is at, and the next.
QUEUE = 2
#: How often a piece may kill its worker before it is given up.
TRIES = 2
_FAILED_STARTS = 3

Piece = tuple[int, Any]


class WorkerLost(Exception):
    """A worker died; raised by ``Link.receive``, and never seen outside."""


class Link(Protocol):
    """What leads to one worker."""

    def send(self, piece: Piece) -> None:
        """Give it a piece more; one that is dead says so at ``receive``."""

    def receive(self) -> Any:
        """Return its next message: None (it is ready), text (why it refuses), a ``Pulse``, or index and value."""

    def end(self) -> str:
        """Kill it, if it still runs; says how it ended."""


class Crew(Protocol):
    """Where workers come from."""

    def start(self) -> Link:
        """Start a worker."""

    def wait(self, links: Sequence[Link], timeout_s: float | None) -> Sequence[Link]:
        """Return those that have a message or have died, when there is one or the time is over."""


@dataclass(eq=False)
class _Worker:
    """A worker and what it has to do."""

    link: Link
    ready: bool = False
    queue: deque[Piece] = field(default_factory=deque)
    since: float = 0.0  # when the piece at the head of the queue was begun

    def give(self, piece: Piece) -> None:
        if not self.queue:
            self.since = time.monotonic()
        self.queue.append(piece)
        self.link.send(piece)


class Pool:
    """The workers, and the pieces that are left.

    Args:
        crew: starts workers.
        pieces: taken one by one, a few ahead.
        failed: gives the value of a piece that could not be done.
        timeout_s: time that one piece is given without a sign of life, in seconds.
        on_pulse: is given the piece with each sign of life.
    """

    def __init__(
        self,
        crew: Crew,
        pieces: Iterable[Piece],
        failed: Callable[[Any, Failure], Any],
        timeout_s: float,
        on_pulse: Callable[[Any, Pulse], None] = lambda piece, pulse: None,
    ) -> None:
        self._on_pulse = on_pulse
        self._crew, self._pieces, self._failed, self._timeout_s = crew, iter(pieces), failed, timeout_s
        self._again: deque[Piece] = deque()
        self._deaths: Counter[int] = Counter()
        self._failed_starts = 0
        self._workers: list[_Worker] = []

    def run(self, jobs: int) -> Iterator[tuple[int, Any]]:
        """Yield index and value of every piece, as they are done.

        Raises:
            UsageError: the work refuses to continue, as it does when the model is broken.
            AuricleError: workers die before they are ready.
        """
        try:
            for _ in range(jobs):
                self._start()
            while any(worker.queue for worker in self._workers):
                ready = {id(link) for link in self._crew.wait([w.link for w in self._workers], self._patience())}
                for worker in [w for w in self._workers if id(w.link) in ready]:
                    yield from self._receive(worker)
                for worker in [w for w in self._workers if self._late(w)]:
                    yield self._give_up(worker)
        finally:
            for worker in self._workers:
                worker.link.end()
            self._workers.clear()

    def _start(self) -> None:
        """Start one more worker, if there is work for it."""
        piece = self._next()
        if piece is not None:
            worker = _Worker(self._crew.start())
            self._workers.append(worker)
            worker.give(piece)
            self._fill(worker)

    def _next(self) -> Piece | None:
        return self._again.popleft() if self._again else next(self._pieces, None)

    def _fill(self, worker: _Worker) -> None:
        while len(worker.queue) < QUEUE and (piece := self._next()) is not None:
            worker.give(piece)

    def _receive(self, worker: _Worker) -> Iterator[tuple[int, Any]]:
        """Take one message of a worker: that it is ready, a value, why it stops, or its death."""
        try:
            message = worker.link.receive()
        except WorkerLost:
            yield from self._handle_death(worker)
            return
        if isinstance(message, str):
            raise UsageError(message)
        worker.since = time.monotonic()
        if isinstance(message, Pulse):
            self._on_pulse(worker.queue[0][1], message)
            return
        if message is None:
            worker.ready, self._failed_starts = True, 0
            return
        worker.queue.popleft()
        self._fill(worker)
        yield message

    def _handle_death(self, worker: _Worker) -> Iterator[tuple[int, Any]]:
        """Replace a worker that died; the piece it was at has another try, or has failed."""
        how = self._dismiss(worker)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _FAILED_STARTS:
                raise AuricleError(f"worker processes die when they start ({how}); fewer --jobs take less memory")
        elif worker.queue:
            index, piece = worker.queue[0]
            self._deaths[index] += 1
            if self._deaths[index] >= TRIES:
                worker.queue.popleft()
                text = f"its worker process died {TRIES} times ({how}); look at the file, or report it"
                yield index, self._failed(piece, Failure("internal", text))
        self._replace(worker)

    def _give_up(self, worker: _Worker) -> tuple[int, Any]:
        """Fail the piece that took too long, and replace its worker, which cannot be stopped otherwise."""
        self._dismiss(worker)
        index, piece = worker.queue.popleft()
        self._replace(worker)
        text = f"not done after {self._timeout_s:g} s; look at the file, or allow more with --timeout"
        return index, self._failed(piece, Failure("timeout", text))

    def _dismiss(self, worker: _Worker) -> str:
        self._workers.remove(worker)
        return worker.link.end()

    def _replace(self, worker: _Worker) -> None:
        self._again.extend(worker.queue)
        self._start()

    def _late(self, worker: _Worker) -> bool:
        return worker.ready and bool(worker.queue) and time.monotonic() - worker.since > self._timeout_s

    def _patience(self) -> float | None:
        """Return the seconds until the next piece can be late; None while only starts are awaited."""
        begun = [worker.since for worker in self._workers if worker.ready and worker.queue]
        return max(0.0, min(begun) + self._timeout_s - time.monotonic()) + 0.01 if begun else None
