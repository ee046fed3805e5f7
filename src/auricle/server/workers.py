# SPDX-License-Identifier: Apache-2.0
"""Processes that decode and score, so that no recording can take the server down with it.

    request ─▶ thread ─▶ idle worker ─▶ pipe ─▶ process: decode, network ─▶ pipe ─▶ result

A worker that dies or hangs fails the one job that it had and is replaced. Uploads travel as bytes, or as the
descriptor of a temporary file without a name. Windows of live streams travel too, and frames of causal models with
the state of their stream: no worker keeps anything, so what one did not answer is asked of another.
"""

from __future__ import annotations

import contextlib
import io
import logging
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, BinaryIO, cast

import numpy as np

from auricle.audio.decode import Limits
from auricle.errors import InputError, UsageError
from auricle.logs import show_logs_of_parent
from auricle.results import DetectResult, FloatArray, Scores, TagResult
from auricle.runtime.bundle import load_bundle
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import Network, Outputs, open_network
from auricle.runtime.streaming import Advance
from auricle.runtime.thresholds import Thresholds, strongest
from auricle.runtime.tracker import Threshold
from auricle.server.responses import Refusal

log = logging.getLogger("auricle.server")
_START_TIMEOUT_S = 120.0
#: A worker looks once a block whether its work is still wanted; one that does not stop within this is replaced.
_STOP_S = 5.0
_GLANCE_S = 0.1
_STOP = "stop"


class WorkerDied(Exception):
    """The process that had the job is gone."""


class AbandonedError(Exception):
    """Nobody waits for the result of a job any more."""


@dataclass(frozen=True)
class Source:
    """A model to load: where it is, and in which precision."""

    path: str
    precision: str = "float32"


@dataclass(frozen=True)
class Job:
    """Something to do with one model.

    Attributes:
        kind: ``tag``, ``detect``, ``windows`` or ``advance``.
        model: its name.
        name: what the result calls the recording.
        content: the recording, where it does not come as a descriptor.
        threshold: of ``detect``.
        top: of ``tag``: how many of the highest scores are returned; None returns all.
        least: of ``tag``: lower scores are not returned.
        channel: of ``tag`` and ``detect``: which channel is taken; None is the mean of all.
        scores: whether ``detect`` also returns the scores behind the events.
        abstain: of ``tag``: largest share of mistakes among what is named.
        tags: whether (more than 0) ``detect`` also returns the clip scores.
        windows: of ``windows`` and ``advance``, samples of shape ``(batch, sample)``.
        wanted: outputs of the network beside ``clip``.
        state: of ``advance``, shape ``(batch, size)``; None before the first sample.
    """

    kind: str
    model: str
    name: str = ""
    content: bytes = b""
    threshold: Threshold | None = None
    top: int | None = None
    least: Thresholds = Thresholds()  # noqa: RUF009 (frozen)
    channel: int | None = None
    scores: bool = False
    abstain: float | None = None
    tags: int = 0
    windows: FloatArray | None = None
    wanted: frozenset[str] = frozenset()
    state: FloatArray | None = None


@dataclass(frozen=True)
class Found:
    """What ``detect`` gives: events, and what was asked for beside them."""

    events: DetectResult
    scores: Scores | None = None
    tags: TagResult | None = None


# --- in the worker's process


class _Model:
    """A loaded model and its network, which streams use directly."""

    def __init__(self, source: Source, limits: Limits, glance: Callable[[float, float | None], None]) -> None:
        bundle = load_bundle(source.path)
        self.network: Network = open_network(bundle, precision=source.precision)
        self.detector = Detector(bundle, self.network, limits=limits, on_progress=glance)

    def do(self, job: Job, file: BinaryIO | None) -> TagResult | Found | Outputs | Advance:
        """Do a job; ``file`` is the recording."""
        if job.kind == "advance" and job.windows is not None and self.network.running is not None:
            return self.network.running.advance(job.windows, job.state)
        if job.windows is not None:
            return self.network.run(job.windows, job.wanted)
        content = io.BytesIO(job.content) if file is None else file
        recording: Any = _Upload(content, job.name)
        detector = self.detector if job.channel is None else self.detector.of_channel(job.channel)
        if job.kind == "tag":
            most = None if job.least.labels else job.top
            return strongest(detector.tag(recording, abstain=job.abstain, top=most), job.top, job.least)
        tags = detector.tag(recording) if job.tags else None
        content.seek(0)
        parts: list[FloatArray] = [np.zeros((0, len(detector.labels)), np.float32)]
        found = detector.detect(recording, threshold=job.threshold, on_frames=parts.append if job.scores else None)
        return Found(found, detector.scores(np.concatenate(parts)) if job.scores else None, tags)


