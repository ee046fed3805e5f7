# SPDX-License-Identifier: Apache-2.0
"""Saving and finding the state of a run. No pickle: tensors in safetensors, the rest as JSON in its header.

A checkpoint's file name carries its step and the SHA-256 of its content, so one rename publishes both, and
a damaged file is known by its name. The last ``KEEP`` stay, so a good one is always there.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from auricle.errors import RunError
from auricle.files import atomic_write, sha256_bytes

KEEP = 2
_NAME = re.compile(r"checkpoint-(\d{8})-([0-9a-f]{64})\.safetensors")


@dataclass
class State:
    """Everything that a run needs to go on.

    Attributes:
        tensors: by name: ``model.*``, ``ema.*``, ``best.*``, ``optim.<parameter>.<slot>``.
        step: steps done.
        best_score: best dev score so far; None before the first.
        best_epoch: epoch of it, counted from 1.
        history: one row an epoch, as logged.
        losses: of the steps of the unfinished epoch.
        fingerprint: what must not change between runs: recipe, data, code version.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    best_score: float | None = None
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    fingerprint: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors under ``name.``, without that prefix."""
        return {k.removeprefix(f"{name}."): v for k, v in self.tensors.items() if k.startswith(f"{name}.")}


def save_checkpoint(folder: Path, state: State) -> Path:
    """Write a checkpoint, then drop all but the last ``KEEP``; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    header = {
        "step": state.step,
        "best_score": state.best_score,
        "best_epoch": state.best_epoch,
        "history": state.history,
        "losses": state.losses,
        "fingerprint": state.fingerprint,
    }
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.tensors.items()}
    content = save_tensors(tensors, metadata={"auricle": json.dumps(header)})
    path = folder / f"checkpoint-{state.step:08d}-{sha256_bytes(content)}.safetensors"
    atomic_write(path, content)
    for old in find_checkpoints(folder)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def find_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    found = [(match.group(1), path) for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint; raises ``RunError`` if its content is not what its name says."""
    match = _NAME.fullmatch(path.name)
    content = path.read_bytes()
    if match is None or sha256_bytes(content) != match.group(2):
        others = [other.name for other in find_checkpoints(path.parent) if other != path]
        way_out = f"delete it to resume from {others[-1]}" if others else "start again with --overwrite"
        raise RunError(f"{path} is damaged: {len(content)} bytes whose SHA-256 is not the one in its name; {way_out}")
    header_size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + header_size])["__metadata__"]["auricle"])
    return State(tensors=load_tensors(content), **header)


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as tensors by ``<parameter>.<slot>``."""
    slots = optimizer.state_dict()["state"]
    return {f"{i}.{slot}": torch.as_tensor(value) for i, values in slots.items() for slot, value in values.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Load what ``optimizer_tensors`` returned; hyper-parameters stay the optimiser's own."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, slot = name.split(".", 1)
        like = parameters[int(index)]
        if value.shape == like.shape:  # fused kernels walk weights and moments in one order of memory
            value = torch.empty_like(like).copy_(value)  # noqa: PLW2901
        slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
