# SPDX-License-Identifier: Apache-2.0
"""The models of a server and the workers that run them, seen from the event loop.

Requests are scored one by one, each by the next idle worker: batches of windows of several requests were measured
no faster on processors (see ``runtime.scoring``), and would let one recording delay another.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from auricle.audio.decode import Limits
from auricle.errors import UsageError
from auricle.registry import nearest
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.spec import STREAM_FILES, BundleSpec
from auricle.server.responses import Refusal
from auricle.server.settings import Settings
from auricle.server.uploads import Upload
from auricle.server.workers import Job, RemoteNetwork, Source, WorkerDied, WorkerPool

R = TypeVar("R")


class Engine:
    """Holds the table of models; ``start`` loads them in the workers.

    Args:
        models: names or folders, as for ``auricle.load``; the first one is the default.
        settings: how many workers, and their limits.
        precision: ``float32`` or ``int8``.
        on_restart: is called when a worker had to be replaced.

    Raises:
        UsageError: no such model, a damaged one, or two of the same name.
    """

    def __init__(
        self,
        models: list[str],
        settings: Settings,
        *,
        precision: str = "float32",
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        bundles = [load_bundle(resolve_model(name)) for name in models]
        self.specs: Mapping[str, BundleSpec] = {bundle.spec.name: bundle.spec for bundle in bundles}
        if len(self.specs) < len(bundles):
            names = ", ".join(bundle.spec.name for bundle in bundles)
            raise UsageError(f"two of the models have the same name: {names}; clients could not tell them apart")
        self._stream_file = STREAM_FILES.get(precision, "")
        sources = {bundle.spec.name: Source(str(bundle.path), precision) for bundle in bundles}
        limits = Limits(max_duration_s=settings.max_audio_s)

        def pool(count: int) -> WorkerPool:
            return WorkerPool(sources, count, limits=limits, timeout_s=settings.job_timeout_s, on_restart=on_restart)

        self.files, self.windows = pool(settings.workers), pool(settings.stream_workers)
        self._file_threads = ThreadPoolExecutor(settings.workers, "auricle-files")
        self._stream_threads = ThreadPoolExecutor(settings.stream_workers + 1, "auricle-streams")

    @property
    def default(self) -> str:
        """The model that is used where none is named."""
        return next(iter(self.specs))

    def spec(self, name: str | None) -> BundleSpec:
        """Return the model of this name, the default one if None; the table is the only place where is looked."""
        if name is None:
            return self.specs[self.default]
        if name not in self.specs:
            raise Refusal(
                "unknown_model", f"no model of this name{nearest(name, self.specs)}; GET /v1/models lists them"
            )
        return self.specs[name]

    async def start(self) -> None:
        """Start the workers; returns when all models are loaded."""
        await asyncio.gather(asyncio.to_thread(self.files.start), asyncio.to_thread(self.windows.start))

    async def score(self, job: Job, upload: Upload) -> Any:
        """Score an upload; raises what its worker raises, and ``Refusal`` where the worker died.

        Who is cancelled while its recording waits for a worker leaves nothing behind; one at work is told to stop.
        """
        content = upload.content()
        if content is not None:
            job, file = replace(job, content=content), None
        else:
            file = upload.file
        abandoned = threading.Event()
        work = self._file_threads.submit(self.files.run, job, file, abandoned)
        try:
            return await asyncio.wrap_future(work)
        except WorkerDied:
            raise Refusal("internal", "the work on this recording ended unexpectedly; do not send it again") from None
        except asyncio.CancelledError:
            abandoned.set()
            await _ended(work)  # until then the thread may still use the upload
            raise

    def network(self, model: str) -> RemoteNetwork:
        """Return the network of a model for one live stream."""
        return RemoteNetwork(self.windows, model, running=self._stream_file in self.specs[model].sha256)

    async def compute(self, call: Callable[[], R]) -> R:
        """Run the work of a live stream in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._stream_threads, call)

    def close(self) -> None:
        """End all workers; work that is left fails."""
        self.files.close()
        self.windows.close()
        self._file_threads.shutdown(wait=False, cancel_futures=True)
        self._stream_threads.shutdown(wait=False, cancel_futures=True)


async def _ended(work: Future[Any]) -> None:
    """Wait until a thread is done with its work, however often this is cancelled."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.02)
