# SPDX-License-Identifier: Apache-2.0
"""What a training step computes: front end, mixing, masks, network, loss. The loop only drives it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from auricle.nn.losses import training_loss
from auricle.nn.networks import Network
from auricle.training.augment import mask_features
from auricle.training.dataset import Batch


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

    def forward(self, batch: Batch, partner: Tensor, share: Tensor) -> dict[str, Tensor]:
        """Return the loss and its parts for a batch whose items are mixed with their partners."""
        share_x = share.view(-1, *[1] * (batch.inputs.dim() - 1))
        inputs = torch.lerp(batch.inputs[partner], batch.inputs, share_x)
        targets = torch.lerp(batch.targets[partner], batch.targets, share[:, None])
        with torch.no_grad():
            features = inputs if self.is_logmel else self.network.features(inputs)
            features = mask_features(features, batch.masks)
        target = self.target
        return training_loss(
            self.network.classify(features),
            targets,
            batch.weights,
            task=target.task,
            negatives=target.negatives,
            temperature=target.temperature,
        )
