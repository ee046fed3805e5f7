# SPDX-License-Identifier: Apache-2.0
"""What a training step computes: mixing, front end, masks, network, loss. The loop only drives it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from auricle.batches.augment.crop import equalise, level_shares, mask_features
from auricle.batches.crops import Batch, FrameTargets
from auricle.batches.sampling import Mixture
from auricle.distill.loss import DistillationLoss
from auricle.distill.targets import TeacherBatch
from auricle.nn.losses import training_loss
from auricle.nn.networks import Network


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


def mix(batch: Batch, mixture: Mixture, *, by_level: bool = False) -> Batch:
    """Mix each of a process's own items with its partner, which may lie behind them; returns the own items.

    Args:
        batch: what was read.
        mixture: partners and shares.
        by_level: shares are of loudness, where items are waveforms (``augment.level_shares``).
    """
    own = len(mixture.share)
    partner = torch.from_numpy(mixture.partner).to(batch.inputs.device)
    share = torch.from_numpy(mixture.share).to(batch.inputs.device)
    first, second = batch.inputs[:own], batch.inputs[partner]
    if by_level and first.dim() == 2:
        share_1, share_2 = level_shares(first, second, share)
        inputs = share_1 * first + share_2 * second
    else:
        inputs = torch.lerp(second, first, share.view(-1, *[1] * (first.dim() - 1)))
    return Batch(
        inputs,
        batch.masks[:own],
        batch.equalisers[:own],
        torch.lerp(batch.targets[partner], batch.targets[:own], share[:, None]),
        batch.weights[:own],
        batch.clips[:own],
        _mix_teacher(batch.taught, partner, share),
        _mix_timed(batch.timed, partner, share),
    )


def _mix_teacher(taught: TeacherBatch, partner: Tensor, share: Tensor) -> TeacherBatch:
    """Mix what a teacher says by the same shares; a mix is unheard if one of its two was."""

    def blend(values: Tensor) -> Tensor:
        return torch.lerp(values[partner], values[: len(share)], share.view(-1, *[1] * (values.dim() - 1)))

    alone = (share == 1).to(taught.heard.dtype)
    heard = taught.heard[: len(share)] * torch.maximum(taught.heard[partner], alone)
    return TeacherBatch(blend(taught.scores), blend(taught.embedding), blend(taught.windows), heard)


def _mix_timed(timed: FrameTargets, partner: Tensor, share: Tensor) -> FrameTargets:
    """Mix frame targets by the same shares; of a mix is known what is known of both, where both are heard."""
    own = len(share)
    frames = torch.lerp(timed.frames[partner], timed.frames[:own], share[:, None, None])
    both = torch.maximum(timed.known[partner], (share == 1).to(timed.known.dtype)[:, None])
    return FrameTargets(frames, timed.known[:own] * both)


class Objective(nn.Module):
    """A network and its loss as one module, so that mixed precision and DDP wrap a whole step.

    Args:
        network: maps waveforms to ``NetworkOutput``.
        target: what is learnt.
        is_logmel: inputs are log-mels already.
        distillation: what is learnt from a teacher beside the targets.
        frame_weight: of the frame targets, where labels say when.
    """

    def __init__(
        self,
        network: Network,
        target: Target,
        *,
        is_logmel: bool,
        distillation: DistillationLoss | None = None,
        frame_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.distillation = distillation
        self.target = target
        self.is_logmel = is_logmel
        self.frame_weight = frame_weight

    def _equalised(self, features: Tensor, batch: Batch) -> Tensor:
        return equalise(features, batch.equalisers * self.network.log_scale) if features.dim() == 3 else features

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the loss and its parts for a mixed batch."""
        with torch.no_grad():
            features = batch.inputs if self.is_logmel else self.network.features(batch.inputs)
            features = mask_features(self._equalised(features, batch), batch.masks)
        target, output = self.target, self.network.classify(features)
        parts = training_loss(
            output,
            batch.targets,
            batch.weights,
            task=target.task,
            negatives=target.negatives,
            temperature=target.temperature,
            frames=batch.timed.frames,
            known=batch.timed.known,
            frame_weight=self.frame_weight,
        )
        if self.distillation is None:
            return parts
        extra = self.distillation(output, batch.taught)
        return {**parts, **extra, "loss": parts["loss"] + torch.stack(list(extra.values())).sum()}
