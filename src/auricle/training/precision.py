# SPDX-License-Identifier: Apache-2.0
"""Which arithmetic a device does best."""

from __future__ import annotations

from typing import Literal

import torch

from auricle.errors import ConfigError

FabricPrecision = Literal["32-true", "bf16-mixed"]


def has_bf16_units(device: str) -> bool:
    """Tell whether bf16 is fast there: a CUDA device that supports it, or a CPU with AMX matrix units."""
    if device != "cpu" and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_amx_tile_supported())


def fabric_precision(precision: str, device: str) -> FabricPrecision:
    """Return Fabric's name of a recipe's precision; ``auto`` takes bf16 where the device has units for it.

    Raises:
        ConfigError: the device is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        problem = "run.device = 'cuda': torch sees no CUDA device here; check the driver, or choose auto or cpu"
        raise ConfigError("the recipe cannot be carried out on this machine", [problem])
    if precision == "float32" or (precision == "auto" and not has_bf16_units(device)):
        return "32-true"
    return "bf16-mixed"
