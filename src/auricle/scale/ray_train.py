# SPDX-License-Identifier: Apache-2.0
"""Training on a Ray cluster: Ray Train starts the very loop that ``torchrun`` starts, on any machines it finds.

This process claims the folder, listens, and hands a wish to stop on; the workers read, train and write. They run the
loop outside their main thread, where no signal comes: the wish is a file in the run's folder (``signals``).

    this process     claim -> start -> pass on what the first worker says ... -> result
    each worker      join the group that Ray Train has set up -> train_in_claimed
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from auricle.errors import AuricleError, TrainingError
from auricle.files import atomic_write
from auricle.results import RunResult
from auricle.scale.cluster import joined_cluster

if TYPE_CHECKING:
    from auricle.progress import Progress
    from auricle.training.run import Run

#: Ray Train's own files, inside the run's folder while it lasts.
RAY_FOLDER = "ray"
_POLL_S = 0.1
#: The others wait this long at most while the first worker decodes a data set, as in ``training.distributed``.
_PATIENCE = timedelta(hours=24)


def train_on_cluster(run: Run, workers: int, progress: Progress) -> RunResult:
    """Train with several workers of a Ray cluster; see ``training.run.run_training``.

    Raises:
        AuricleError: of a worker, or if one is lost: the last checkpoint stays, and ``resume`` continues.
    """
    from ray.util.queue import Queue  # noqa: PLC0415 (the extra `scale`; what follows, the extra `train`)

    from auricle.signals import STOP_FILE  # noqa: PLC0415
    from auricle.training.run import acquire_output, stored_result  # noqa: PLC0415

    run_folder = run.folder
    with ExitStack() as stack:
        acquire_output(run, stack)
        ray = stack.enter_context(joined_cluster(workers))
        stack.enter_context(_stopping_by_file(run_folder / STOP_FILE))
        stack.callback(shutil.rmtree, run_folder / RAY_FOLDER, ignore_errors=True)
        shutil.rmtree(run_folder / RAY_FOLDER, ignore_errors=True)  # of a run that was killed: it would be restored
        told = Queue(actor_options={"num_cpus": 0})
        trainer = _trainer(ray, run, workers, told, run_folder)
        with ThreadPoolExecutor(1) as pool:  # in the main thread, Ray Train would take our signals
            future = pool.submit(trainer.fit)
            _listen(future, told, progress)
        require_success(future)
        return stored_result(run.out)


def _trainer(ray: Any, run: Run, workers: int, told: Any, folder: Path) -> Any:
    """Return what starts the workers: one processor each, and a GPU where there is one for all of them."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig  # noqa: PLC0415
    from ray.train.torch import TorchConfig, TorchTrainer  # noqa: PLC0415

    logging.getLogger("ray.train").setLevel(logging.ERROR)
    gpus = run.recipe.run.device != "cpu" and ray.cluster_resources().get("GPU", 0) >= workers
    backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
    return TorchTrainer(
        _train_one,
        train_loop_config={"run": run, "told": told, "folder": str(Path.cwd())},
        torch_config=TorchConfig(backend=backend, timeout_s=int(_PATIENCE.total_seconds())),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=bool(gpus)),
        run_config=RunConfig(
            name=RAY_FOLDER,
            storage_path=str(folder.resolve()),
            failure_config=FailureConfig(max_failures=0),
        ),
    )


def _train_one(config: dict[str, Any]) -> None:
    """Be one of the workers."""
    from auricle.progress import Telling  # noqa: PLC0415
    from auricle.training.distributed import join_group  # noqa: PLC0415
    from auricle.training.run import train_in_acquired  # noqa: PLC0415

    os.chdir(config["folder"])  # paths may be relative to where the user is
    with join_group() as group:
        train_in_acquired(config["run"], Telling(_Mail(config["told"])), group)


class _Mail:
    """Sends what happens to the process that the user sees. Not waited for: a step is shorter than an answer."""

    def __init__(self, told: Any) -> None:
        self._actor = told.actor

    def __call__(self, name: str, values: tuple[Any, ...]) -> None:
        self._actor.put_nowait.remote((name, values))


def _listen(future: Future[Any], told: Any, progress: Progress) -> None:
    """Pass on what the first worker says, until all have ended."""
    while True:
        done = future.done()  # asked before: what was sent last is still read
        for name, values in told.get_nowait_batch(told.qsize()):
            getattr(progress, name)(*values)
        if done:
            return
        time.sleep(_POLL_S)


def require_success(future: Future[Any]) -> None:
    """Raise what ended the workers: an error of ours as it is, or that one was lost."""
    error = future.exception()
    if error is None:
        return
    failures = list(getattr(error, "worker_failures", {}).values())
    causes = [getattr(failure, "_base_exc", failure) for failure in failures]
    for cause in causes:
        if isinstance(cause, AuricleError):
            raise cause from None
    said = " ".join(str(causes[0] if causes else error).split())
    raise TrainingError(f"a worker of the cluster was lost ({said}); continue with --resume") from error


@contextmanager
def _stopping_by_file(file: Path) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM ask the workers to stop: they finish the step and save. A second Ctrl-C stops at once."""
    from auricle.signals import EXIT_CODES  # noqa: PLC0415

    file.unlink(missing_ok=True)

    def ask(number: int, _frame: FrameType | None) -> None:
        if file.exists() and number == signal.SIGINT:
            raise KeyboardInterrupt
        atomic_write(file, str(EXIT_CODES[signal.Signals(number)]).encode())

    before = {number: signal.signal(number, ask) for number in EXIT_CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        file.unlink(missing_ok=True)
