# SPDX-License-Identifier: Apache-2.0
"""When a device has too little memory for a batch: the same batch, computed in more and smaller parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from auricle.errors import TrainingError

#: What batch norms remember of the batches that they have seen.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def more_parts(parts: int, size: int, device: torch.device, error: torch.OutOfMemoryError) -> int:
    """Return into how many parts to divide a batch of ``size`` clips where ``parts`` were too few.

    Raises:
        TrainingError: each part is one clip already.
    """
    if parts >= size:
        raise TrainingError(
            f"one clip at a time is too much for the memory of {device}: lower data.clip_s or model.width, "
            "choose run.precision=bf16, or train on another device; the last checkpoint is intact"
        ) from error
    return min(size, 2 * parts)


def norm_statistics(network: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the statistics of all norms."""
    return {name: value.clone() for name, value in network.named_buffers() if name.endswith(_STATISTICS)}


def put_back(network: nn.Module, statistics: dict[str, Tensor]) -> None:
    """Undo what the parts of an unfinished step did to the norms, and free what they held."""
    for name, value in network.named_buffers():
        if name in statistics:
            value.copy_(statistics[name])
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
