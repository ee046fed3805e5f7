# SPDX-License-Identifier: Apache-2.0
"""What a training step computes: mixing, front end, masks, network, loss. The loop only drives it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from auricle.nn.losses import training_loss
from auricle.nn.networks import Network
from auricle.training.augment import mask_features
from auricle.training.dataset import Batch
from auricle.training.sharing import Mixture


@dataclass(frozen=True)
class Target:
    """What is to be learnt.

    Attributes:
        task: ``single`` or ``multi``.
        negatives: whether clips without any class take part.
        temperature: see ``losses.training_loss``.
    """

    task: str
    negatives: bool
    temperature: float = 1.0


def mix(batch: Batch, mixture: Mixture) -> Batch:
    """Mix each of a process's own items with its partner, which may lie behind them; returns the own items."""
    own = len(mixture.share)
    partner = torch.from_numpy(mixture.partner).to(batch.inputs.device)
    share = torch.from_numpy(mixture.share).to(batch.inputs.device)
    share_x = share.view(-1, *[1] * (batch.inputs.dim() - 1))
    return Batch(
        torch.lerp(batch.inputs[partner], batch.inputs[:own], share_x),
        batch.masks[:own],
        torch.lerp(batch.targets[partner], batch.targets[:own], share[:, None]),
        batch.weights[:own],
        batch.clips[:own],
    )


class Objective(nn.Module):
    """A network and its loss as one module, so that mixed precision and DDP wrap a whole step.

    Args:
        network: maps waveforms to ``NetworkOutput``.
        target: what is learnt.
        is_logmel: inputs are log-mels already.
    """

    def __init__(self, network: Network, target: Target, *, is_logmel: bool) -> None:
        super().__init__()
        self.network = network
        self.target = target
        self.is_logmel = is_logmel

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss and its parts for a mixed batch."""
        with torch.no_grad():
            features = batch.inputs if self.is_logmel else self.network.features(batch.inputs)
            features = mask_features(features, batch.masks)
        target = self.target
        return training_loss(
            self.network.classify(features),
            batch.targets,
            batch.weights,
            task=target.task,
            negatives=target.negatives,
            temperature=target.temperature,
        )
