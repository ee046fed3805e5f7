# SPDX-License-Identifier: Apache-2.0
"""Fabric for a run: one device, or one for each process of a group, which DDP keeps equal."""

from __future__ import annotations

from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from auricle.errors import ConfigError
from auricle.recipe.schema import RunSection
from auricle.training.distributed import Group


def make_fabric(run: RunSection, group: Group) -> Fabric:
    """Return Fabric, ready to set modules up.

    Raises:
        ConfigError: there is no GPU where one is wanted, or fewer than processes on this machine.
    """
    require_device(run)
    device = choose_device(run.device, group, torch.cuda.device_count())
    precision = fabric_precision(run.precision, device)
    if group.size == 1:
        # The environment is named, or Fabric would make one of SLURM's variables, and refuse this single process.
        return Fabric(accelerator=device, devices=1, precision=precision, plugins=[LightningEnvironment()])
    fabric = Fabric(
        accelerator=device,
        devices=group.local_size,
        num_nodes=group.machines,
        strategy=DDPStrategy(),
        precision=precision,
        plugins=[TorchElasticEnvironment()],  # Ray Train sets the same variables
    )
    fabric.launch()
    return fabric


def require_device(run: RunSection) -> None:
    """Raise ``ConfigError`` if the recipe names a device that is not here: before any data is read."""
    if run.device == "cuda" and not torch.cuda.is_available():
        problem = "run.device = 'cuda': torch sees no CUDA device here; check the driver, or choose auto or cpu"
        raise ConfigError("the recipe cannot be carried out on this machine", [problem])


def choose_device(wanted: str, group: Group, gpus: int) -> str:
    """Return Fabric's name of the device: ``auto`` takes GPUs where every process of this machine can have one."""
    if group.size == 1:
        return wanted
    if wanted == "cuda" and gpus < group.local_size:
        raise ConfigError(
            f"{group.local_size} processes on a machine with {gpus} GPUs: each needs one of its own; "
            f"start {gpus or 'none'} there, or train on the processor with --device cpu"
        )
    if wanted == "auto":
        return "cuda" if gpus >= group.local_size else "cpu"
    return wanted


FabricPrecision = Literal["32-true", "bf16-mixed"]


def has_bf16_units(device: str) -> bool:
    """Tell whether bf16 is fast there: a CUDA device that supports it, or a CPU with AMX matrix units."""
    if device != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_amx_tile_supported())


def fabric_precision(precision: str, device: str) -> FabricPrecision:
    """Return Fabric's name of a recipe's precision; ``auto`` takes bf16 where the device has units for it."""
    if precision == "float32" or (precision == "auto" and not has_bf16_units(device)):
        return "32-true"
    return "bf16-mixed"