class _Upload:
    """A file under the name that its sender gave it, which is no path here."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.read, self.seek, self.tell = file.read, file.seek, file.tell

    def seekable(self) -> bool:
        """Say yes: uploads are complete before they are read."""
        return True


def work(connection: Connection, sources: Mapping[str, Source], limits: Limits) -> None:
    """Serve jobs until the other end is closed. This is what a worker's process runs.

    Ctrl-C reaches the whole group, and some supervisors send SIGTERM to all of it: the server decides when to stop, and
    a job at work is finished.
    """
    busy = leaving = False

    def leave(_signal: int, _frame: FrameType | None) -> None:
        nonlocal leaving
        leaving = True
        if not busy:
            raise SystemExit(0)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    show_logs_of_parent()

    def glance(_done_s: float, _total_s: float | None) -> None:
        if connection.poll():
            try:
                connection.recv()  # while a job is at work, only _STOP can come
            except (EOFError, OSError):
                raise SystemExit(0) from None  # the server is gone
            raise AbandonedError

    models = {name: _Model(source, limits, glance) for name, source in sources.items()}
    connection.send(("ready", None))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while not leaving:
            message = connection.recv()
            if message == _STOP:  # it came when the job was done already
                continue
            job, with_file = message
            busy = True
            connection.send(_answer(models, job, connection if with_file else None))
            busy = False


def _answer(models: Mapping[str, _Model], job: Job, connection: Connection | None) -> tuple[str, Any]:
    """Do one job and return what became of it."""
    try:
        if connection is None:
            return "done", models[job.model].do(job, None)
        with os.fdopen(reduction.recv_handle(connection), "rb") as file:
            file.seek(0)
            return "done", models[job.model].do(job, file)
    except InputError as error:
        return "input", (error.code, error.message)
    except UsageError as error:
        return "usage", error.message
    except AbandonedError:
        return "abandoned", None
    except Exception as error:
        log.exception("a recording could not be scored")
        return "fault", f"{type(error).__name__}: {error}"


# --- in the server's process


class Worker:
    """One process and the pipe to it; used by one thread at a time."""

    def __init__(self, sources: Mapping[str, Source], limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, dict(sources), limits), daemon=True)
        self._process.start()
        #: The number of the process.
        self.pid = -1 if self._process.pid is None else self._process.pid
        self._ready = False
        theirs.close()

    def wait_ready(self) -> None:
        """Wait until the models are loaded."""
        if not self._ready:
            self._receive(_START_TIMEOUT_S)
            self._ready = True

    def run(self, job: Job, file: BinaryIO | None, timeout_s: float, abandoned: threading.Event | None = None) -> Any:
        """Do a job; when ``abandoned`` is set, it is stopped.

        Raises:
            WorkerDied: the process is gone, or would not stop.
            AbandonedError: the job was stopped.
            InputError, UsageError: as the detector raises them.
            Refusal: ``timeout``, the work took longer than ``timeout_s``; ``internal``, an error that nobody expected.
        """
        self.wait_ready()
        try:
            self._connection.send((job, file is not None))
            if file is not None:
                reduction.send_handle(self._connection, file.fileno(), self.pid)
        except OSError as error:
            raise WorkerDied(f"worker {self.pid} is gone") from error
        kind, value = self._receive(timeout_s) if abandoned is None else self._receive_unless(timeout_s, abandoned)
        if kind == "abandoned":
            raise AbandonedError
        if kind == "input":
            raise InputError(*value)
        if kind == "usage":
            raise UsageError(value)
        if kind == "fault":
            log.error("a worker failed: %s", value)
            raise Refusal("internal", "the recording could not be scored; the server's log says why")
        return value

    def stop(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()
        self._connection.close()
        self._process.close()

    def _receive_unless(self, timeout_s: float, abandoned: threading.Event) -> tuple[str, Any]:
        """Wait for the answer; once nobody wants it, tell the worker and give it a moment."""
        deadline = time.monotonic() + timeout_s
        while not abandoned.is_set():
            left = deadline - time.monotonic()
            if left <= 0 or self._poll(min(left, _GLANCE_S)):
                return self._receive(max(0.0, left), timeout_s)
        try:
            self._connection.send(_STOP)
        except OSError as error:
            raise WorkerDied(f"worker {self.pid} is gone") from error
        if not self._poll(_STOP_S):
            raise WorkerDied(f"worker {self.pid} does not stop")
        return self._receive(0.0)

    def _poll(self, timeout_s: float) -> bool:
        try:
            return self._connection.poll(timeout_s)
        except OSError as error:
            raise WorkerDied(f"worker {self.pid} is gone") from error

    def _receive(self, timeout_s: float, said_s: float | None = None) -> tuple[str, Any]:
        try:
            if not self._connection.poll(timeout_s):
                limit_s = timeout_s if said_s is None else said_s
                raise Refusal("timeout", f"the work took longer than {limit_s:g} s")
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerDied(f"worker {self.pid} is gone") from error
        return kind, value


class WorkerPool:
    """A fixed number of workers, replaced when they die. Any number of threads may use it.

    Args:
        sources: models by name.
        count: processes.
        limits: what is refused in recordings.
        timeout_s: longest work on one job.
        on_restart: is called whenever a worker had to be replaced.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        count: int,
        *,
        limits: Limits,
        timeout_s: float,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self._sources = sources
        self._limits = limits
        self._count = count
        self._timeout_s = timeout_s
        self._on_restart = on_restart
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._workers: list[Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pids(self) -> Sequence[int]:
        """The numbers of the processes."""
        with self._lock:
            return [worker.pid for worker in self._workers]

    def start(self) -> None:
        """Start all workers and wait until their models are loaded."""
        self._workers = [self._make() for _ in range(self._count)]
        for worker in self._workers:
            worker.wait_ready()
            self._idle.put(worker)

    def run(self, job: Job, file: BinaryIO | None = None, abandoned: threading.Event | None = None) -> Any:
        """Do a job as soon as a worker is idle; raises what ``Worker.run`` raises."""
        worker = self._idle.get()
        try:
            if abandoned is not None and abandoned.is_set():
                raise AbandonedError
            return worker.run(job, file, self._timeout_s, abandoned)
        except (WorkerDied, Refusal) as error:
            if isinstance(error, WorkerDied) or error.code == "timeout":
                worker = self._replace(worker)
            raise
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            self._closed = True
            workers, self._workers = self._workers, []
        for worker in workers:
            worker.stop()

    def _make(self) -> Worker:
        return Worker(self._sources, self._limits)

    def _replace(self, worker: Worker) -> Worker:
        with self._lock:
            if self._closed:
                return worker
            log.error("worker %d died or hung; another takes its place", worker.pid)
            fresh = self._make()
            self._workers[self._workers.index(worker)] = fresh
        worker.stop()
        self._on_restart()
        return fresh


class RemoteNetwork:
    """The network of one model in the workers of a pool, for live streams.

    Args:
        pool: the workers.
        model: its name.
        running: whether the model is causal and runs on a stream; else it scores windows.
    """

    def __init__(self, pool: WorkerPool, model: str, *, running: bool = False) -> None:
        self._pool = pool
        self._model = model
        self._runs = running

    @property
    def running(self) -> RemoteNetwork | None:
        """The same network for streams, if the model is causal."""
        return self if self._runs else None

    def run(self, windows: FloatArray, wanted: frozenset[str] = frozenset()) -> Outputs:
        """Score windows as ``Network.run`` does; once more where a worker died meanwhile."""
        return cast(Outputs, self._insist(Job("windows", self._model, windows=windows, wanted=wanted)))

    def advance(self, samples: FloatArray, state: FloatArray | None) -> Advance:
        """Continue with recordings as ``RunningSession.advance`` does; once more where a worker died meanwhile."""
        return cast(Advance, self._insist(Job("advance", self._model, windows=samples, state=state)))

    def _insist(self, job: Job) -> Any:
        try:
            return self._pool.run(job)
        except WorkerDied:
            return self._pool.run(job)
