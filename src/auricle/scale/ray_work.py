# SPDX-License-Identifier: Apache-2.0
"""Scans and teaching on a Ray cluster: workers are actors on any of its machines, and this process keeps the journal.

All machines must see recordings and model under the same paths. An actor that dies, with its machine or alone, is
replaced like a process of this machine (``scanning.pool``): a recording is in the results exactly once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from auricle.audio.listing import Entry
from auricle.errors import AuricleError
from auricle.results import Failure
from auricle.scale.cluster import joined_cluster
from auricle.scanning.pool import Link, Piece, Pool, WorkerLost
from auricle.scanning.pulse import Pulse
from auricle.scanning.task import Record, Work, failed_record

OpenWork = Callable[[], Callable[[Any], Any]]
#: A shard may take as long as it likes.
_LONG_S = 1e6


def work_on_cluster(
    open_work: Callable[[], Work],
    pieces: Iterable[tuple[int, Entry]],
    *,
    jobs: int,
    timeout_s: float,
    on_pulse: Callable[[Entry, Pulse], None] = lambda entry, pulse: None,
) -> Iterator[tuple[int, Record]]:
    """Yield index and record of every piece, as they are done; see ``scanning.workers.work_in_processes``.

    Actors give no signs of life on their way: a recording of hours needs a ``timeout_s`` of its own.

    Args:
        open_work: called once in each worker; must be importable there.
        pieces: taken one by one, a few ahead.
        jobs: number of workers, each with one processor.
        timeout_s: time that one recording is given, in seconds.
        on_pulse: never called.
    """
    with joined_cluster(jobs) as ray:
        yield from Pool(_Actors(ray, open_work), pieces, failed_record, timeout_s).run(jobs)


def spread_on_cluster(open_work: OpenWork, pieces: Iterable[Piece], *, jobs: int) -> Iterator[tuple[int, Any]]:
    """Yield index and value of every piece of some work that may not miss any, as ``teach`` makes its shards.

    Raises:
        AuricleError: a piece killed its worker twice.
    """

    def failed(piece: Any, failure: Failure) -> Any:
        raise AuricleError(f"shard {piece}: {failure.message}; then continue with --resume")

    with joined_cluster(jobs) as ray:
        yield from Pool(_Actors(ray, open_work), pieces, failed, _LONG_S).run(jobs)


class _Serving:
    """What an actor does: load the model, then answer every piece."""

    def __init__(self, open_work: OpenWork, folder: str) -> None:
        self._open_work, self._folder = open_work, folder
        self._work: Callable[[Any], Any] | None = None

    def ready(self) -> str | None:
        """Load the model; returns why not."""
        try:
            os.chdir(self._folder)  # names of recordings may be relative to it
            self._work = self._open_work()
        except AuricleError as error:
            return error.message
        return None

    def answer(self, index: int, piece: Any) -> tuple[int, Any] | str:
        """Return index and value, or why the work refuses to continue."""
        try:
            return index, cast("Callable[[Any], Any]", self._work)(piece)
        except AuricleError as error:
            return error.message


class _Actor:
    """One actor, the answer that is still to come, and the pieces that wait for their turn."""

    def __init__(self, ray: Any, open_work: OpenWork) -> None:
        self._ray = ray
        self._actor = ray.remote(_Serving).options(num_cpus=1).remote(open_work, os.getcwd())  # noqa: PTH109
        self.answers: deque[Any] = deque([self._actor.ready.remote()])
        self._how = "ended"
        #: One call at a time, the others wait: an answer that an actor has just given dies with it if the next piece
        #: kills it at once, and the wrong piece would be blamed.
        self._waiting: deque[Piece] = deque()

    def send(self, piece: Piece) -> None:
        self._waiting.append(piece)
        self._call()

    def _call(self) -> None:
        if self._waiting and not self.answers:
            self.answers.append(self._actor.answer.remote(*self._waiting.popleft()))

    def receive(self) -> Any:
        try:
            answer = self._ray.get(self.answers.popleft())
        except self._ray.exceptions.RayError as error:
            lines = str(error).strip().splitlines()
            self._how = f"Ray says: {lines[-1].strip()}" if lines else type(error).__name__
            raise WorkerLost from error
        self._call()
        return answer

    def end(self) -> str:
        self._ray.kill(self._actor)
        return self._how


class _Actors:
    """Starts them."""

    def __init__(self, ray: Any, open_work: OpenWork) -> None:
        self._ray, self._open_work = ray, open_work

    def start(self) -> _Actor:
        return _Actor(self._ray, self._open_work)

    def wait(self, links: Sequence[Link], timeout_s: float | None) -> Sequence[Link]:
        """Return those whose next answer is there; their death is an answer, too."""
        by_answer = {link.answers[0]: link for link in links if isinstance(link, _Actor) and link.answers}
        done, _ = self._ray.wait(list(by_answer), num_returns=1, timeout=timeout_s)
        return [by_answer[answer] for answer in done]
