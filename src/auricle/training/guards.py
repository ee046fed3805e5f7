# SPDX-License-Identifier: Apache-2.0
"""When a device has too little memory for a batch: the same batch, computed in more and smaller parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from auricle.errors import TrainingError
from auricle.results import FloatArray

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


#: A loss so many times the epoch's median is a spike ...
SPIKE = 10.0
#: ... in an epoch of at least so many steps: the median of fewer says little.
LEAST_STEPS = 8
#: Scores that differ by less over all recordings say nothing about them.
CONSTANT = 1e-6


def spike_in(losses: Sequence[float]) -> str | None:
    """Say if a loss of an epoch stands far above the others.

    >>> spike_in([1.0] * 9 + [30.0])
    'the loss rose to 30 in its step 10, 30 times the median; look at the data, or lower optim.lr'
    >>> spike_in([1.0] * 10)
    """
    if len(losses) < LEAST_STEPS:
        return None
    median, worst = float(np.median(losses)), int(np.argmax(losses))
    if not losses[worst] > SPIKE * median > 0:
        return None
    return (
        f"the loss rose to {losses[worst]:.3g} in its step {worst + 1}, {losses[worst] / median:.0f} times the "
        "median; look at the data, or lower optim.lr"
    )


def constant_scores(scores: FloatArray) -> str | None:
    """Say if a network gives every recording the same scores.

    Args:
        scores: ``(clip, label)``.
    """
    if len(scores) < 2 or float(np.ptp(scores, axis=0).max()) > CONSTANT:
        return None
    return f"all {len(scores)} dev outputs are identical (collapsed); lower optim.lr"
