# SPDX-License-Identifier: Apache-2.0
"""The losses for a teacher's outputs, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from auricle.batches.targets import Batch
from auricle.distill.loss import DistillationLoss, TeacherBatch, window_loss
from auricle.nn.network import NetworkOutput
from auricle.recipe.schema import TeacherSection

WEIGHTS = TeacherSection(classes_weight=0.5, embedding_weight=2.0, window_weight=3.0)


def taught(scores=((0.0, 1.0),), embedding=((0.0,),), windows=None, known=(1.0,)) -> Batch:
    size = len(known)
    frames = torch.zeros(size, 0, 1) if windows is None else torch.tensor(windows)
    said = TeacherBatch(torch.tensor(scores), torch.tensor(embedding), frames, torch.tensor(known))
    nothing = torch.zeros(size, 0)
    return Batch(nothing, nothing, nothing, torch.ones(size), torch.arange(size), {"teacher": said})


def output(batch: int = 1, frames: torch.Tensor | None = None) -> NetworkOutput:
    return NetworkOutput(torch.zeros(batch, 1), frames, torch.zeros(batch, 3))


def make(scores=((0.5, 0.5),), embeddings=((1.0,), (3.0,))) -> DistillationLoss:
    return DistillationLoss(3, np.array(scores, np.float16), np.array(embeddings, np.float16), WEIGHTS)


def test_classes_begin_at_their_means_and_cost_their_entropy():
    loss = make(scores=((0.25, 0.5), (0.25, 0.5)))
    assert loss.classes.bias.tolist() == pytest.approx([math.log(1 / 3), 0])
    parts = loss(output(), taught())
    assert parts["teacher_classes"].item() == pytest.approx(0.5 * (-math.log(0.75) - math.log(0.5)), rel=1e-5)


def test_embeddings_are_standardised():
    """Mean 2, spread 1: the target 0 stands at -2; the layer without bias says 0."""
    loss = make()
    torch.nn.init.zeros_(loss.embedding.bias)
    assert loss(output(), taught())["teacher_embedding"].item() == pytest.approx(2.0 * 4)


def test_what_was_not_labelled_costs_nothing():
    loss = make()
    unheard = taught(((0.0, 1.0),) * 2, ((0.0,),) * 2, known=(0.0, 0.0))
    assert all(value.item() == 0 for value in loss(output(2), unheard).values())


def test_windows_by_hand():
    """Four frames, two windows: mean scores 0.5 and sigmoid(2)."""
    logits = torch.tensor([[[0.0], [0.0], [2.0], [2.0]]])
    high = 1 / (1 + math.exp(-2))
    expected = (-math.log(0.5) - 0.25 * math.log(high) - 0.75 * math.log(1 - high)) / 2
    found = window_loss(logits, torch.tensor([[[1.0], [0.25]]]))
    assert found.tolist() == pytest.approx([expected], rel=1e-5)
    parts = make()(output(frames=logits), taught(windows=[[[1.0], [0.25]]]))
    assert parts["teacher_windows"].item() == pytest.approx(3 * expected, rel=1e-5)


def test_a_teacher_without_classes_and_embeddings_of_its_own_needs_no_layers():
    bare = DistillationLoss(3, np.zeros((4, 0), np.float16), np.zeros((4, 0), np.float16), WEIGHTS)
    assert list(bare.parameters()) == []
    assert bare(output(), taught(scores=((),), embedding=((),))) == {}
