# SPDX-License-Identifier: Apache-2.0
"""The processes that train one model together: one alone, or several that ``torchrun`` or Ray Train started.

Both launchers tell a process its place by the same environment variables (``RANK``, ``WORLD_SIZE``, ...). The first
process alone reads data, decides and writes; the others are told what it found. What is sent here is small and
goes over the CPU; gradients are Fabric's business.

    with join_group() as group:
        material = group.first(lambda: prepare(...))     # the first process acts, all get the result, or its error
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn

from auricle.errors import AuricleError, ConfigError, TrainingError

T = TypeVar("T")

#: The others wait this long at most while the first process decodes a data set. One that dies is noticed at once.
PATIENCE = timedelta(hours=24)


@dataclass(frozen=True)
class Group:
    """This process's place among those that train together; the default is to be alone.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
        local_rank: number of this process on its machine.
        local_size: processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that decides, speaks and writes."""
        return self.rank == 0

    @property
    def machines(self) -> int:
        """Number of machines, each with as many processes as this one."""
        return self.size // self.local_size

    def first(self, action: Callable[[], T]) -> T:
        """Let the first process act; every process gets what it returned, or raises what it raised.

        Raises:
            AuricleError: of the first process, in all of them.
            TrainingError: in all, if the first one failed in any other way.
        """
        if self.size == 1:
            return action()
        box: list[Any] = [None, None]
        if self.leads:
            try:
                box[0] = action()
            except Exception as error:  # noqa: BLE001 (the others wait: whatever it is, they are told)
                box[1] = _tellable(error)
        distributed.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        result, failure = box
        if failure is not None:
            raise failure
        return cast("T", result)

    def wait(self) -> None:
        """Return when every process has come here."""
        self.gather([])

    def gather(self, values: Sequence[float]) -> Tensor:
        """Return the numbers of all processes, shape ``(process, value)``."""
        own = torch.tensor(values, dtype=torch.float64)
        if self.size == 1:
            return own[None]
        everybody = torch.empty(self.size, len(values), dtype=torch.float64)
        distributed.all_gather(list(everybody), own)
        return everybody

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """Return this process's part of some items, every n-th."""
        return items[self.rank :: self.size]

    def gather_shards(self, own: list[T]) -> list[T]:
        """Join what all processes made of the items they were given, in the items' order."""
        if self.size == 1:
            return own
        parts: list[list[T]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(parts, own)
        return [parts[i % self.size][i // self.size] for i in range(sum(map(len, parts)))]

    def copy_buffers(self, module: nn.Module) -> None:
        """Give every process the first one's buffers (the statistics of batch norms)."""
        if self.size == 1:
            return
        for buffer in module.buffers():
            distributed.broadcast(buffer, src=0)


ALONE = Group()


def _tellable(error: Exception) -> AuricleError:
    """Return an error that can be sent to the other processes and says all that the user needs."""
    if isinstance(error, AuricleError):
        return error
    told = TrainingError(f"the first process failed: {type(error).__name__}: {error}")
    told.__cause__ = error
    return told


@contextmanager
def join_group() -> Iterator[Group]:
    """Join the processes that the environment names; without a launcher, or with one process, be alone.

    Raises:
        ConfigError: if the environment names only a part of what is needed.
    """
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        yield ALONE
        return
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} not set: start the processes with torchrun, or unset it"
        )
    started = not distributed.is_initialized()  # Ray Train has done it already
    if started:
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Group(_number("RANK", 0), size, _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", size))
    finally:
        if started:
            distributed.destroy_process_group()


def _number(name: str, otherwise: int) -> int:
    """Return an environment variable as a number."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else otherwise
