# SPDX-License-Identifier: Apache-2.0
"""What a student cut out of its teacher minimises: the teacher's embedding, over time too, its scores, and frames.

Targets of frames are made of what the teacher says of each source of a mixture alone, when that source is audible,
and how the teacher's own last map spreads each class over time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from auricle.distill.crop_store import CropBatch
from auricle.nn.modules.mobilenet import MobileNet

#: Frames are compared in one of so many items: hundreds of classes at each of them are a third of a step's time.
FRAMES_OF = 2
#: The spread of a dimension of the embedding counts as this share of the mean spread at least.
_LEAST_SPREAD = 0.1


@dataclass(frozen=True)
class LossWeights:
    """Weights of the parts of the loss.

    Attributes:
        embedding: squared differences of embeddings, each dimension in units of its spread.
        time: the same for each step of the last map.
        classes: relative entropy of the clip scores, summed over classes.
        frames: relative entropy of the frame scores, summed over classes.
    """

    embedding: float = 1.0
    time: float = 0.3
    classes: float = 0.2
    frames: float = 0.1


def embedding_spread(deep: Tensor) -> Tensor:
    """Return the standard deviation of each dimension of the embeddings of ``(item, dimension, step)``."""
    spread = deep.mean(2).std(0)
    return spread.clamp_min(_LEAST_SPREAD * float(spread.mean()))


def frame_targets(batch: CropBatch, head: nn.Module) -> Tensor:
    """Return what frame scores should be, ``(item, frame, class)``.

    Of one source: the teacher's score of the source alone, while the source is audible, times the root of the share
    that the teacher's score at this time has of its own maximum. Of several: that any of them is there.
    """
    items, sources, size, steps = batch.source_deep.shape
    frames = batch.activity.shape[2]
    absent = torch.ones(items, frames, batch.logits.shape[1])
    position = torch.arange(frames) * (steps / frames)
    left = position.long()
    right, share = (left + 1).clamp_max(steps - 1), (position - left)[None, :, None]
    for source in range(sources):
        rows = batch.activity[:, source].amax(1) > 0
        if not bool(rows.any()):
            continue
        deep = batch.source_deep[rows, source]
        whole = torch.sigmoid(head(deep.mean(2)))[:, None]
        steps_of = torch.sigmoid(head(deep.transpose(1, 2).reshape(-1, size))).reshape(-1, steps, batch.logits.shape[1])
        relative = (steps_of / steps_of.amax(1, keepdim=True).clamp_min(1e-6)).sqrt()
        over_time = relative[:, left] * (1 - share) + relative[:, right] * share
        absent[rows] *= 1 - whole * over_time * batch.activity[rows, source, :, None]
    return 1 - absent


def time_targets(deep: Tensor, steps: int) -> Tensor:
    """Return ``(item, dimension, step)`` of the teacher averaged around each of the student's fewer steps."""
    ratio = max(1, round(deep.shape[2] / steps))
    pooled = nn.functional.avg_pool1d(deep, 2 * ratio - 1, ratio, ratio - 1, count_include_pad=False)
    return torch.as_tensor(pooled[:, :, :steps])


def relative_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the relative entropy of independent classes, summed over the last axis and averaged over the others."""
    cross = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    own = torch.special.entr(targets) + torch.special.entr(1 - targets)
    return torch.as_tensor((cross - own).sum(-1).mean())


def losses(student: MobileNet, batch: CropBatch, head: nn.Module, spread: Tensor) -> dict[str, Tensor]:
    """Return the parts of the loss by the names of ``LossWeights``."""
    deep, maps = student.maps(batch.features)
    output = student.judge(deep, maps)
    part = -(-len(batch.logits) // FRAMES_OF)
    with torch.no_grad():
        wanted, time = torch.sigmoid(batch.logits), time_targets(batch.deep, deep.shape[2])
        frames = frame_targets(batch.first(part), head)
    if output.frame_logits is None:
        raise ValueError("a student without frame scores cannot learn frames")
    steps = min(deep.shape[2], time.shape[2])
    return {
        "embedding": ((output.embedding - batch.deep.mean(2)) / spread).square().mean(),
        "time": ((deep.float()[:, :, :steps] - time[:, :, :steps]) / spread[:, None]).square().mean(),
        "classes": relative_entropy(output.clip_logits, wanted),
        "frames": relative_entropy(output.frame_logits[:part], frames),
    }


def weighted_sum(parts: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the loss."""
    return torch.stack([getattr(weights, name) * value for name, value in parts.items()]).sum()
