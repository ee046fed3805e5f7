# SPDX-License-Identifier: Apache-2.0
"""Saving and finding the state of a run. No pickle: tensors in safetensors, the rest as JSON in its header.

A checkpoint's file name carries its step and the SHA-256 of its content, so one rename publishes both, and
a damaged file is known by its name. The last few stay, so a good one is always there; each holds the best
weights so far, so these never go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from auricle import __version__
from auricle.errors import RunError, TrainingError
from auricle.files import atomic_write, sha256_bytes

#: How many checkpoints stay, unless the recipe says otherwise.
KEEP = 2
#: Of what a checkpoint says. A later auricle raises it when an earlier one could not resume from its checkpoints.
FORMAT = 1
_NAME = re.compile(r"checkpoint-(\d{8})-([0-9a-f]{64})\.safetensors")


@dataclass
class State:
    """Everything that a run needs to continue.

    Attributes:
        tensors: by name: ``model.*``, ``ema.*``, ``best.*``, ``begin.*``, ``optim.<parameter>.<slot>``;
            ``final.*`` is what is shipped, after the last step.
        step: steps done.
        best_score: best dev score so far; None before the first.
        best_epoch: epoch of it, counted from 1; 0 are the weights to begin with, where these were fitted.
        first_figures: dev figures of those.
        history: one row an epoch, as logged. An epoch whose last step is done and that has no row is to be scored.
        losses: of the steps of the unfinished epoch.
        micro_batches: parts that a batch has to be computed in, because the whole did not fit into memory.
        skipped_clips: numbers of clips that are not read any more, because processes died of them.
        fingerprint: what must not change between runs: recipe, data, code.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    best_score: float | None = None
    best_epoch: int = 0
    first_figures: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    micro_batches: int = 1
    skipped_clips: list[int] = field(default_factory=list)
    fingerprint: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors under ``name.``, without that prefix."""
        return {k.removeprefix(f"{name}."): v for k, v in self.tensors.items() if k.startswith(f"{name}.")}


def save_checkpoint(folder: Path, state: State, keep: int = KEEP) -> Path:
    """Write a checkpoint, then drop all but the last ``keep``; returns its path.

    Raises:
        TrainingError: the disk is full or fails; the checkpoints before it are untouched.
    """
    header = asdict(State(**{**vars(state), "tensors": {}}))
    del header["tensors"]
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.tensors.items()}
    metadata = json.dumps({"format": FORMAT, "auricle": __version__, **header})
    content = save_tensors(tensors, metadata={"auricle": metadata})
    path = folder / f"checkpoint-{state.step:08d}-{sha256_bytes(content)}.safetensors"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write(path, content)
        for old in find_checkpoints(folder)[:-keep]:
            old.unlink(missing_ok=True)
    except OSError as error:
        kept = [other.name for other in find_checkpoints(folder) if other != path]
        raise TrainingError(
            f"the checkpoint of step {state.step} ({len(content)} bytes) cannot be written into {folder}: "
            f"{error.strerror}; {f'{kept[-1]} is intact' if kept else 'there is none before it'}: "
            "see to the disk, then continue with --resume"
        ) from error
    return path


def find_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    found = [(match.group(1), path) for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def load_checkpoint(path: Path) -> State:
    """Read a checkpoint; raises ``RunError`` if its content is not what its name says, or cannot be used."""
    content = path.read_bytes()
    damage = damage_of(path.name, content)
    if damage is not None:
        others = [other.name for other in find_checkpoints(path.parent) if other != path]
        way_out = f"delete it to resume from {others[-1]}" if others else "start again with --overwrite"
        raise RunError(f"{path} is damaged: {damage}; {way_out}")
    try:
        header = json.loads(_header_of(content)["__metadata__"]["auricle"])
        tensors = load_tensors(content)
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise RunError(f"{path} is no checkpoint of auricle's; start again with --overwrite") from error
    return _state_of(header, tensors, path)


def _state_of(header: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> State:
    """Return the state that a checkpoint holds; ``RunError`` if it was made by a later version or is of no use."""
    maker, version = header.pop("auricle", "0.1"), header.pop("format", 1)
    if "quarantine" in header:  # its name up to version 0.1
        header["skipped_clips"] = header.pop("quarantine")
    if version > FORMAT or set(header) - {f.name for f in fields(State)}:
        raise RunError(
            f"{path} was made by auricle {maker} (format {version}), this is auricle {__version__} (format {FORMAT}): "
            "upgrade with `pip install -U auricle`"
        )
    bad = [k for k, v in tensors.items() if k.startswith("model.") and not torch.isfinite(v).all()]
    if bad:
        raise RunError(f"{path} holds weights that are not finite ({bad[0]}); delete it, or start with --overwrite")
    return State(tensors=tensors, **header)


def damage_of(name: str, content: bytes) -> str | None:
    """Say what is wrong with the content of a checkpoint of this name; None if it is what was written."""
    match = _NAME.fullmatch(name)
    if match is not None and sha256_bytes(content) == match.group(2):
        return None
    try:
        ends = [entry["data_offsets"][1] for key, entry in _header_of(content).items() if key != "__metadata__"]
        declared = 8 + int.from_bytes(content[:8], "little") + max(ends)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        declared = len(content)  # the header is lost too: nothing says how long it was
    if len(content) < declared:
        return f"truncated, {len(content)} of {declared} bytes"
    return f"{len(content)} bytes whose SHA-256 is not the one in its name"


def _header_of(content: bytes) -> dict[str, Any]:
    """Return the JSON at the beginning of a safetensors file; raises ``ValueError`` if there is none."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    if not isinstance(header, dict):
        raise ValueError("the header is no table")
    return header


def last_good_state(folder: Path, notice: Callable[[str], None], *, put_aside: bool = True) -> State | None:
    """Return the newest state of a folder that can be read, or None if nothing was saved yet.

    A damaged checkpoint is named, renamed if it is to be put aside, and the one before it is taken: from there the
    run computes the same bits again.

    Raises:
        RunError: all of them are damaged, or the newest was made by a later version.
    """
    found = find_checkpoints(folder)
    for path in reversed(found):
        damage = damage_of(path.name, path.read_bytes())
        if damage is None:
            return load_checkpoint(path)
        notice(f"the checkpoint {path.name} is damaged ({damage}); taking the one before it")
        if put_aside:
            path.replace(path.with_name(f"damaged-{path.name}"))
    if found:
        raise RunError(f"all {len(found)} checkpoints in {folder} are damaged; start again with --overwrite")
    return None


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
