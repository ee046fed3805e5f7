# SPDX-License-Identifier: Apache-2.0
"""Fabric for a run: one device, or one for each process of a group, which DDP keeps equal."""

from __future__ import annotations

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from auricle.config import RunSection
from auricle.errors import ConfigError
from auricle.training.group import Group
from auricle.training.precision import fabric_precision


def make_fabric(run: RunSection, group: Group) -> Fabric:
    """Return Fabric, ready to set modules up.

    Raises:
        ConfigError: if there are fewer GPUs than processes on this machine.
    """
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
