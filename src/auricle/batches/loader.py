# SPDX-License-Identifier: Apache-2.0
"""Batches that keep coming when loader processes die, hang, or meet a file that cannot be read any more.

A batch is a function of its step, so a loader that broke is thrown away and another one starts at the step that is
due: what is computed stays the same. The clip that a process was at is remembered; at the second time it is
skipped, and another clip takes its place from then on.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from types import FrameType

from torch.utils.data import DataLoader, get_worker_info

from auricle.batches.crops import BatchDataset
from auricle.batches.sampling import BatchShard
from auricle.batches.targets import Batch
from auricle.batches.worker_status import WorkerStatus
from auricle.errors import TrainingError
from auricle.progress import Progress
from auricle.signals import LeftAtOnce, StopRequest

#: How often a clip may break a loader before it is skipped.
TRIES = 2
#: A run stops when more than this share of its clips cannot be used.
MAX_FAILED = 0.1
#: A run stops when this many processes in a row died while they read nothing: no clip is to blame then.
MAX_UNEXPLAINED = 3
_DUMP_WAIT_S = 1.0


def make_loader(
    dataset: BatchDataset,
    shard: BatchShard,
    *,
    first_step: int,
    last_step: int,
    workers: int,
    timeout_s: float = 0.0,
) -> Iterator[Batch]:
    """Return this process's part of the batches from one step to another, read ahead by ``workers`` processes.

    A batch that takes those longer than ``timeout_s`` is an error; 0 waits for ever.

    One loader serves all epochs, so that nothing stops at their borders.
    """
    loader: DataLoader[Batch] = DataLoader(
        dataset,
        batch_size=None,
        sampler=_Walk(shard, first_step, last_step),
        num_workers=workers,
        worker_init_fn=partial(_begin_worker, os.getpid()),
        timeout=timeout_s if workers else 0,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)


def _begin_worker(trainer: int, worker: int) -> None:
    """Leave Ctrl-C to the process that trains; end without an error at a SIGTERM, which it got too or has sent.

    From its next line on torch watches whether the worker's parent is still the same. Where the trainer was killed
    before, that would be another one, for ever: so a worker that begins as an orphan ends.
    """
    if multiprocessing.get_start_method() != "forkserver" and os.getppid() != trainer:
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    dataset = getattr(get_worker_info(), "dataset", None)
    if isinstance(dataset, BatchDataset) and dataset.status is not None:
        dataset.status.begin()


class _Walk:
    """The crops of each batch of a range of steps."""

    def __init__(self, shard: BatchShard, first_step: int, last_step: int) -> None:
        self.shard, self.first_step, self.last_step = shard, first_step, last_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return self.shard.walk(self.first_step, self.last_step)

    def __len__(self) -> int:
        return self.last_step - self.first_step


class FeedingError(TrainingError):
    """There are no more batches to be had. The state of the run is good."""


class Feeder:
    """The batches of steps ``first`` to ``last - 1``, once.

    Args:
        start: returns the batches from a step on, and the status of their processes.
        first: step to begin with.
        last: step to end before.
        names: of the clips, for messages.
        skipped_clips: numbers of clips; added to in place.
        progress: is called with what happened.
        stop: ends the batches at once.
        timeout_s: how long the loader waits for a batch. Who has been at one clip for half of that is at fault.
    """

    def __init__(
        self,
        start: Callable[[int], tuple[Iterator[Batch], WorkerStatus]],
        *,
        first: int,
        last: int,
        names: Sequence[str],
        skipped_clips: list[int],
        progress: Progress,
        stop: StopRequest,
        timeout_s: float,
    ) -> None:
        self._start, self._step, self._last = start, first, last
        self._names, self._skipped = names, skipped_clips
        self._progress, self._stop, self._timeout_s = progress, stop, timeout_s
        self._failures: Counter[int] = Counter()
        self._unexplained = 0
        self._processes: list[BaseProcess] = []
        self._waiting = False

    def __iter__(self) -> Generator[Batch | None, None, None]:
        """Yield the batches; after a wish to stop, None and no more.

        Raises:
            FeedingError: too many clips cannot be read, or processes die without a reason that a clip could give.
        """
        while self._step < self._last:
            with _child_signals_kept(), self._own_processes():
                batches, status = self._started()
                try:
                    while self._step < self._last:
                        batch = self._wait_for(batches)
                        self._step, self._unexplained = self._step + 1, 0
                        yield batch
                except LeftAtOnce:
                    yield None
                    return
                except Exception as error:  # noqa: BLE001 - whatever it is, the status says who did it, or it continues
                    self._blame(status, error)

    def _started(self) -> tuple[Iterator[Batch], WorkerStatus]:
        before = set(active_children())
        batches, status = self._start(self._step)
        self._processes = [child for child in active_children() if child not in before]
        if threading.current_thread() is threading.main_thread():
            # Torch's own handler raises anywhere, also between a step and its being counted; ours while waiting only.
            signal.signal(signal.SIGCHLD, self._child_ended)
        return batches, status

    def _wait_for(self, batches: Iterator[Batch]) -> Batch:
        with self._stop.at_once():
            self._waiting = True
            try:
                self._require_alive()
                return next(batches)
            finally:
                self._waiting = False

    @contextmanager
    def _own_processes(self) -> Iterator[None]:
        """End the loader's processes with the block: they hold nothing that is worth waiting for."""
        try:
            yield
        finally:
            for process in self._processes:
                process.kill()
            for process in self._processes:
                process.join()

    def _child_ended(self, _signal: int, _frame: FrameType | None) -> None:
        """Interrupt the wait for a batch that a dead process will never bring."""
        if self._waiting:
            self._require_alive()

    def _require_alive(self) -> None:
        if not all(process.is_alive() for process in self._processes):
            raise RuntimeError("a loader process ended")

    def _blame(self, status: WorkerStatus, error: Exception) -> None:
        """Find out which clips broke the loader; raises what cannot be helped."""
        seen = status.look()
        exits = {process.pid: process.exitcode for process in self._processes if not process.is_alive()}
        hung = [s for s in seen if s.reading is not None and s.pid not in exits and s.for_s >= self._timeout_s / 2]
        if hung:
            self._dump_stacks([s.pid for s in hung], status)
        guilty = {s.failed: f"could not be read ({_last_line(error)})" for s in seen if s.failed is not None}
        guilty |= {s.reading: f"was being read for {s.for_s:.0f} s" for s in hung if s.reading is not None}
        dead = [s for s in seen if exits.get(s.pid, 0) != 0]  # 0: it was asked to end
        guilty |= {
            s.reading: f"was being read when {_describe_exit(s.pid, exits[s.pid])}"
            for s in dead
            if s.reading is not None
        }
        if not guilty and not exits and not _is_timeout(error):
            raise error
        for clip, what in guilty.items():
            self._count_failure(clip, what)
        self._unexplained += not guilty
        if self._unexplained == MAX_UNEXPLAINED:
            ends = "; ".join(_describe_exit(pid, code) for pid, code in exits.items())
            raise FeedingError(
                f"loader processes keep failing while they read nothing ({ends if ends else _last_line(error)}); "
                "lower data.workers (0 loads in the training process) or data.batch_size, then continue with --resume"
            ) from error

    def _count_failure(self, clip: int, what: str) -> None:
        """Count a clip's tries; at the last one it is skipped from then on."""
        self._failures[clip] += 1
        name = self._names[clip]
        if self._failures[clip] < TRIES:
            self._progress.notice(f"{name} {what}; trying again")
            return
        if clip not in self._skipped:
            self._skipped.append(clip)
        self._progress.notice(f"{name} {what} again; skipped from now on, another clip takes its place")
        if len(self._skipped) > MAX_FAILED * len(self._names):
            raise FeedingError(
                f"{len(self._skipped)} of {len(self._names)} clips are skipped, the last is {name}, which "
                f"{what}; at most {MAX_FAILED:.0%} may be: if memory was short, lower data.workers or "
                "data.batch_size, else check the disk, then continue with --resume"
            )

    def _dump_stacks(self, pids: Sequence[int], status: WorkerStatus) -> None:
        """Let processes that hang write down where."""
        size = status.dump.stat().st_size if status.dump.exists() else 0
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        deadline = time.monotonic() + _DUMP_WAIT_S
        while time.monotonic() < deadline and status.dump.exists() and status.dump.stat().st_size == size:
            time.sleep(0.01)
        self._progress.notice(f"loader processes {', '.join(map(str, pids))} hang; where, is in {status.dump}")


def _describe_exit(pid: int | None, code: int | None) -> str:
    """Say how a process ended."""
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    if code is None or code >= 0:
        how = f"exit code {code}"
    else:
        how = signal.Signals(-code).name + (", out of memory?" if -code == signal.SIGKILL else "")
    return f"loader process {pid} ended by {how} (the largest so far took {peak_mb:.0f} MB)"


def _is_timeout(error: Exception) -> bool:
    return "timed out" in str(error)


def _last_line(error: Exception) -> str:
    """Return what an error says, without the stack that the loader puts before it."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


@contextmanager
def _child_signals_kept() -> Iterator[None]:
    """Leave the handler of SIGCHLD as it was."""
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, before)
