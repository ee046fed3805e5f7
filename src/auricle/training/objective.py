# SPDX-License-Identifier: Apache-2.0
"""What a training step computes: mixing, front end, masks, network, loss. The loop only drives it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from auricle.batches.augment.crop import equalise, level_weights, mask_features
from auricle.batches.sampling import Mixup
from auricle.batches.targets import Batch, TargetSource
from auricle.nn.losses import total_loss
from auricle.nn.networks import Network


def mix(batch: Batch, mixup: Mixup, sources: Sequence[TargetSource[Any]], *, by_level: bool = False) -> Batch:
    """Mix each of a process's own items with its partner, which may lie behind them; returns the own items.

    Args:
        batch: what was read.
        mixup: partners and weights.
        sources: of the targets.
        by_level: weights are of loudness, where items are waveforms (``augment.level_weights``).
    """
    own = len(mixup.weight)
    partner = torch.from_numpy(mixup.partner).to(batch.inputs.device)
    weight = torch.from_numpy(mixup.weight).to(batch.inputs.device)
    first, second = batch.inputs[:own], batch.inputs[partner]
    if by_level and first.dim() == 2:
        own_level, partner_level = level_weights(first, second, weight)
        inputs = own_level * first + partner_level * second
    else:
        inputs = torch.lerp(second, first, weight.view(-1, *[1] * (first.dim() - 1)))
    return Batch(
        inputs,
        batch.masks[:own],
        batch.equalisers[:own],
        batch.weights[:own],
        batch.clips[:own],
        {source.name: source.mix(batch.targets[source.name], partner, weight) for source in sources},
    )


class Objective(nn.Module):
    """A network and its loss as one module, so that mixed precision and DDP wrap a whole step.

    Args:
        network: maps waveforms to ``NetworkOutput``.
        losses: of each source of targets, by its name.
        is_logmel: inputs are log-mels already.
    """

    def __init__(self, network: Network, losses: Mapping[str, nn.Module], *, is_logmel: bool) -> None:
        super().__init__()
        self.network = network
        self.losses = nn.ModuleDict(losses)
        self.is_logmel = is_logmel

    def _equalised(self, features: Tensor, batch: Batch) -> Tensor:
        return equalise(features, batch.equalisers * self.network.log_scale) if features.dim() == 3 else features

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss and its parts for a mixed batch."""
        with torch.no_grad():
            features = batch.inputs if self.is_logmel else self.network.features(batch.inputs)
            features = mask_features(self._equalised(features, batch), batch.masks)
        output = self.network.classify(features)
        by_source: list[dict[str, Tensor]] = [loss(output, batch) for loss in self.losses.values()]
        totals = [total_loss(parts) for parts in by_source if parts]
        return {"loss": torch.stack(totals).sum(), **{k: v for parts in by_source for k, v in parts.items()}}
