# SPDX-License-Identifier: Apache-2.0
"""Losses between a student and a teacher, beside the labels: classes, embeddings, and scores of single windows.

The layers here hang on the student's embedding while it trains. They are no part of the network, so nothing of them is
averaged, exported or shipped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from auricle.batches.targets import Batch
from auricle.nn.network import NetworkOutput
from auricle.recipe.schema import TeacherSection
from auricle.results import FloatArray

_LEAST_SPREAD = 1e-3
#: The name of a teacher's targets in a batch.
TEACHER = "teacher"


class TeacherBatch(NamedTuple):
    """A teacher's labels of a batch of crops.

    Shape:
        scores: of its own classes, ``(batch, class)``.
        embedding: ``(batch, dimension)``.
        windows: of the run's classes in each window of the crop, ``(batch, window, label)``; none if one fills it.
        known: 1 where the teacher has labelled the item, else 0, ``(batch,)``.
    """

    scores: Tensor
    embedding: Tensor
    windows: Tensor
    known: Tensor


class DistillationLoss(nn.Module):
    """Layers and losses for a teacher's outputs.

    Args:
        student: length of the student's embedding.
        scores: some of the teacher's scores, ``(window, class)``: the layer starts from their means.
        embeddings: some of its embeddings, ``(window, dimension)``: they are standardised before they are matched.
        weights: of the parts, from the recipe.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, student: int, scores: FloatArray, embeddings: FloatArray, weights: TeacherSection) -> None:
        super().__init__()
        self.weights = weights
        self.classes = nn.Linear(student, scores.shape[1]) if scores.shape[1] else None
        self.embedding = nn.Linear(student, embeddings.shape[1]) if embeddings.shape[1] else None
        if self.classes is not None:
            share = np.clip(np.asarray(scores, np.float32).mean(0), 1e-4, 1 - 1e-4)
            self.classes.bias.data = torch.from_numpy(np.log(share / (1 - share)))
        values = np.asarray(embeddings, np.float32)
        self.register_buffer("mean", torch.from_numpy(values.mean(0)))
        self.register_buffer("scale", torch.from_numpy(np.maximum(values.std(0), _LEAST_SPREAD)))

    def forward(self, output: NetworkOutput, batch: Batch) -> dict[str, Tensor]:
        """Return the parts of the loss, each a mean over the batch, zero for what the teacher has not labelled."""
        teacher: TeacherBatch = batch.targets[TEACHER]
        parts: dict[str, Tensor] = {}
        if self.classes is not None:
            logits = self.classes(output.embedding)
            loss = nn.functional.binary_cross_entropy_with_logits(logits, teacher.scores, reduction="none").sum(-1)
            parts["teacher_classes"] = self.weights.classes_weight * (loss * teacher.known).mean()
        if self.embedding is not None:
            wanted = (teacher.embedding - self.mean) / self.scale
            loss = (self.embedding(output.embedding) - wanted).square().mean(-1)
            parts["teacher_embedding"] = self.weights.embedding_weight * (loss * teacher.known).mean()
        if teacher.windows.shape[1] and output.frame_logits is not None:
            loss = window_loss(output.frame_logits, teacher.windows)
            parts["teacher_windows"] = self.weights.window_weight * (loss * teacher.known).mean()
        return parts


def window_loss(frame_logits: Tensor, windows: Tensor) -> Tensor:
    """Return the cross-entropy between the mean frame score of each window and the teacher's, ``(batch,)``.

    Args:
        frame_logits: ``(batch, frame, label)``.
        windows: ``(batch, window, label)`` in [0, 1]; they fill the crop side by side.
    """
    scores = torch.sigmoid(frame_logits.float()).transpose(1, 2)
    pooled = nn.functional.adaptive_avg_pool1d(scores, windows.shape[1]).transpose(1, 2)
    pooled = pooled.clamp(1e-5, 1 - 1e-5)
    loss = -(windows * torch.log(pooled) + (1 - windows) * torch.log1p(-pooled))
    return loss.mean(1).sum(-1)
