# SPDX-License-Identifier: Apache-2.0
"""What a batch is made of: crops, and beside them the targets of each source of labels, by name.

Labels of clips, times of events and a teacher's labels are sources of targets. Each says where a crop may lie, what its
targets are, how the targets of two crops are mixed, and what an error costs; nothing else knows them apart. They
are asked in their order, and a later source may refine what an earlier one found: so a clip whose event lies outside
the crop has not that label there.

    source           place    collate                            mix     loss
    ClipTargets      as drawn labels of the clip                 lerp    clip, presence, absent
    FrameTargets     as drawn shares of frames; refines clip     lerp    frames
    TeacherTargets   windows  scores, embedding; refines clip    lerp    teacher_classes, teacher_embedding, ...
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from auricle.batches.augment.augmentation import Placement
from auricle.nn.losses import clip_losses
from auricle.nn.network import NetworkOutput
from auricle.results import FloatArray

T = TypeVar("T")
#: Targets by the name of their source; each a named tuple of tensors with one row a crop.
TargetsByName = Mapping[str, Any]


class Crop(NamedTuple):
    """One crop, as the sources of targets see it.

    Attributes:
        clip: number of the clip.
        first: entries of the recording before the part that ``place`` refers to.
        available: entries of that part.
        place: where in it the crop lies.
        epoch: in which it is drawn.
    """

    clip: int
    first: int
    available: int
    place: Placement
    epoch: int = 0


class Batch(NamedTuple):
    """One step's input.

    Shape:
        inputs: ``(batch, sample)`` or ``(batch, mel, frame)``; masks: ``(batch, 2, mask, 2)``;
        equalisers: ``(batch, point)`` in dB;
        weights and clips: ``(batch,)``.
        targets: of each source, by its name.
    """

    inputs: Tensor
    masks: Tensor
    equalisers: Tensor
    weights: Tensor
    clips: Tensor
    targets: dict[str, Any]

    def part(self, low: int, high: int) -> Batch:
        """Return the items from ``low`` to ``high - 1``."""
        tensors = {name: value[low:high] for name, value in self._asdict().items() if name != "targets"}
        targets = {name: type(t)(*(value[low:high] for value in t)) for name, t in self.targets.items()}
        return Batch(**tensors, targets=targets)


class TargetSource(ABC, Generic[T]):
    """One source of targets for the clips of a run.

    Attributes:
        name: under which a batch holds its targets.
    """

    name: str

    def place(self, clip: int, place: Placement) -> tuple[int, Placement]:
        """Return how many entries of the recording are left out before the crop, and its place in the rest."""
        del clip
        return 0, place

    @abstractmethod
    def collate(self, crops: Sequence[Crop], found: TargetsByName) -> dict[str, Any]:
        """Return the targets of the crops of a batch, and what they refine of those that earlier sources found."""

    @abstractmethod
    def mix(self, targets: T, partner: Tensor, weight: Tensor) -> T:
        """Return the targets of mixes: item ``i`` with its ``partner[i]``, of which the item has ``weight[i]``."""

    @abstractmethod
    def loss(self, embedding_size: int) -> nn.Module:
        """Return a module that maps a network's output and a batch to the named parts of the loss.

        It may have layers of its own on the network's embedding, which are trained with the network and then dropped.
        """


def collate_targets(sources: Sequence[TargetSource[Any]], crops: Sequence[Crop]) -> dict[str, Any]:
    """Return the targets of a batch by the names of their sources, which are asked in their order."""
    found: dict[str, Any] = {}
    for source in sources:
        found |= source.collate(crops, found)
    return found


def blend(values: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted means of items and their partners; the items are the first ``len(weight)``."""
    return torch.lerp(values[partner], values[: len(weight)], weight.view(-1, *[1] * (values.dim() - 1)))


def known_of_both(known: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    """Return what is known of mixes: what is known of both, or of the item where its partner has no weight."""
    alone = (weight == 1).to(known.dtype).view(-1, *[1] * (known.dim() - 1))
    return known[: len(weight)] * torch.maximum(known[partner], alone)


@dataclass(frozen=True)
class ClipTask:
    """How the labels of clips are meant.

    Attributes:
        task: ``single`` or ``multi``.
        negatives: whether clips without any class take part.
        temperature: see ``losses.clip_losses``.
    """

    task: str
    negatives: bool
    temperature: float = 1.0


class ClipBatch(NamedTuple):
    """Labels of the clips of a batch, ``(batch, label)`` in [0, 1]."""

    labels: Tensor


@dataclass(frozen=True, eq=False)
class ClipTargets(TargetSource[ClipBatch]):
    """Labels of whole clips, the first source of every run.

    Attributes:
        labels: ``(clip, label)`` in [0, 1].
        task: how they are meant.
        absent: whether frames of absent classes are pushed to silence, which no other source does better.
        instances: weight of pooled frame scores, see ``losses.clip_losses``.
    """

    labels: FloatArray
    task: ClipTask
    absent: bool = True
    instances: float = 0.0
    name = "clip"

    def collate(self, crops: Sequence[Crop], found: TargetsByName) -> dict[str, Any]:
        """Return the labels of the clips."""
        del found
        return {self.name: ClipBatch(torch.from_numpy(self.labels[np.array([crop.clip for crop in crops])]))}

    def mix(self, targets: ClipBatch, partner: Tensor, weight: Tensor) -> ClipBatch:
        """Mix labels as the sound is mixed."""
        return ClipBatch(blend(targets.labels, partner, weight))

    def loss(self, embedding_size: int) -> ClipLoss:
        """Return the loss of clip scores."""
        del embedding_size
        return ClipLoss(self.task, absent=self.absent, instances=self.instances)


class ClipLoss(nn.Module):
    """Parts of the loss that labels of clips give; see ``losses.clip_losses``."""

    def __init__(self, task: ClipTask, *, absent: bool, instances: float = 0.0) -> None:
        super().__init__()
        self.task, self.absent, self.instances = task, absent, instances

    def forward(self, output: NetworkOutput, batch: Batch) -> dict[str, Tensor]:
        """Return the parts, each a mean over the batch."""
        return clip_losses(
            output,
            batch.targets[ClipTargets.name].labels,
            batch.weights,
            task=self.task.task,
            negatives=self.task.negatives,
            temperature=self.task.temperature,
            absent=self.absent,
            instances=self.instances,
        )
