# SPDX-License-Identifier: Apache-2.0
"""Several processes that train together, forked from this one so that nothing is imported twice.

crowd(2, lambda group: ..., tmp_path)        # what each returned, in order; an error of one is raised here
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch

from auricle.training.distributed import Group, join_group

PATIENCE_S = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def launch_environment(rank: int, size: int, port: int) -> dict[str, str]:
    """Return what torchrun tells a process."""
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def crowd(size: int, action: Callable[[Group], Any], *, joined: bool = True) -> list[Any]:
    """Run ``action`` in ``size`` processes; with ``joined`` False it has to join the group by itself."""
    context = multiprocessing.get_context("fork")
    port, pipes, children = free_port(), [], []
    for rank in range(size):
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_member, args=(rank, size, port, action, joined, sender))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: a fork of a process with threads
            child.start()
        sender.close()
        pipes.append(receiver)
        children.append(child)
    try:
        told = [_receive(pipe) for pipe in pipes]
    finally:
        for child in children:
            child.join(1)
            child.kill()
            child.join()
    failures = [text for kind, text in told if kind == "error"]
    assert failures == [], "\n".join(failures)
    return [value for _, value in told]


def _receive(pipe: Any) -> tuple[str, Any]:
    if not pipe.poll(PATIENCE_S):
        return "error", f"nothing within {PATIENCE_S} s"
    try:
        return pipe.recv()
    except EOFError:
        return "error", "a process ended without a word"


def _member(rank: int, size: int, port: int, action: Callable[[Group], Any], joined: bool, pipe: Any) -> None:
    os.environ.update(launch_environment(rank, size, port))
    torch.set_num_threads(1)
    try:
        if joined:
            with join_group() as group:
                pipe.send(("value", action(group)))
        else:
            pipe.send(("value", action(Group(rank, size))))
    except BaseException:  # noqa: BLE001 (whatever it is, the parent is told)
        pipe.send(("error", traceback.format_exc()))
    os._exit(0)
