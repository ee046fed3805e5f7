# SPDX-License-Identifier: Apache-2.0
"""What training minimises, as named and weighted parts; their sum is the loss.

Weak labels say more than they seem to: a class that is *absent* from a clip is absent from every frame of
it. So besides the clip loss, frames of absent classes are pushed to zero, which keeps a detector quiet
between events and on negatives. Where labels say when, every frame has a target of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from auricle.nn.network import NetworkOutput

#: Weight of the frame part beside the clip part.
ABSENT_WEIGHT = 0.5
#: Pooled scores of frames are at least this far from 0, so that their gradient is finite.
_LEAST = 1e-4
#: Weight of the per-class part beside the one-of-n part, where frame scores exist.
PRESENCE_WEIGHT = 0.5


def with_none(logits: Tensor) -> Tensor:
    """Append the logit 0 of "none of the classes", shape ``(batch, label + 1)``."""
    return nn.functional.pad(logits, (0, 1))


def single_scores(clip_logits: Tensor, *, negatives: bool) -> Tensor:
    """Return softmax clip scores ``(batch, label)``; with negatives they sum to at most 1.

    Read as: independent detectors with odds ``exp(logit)``, given that at most one class is present.
    """
    if not negatives:
        return torch.softmax(clip_logits, dim=-1)
    return torch.softmax(with_none(clip_logits), dim=-1)[..., :-1]


def clip_scores(clip_logits: Tensor, task: str, *, negatives: bool) -> Tensor:
    """Return clip scores in [0, 1] of either task."""
    return single_scores(clip_logits, negatives=negatives) if task == "single" else torch.sigmoid(clip_logits)


def _one_of_n(logits: Tensor, targets: Tensor, temperature: float, *, negatives: bool) -> Tensor:
    """Cross-entropy with soft targets ``(batch, label)``, per item."""
    if negatives:
        logits = with_none(logits)
        targets = torch.cat([targets, (1 - targets.sum(-1, keepdim=True)).clamp_min(0)], dim=-1)
    log_scores = torch.log_softmax(logits / temperature, dim=-1)
    return -(targets * log_scores).sum(-1) * temperature**2


def clip_losses(
    output: NetworkOutput,
    targets: Tensor,
    weights: Tensor,
    *,
    task: str,
    negatives: bool,
    temperature: float = 1.0,
    absent: bool = True,
    instances: float = 0.0,
) -> dict[str, Tensor]:
    """Return the parts of the loss that labels of clips give, each a mean over the batch.

    Args:
        output: of the network.
        targets: ``(batch, label)`` in [0, 1]; a row of zeros is a negative.
        weights: ``(batch,)``, the weight of each item (class balance).
        task: ``single`` (cross-entropy over the labels) or ``multi`` (binary cross-entropy for each).
        negatives: whether clips of no class take part.
        temperature: divides the logits of the one-of-n part (Hinton et al. 2015).
        absent: whether frames of absent classes are pushed to zero; not where frames have targets of their own.
        instances: weight of pooled frame scores against the labels that are there.
    """
    presence = nn.functional.binary_cross_entropy_with_logits(output.clip_logits, targets, reduction="none")
    parts: dict[str, Tensor] = {}
    if task == "single":
        clip = _one_of_n(output.clip_logits, targets, temperature, negatives=negatives)
        if output.frame_logits is not None:
            parts["presence"] = PRESENCE_WEIGHT * (presence.sum(-1) * weights).mean()
    else:
        clip = presence.sum(-1)
    parts["clip"] = (clip * weights).mean()
    if output.frame_logits is not None and absent:
        missing = (targets == 0).to(targets.dtype)[:, None, :]
        silent = nn.functional.softplus(output.frame_logits) * missing
        parts["absent"] = ABSENT_WEIGHT * (silent.mean(1).sum(-1) * weights).mean()
    if output.frame_logits is not None and instances:
        parts["instances"] = instances * (instance_loss(output.frame_logits, targets) * weights).mean()
    return parts


def instance_loss(frame_logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy of pooled frame scores for the classes that a clip has, shape ``(batch,)``.

    Frames are pooled by weights that are their scores (Wang, Li & Metze 2019): those that have begun to speak up are
    pushed on, the others are left alone.

    Args:
        frame_logits: ``(batch, frame, label)``.
        targets: ``(batch, label)`` in [0, 1].
    """
    scores = torch.sigmoid(frame_logits)
    pooled = scores.square().sum(1) / scores.sum(1).clamp_min(_LEAST)
    pooled = pooled.clamp(_LEAST, 1 - _LEAST)
    wrong = -(targets * torch.log(pooled) + (1 - targets) * torch.log1p(-pooled))
    return (wrong * (targets > 0)).sum(-1)


def frame_loss(frame_logits: Tensor, frames: Tensor, known: Tensor, weights: Tensor) -> Tensor:
    """Return the cross-entropy of frame scores where targets are known, a mean over the batch.

    Args:
        frame_logits: ``(batch, frame, label)``.
        frames: targets of the same shape, in [0, 1].
        known: ``(batch, label)``, 1 where they are known.
        weights: ``(batch,)``.
    """
    wrong = nn.functional.binary_cross_entropy_with_logits(frame_logits, frames, reduction="none")
    return ((wrong.mean(1) * known).sum(-1) * weights).mean()


def total_loss(parts: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of the parts."""
    return torch.stack(list(parts.values())).sum()
