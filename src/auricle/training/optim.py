# SPDX-License-Identifier: Apache-2.0
"""What moves weights: the optimiser, its learning rate, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import compress

import torch
from torch import Tensor, nn

from auricle.recipe.schema import Recipe
from auricle.training.checkpoint import State, restore_optimizer


def learning_rate_factor(step: int, total: int, warmup: int, schedule: str) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then cosine to zero or constant."""
    warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if schedule == "constant":
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * step / total))


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights, and the batch norms' statistics, towards the network's."""
    means, values = list(averaged.state_dict().values()), list(network.state_dict().values())
    floating = [mean.dtype.is_floating_point for mean in means]
    # All at once: on a GPU the launch of an operation takes longer than the operation.
    torch._foreach_lerp_(list(compress(means, floating)), list(compress(values, floating)), 1 - decay)
    for mean, value, lerped in zip(means, values, floating, strict=True):
        if not lerped:
            mean.copy_(value)


def blend(first: Mapping[str, Tensor], last: Mapping[str, Tensor], keep: float) -> dict[str, Tensor]:
    """Return weights that are so much of the first ones, and the rest of the last ones (WiSE-FT, Wortsman et al. 2022).

    >>> blend({"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}, 0.25)
    {'w': tensor([2.5000])}
    """
    return {k: torch.lerp(v, first[k], keep) if v.dtype.is_floating_point else v for k, v in last.items()}


def make_optimizer(modules: Sequence[nn.Module], recipe: Recipe) -> torch.optim.Optimizer:
    """Return AdamW that decays matrices and spares biases and norms."""
    parameters = [p for m in modules for p in m.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.optim.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.optim.lr, fused=True)


def restore(
    state: State,
    network: nn.Module,
    averaged: nn.Module,
    losses: nn.ModuleDict,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put a checkpoint's tensors where they belong; a fresh state changes nothing."""
    if state.step == 0:
        return
    network.load_state_dict(state.part("model"))
    averaged.load_state_dict(state.part("ema"))
    for loss in losses.values():
        loss.load_state_dict({name: state.tensors[f"aux.{name}"] for name in loss.state_dict()})
    restore_optimizer(optimizer, state.part("optim"))
