# SPDX-License-Identifier: Apache-2.0
"""The targets of frames and of steps, and what is minimised, by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auricle.distill.crop_store import CropBatch
from auricle.distill.objective import embedding_spread, frame_targets, relative_entropy, time_targets


class Sums(nn.Module):
    """A head of one class: log-odds of the only dimension, which is a probability."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.logit(x)


def batch(source_deep: list[list[float]], activity: list[list[float]]) -> CropBatch:
    deep = torch.tensor(source_deep)[None, :, None]
    return CropBatch(torch.zeros(1, 1, 1), torch.zeros(1, 1), deep[:, 0], torch.tensor(activity)[None], deep)


def test_a_source_is_there_while_it_is_heard_and_where_the_teacher_hears_it():
    """Mean .4, steps .2 and .6: relative to the highest 1/3 and 1, of which the roots count."""
    found = frame_targets(batch([[0.2, 0.6]], [[1.0, 1.0, 1.0, 0.5]]), Sums())[0, :, 0]
    low, high = 0.4 * (1 / 3) ** 0.5, 0.4
    torch.testing.assert_close(found, torch.tensor([low, (low + high) / 2, high, high / 2]))


def test_of_two_sources_either_is_enough():
    found = frame_targets(batch([[0.5, 0.5], [0.2, 0.2]], [[1.0, 0.0], [1.0, 1.0]]), Sums())[0, :, 0]
    torch.testing.assert_close(found, torch.tensor([1 - 0.5 * 0.8, 0.2]))


def test_a_source_that_is_not_there_counts_nothing():
    assert frame_targets(batch([[0.5, 0.5], [0.9, 0.9]], [[1.0, 1.0], [0.0, 0.0]]), Sums()).max() == 0.5


def test_steps_of_the_student_are_the_teachers_around_them():
    deep = torch.tensor([[[0.0, 3.0, 6.0, 9.0]]])
    assert time_targets(deep, 2).tolist() == [[[1.5, 6.0]]]  # of 0 3, and of 3 6 9
    assert time_targets(deep, 4).tolist() == deep.tolist()


def test_relative_entropy_is_nothing_for_the_targets_themselves():
    targets = torch.tensor([[0.2, 0.9, 1.0]])
    assert float(relative_entropy(torch.logit(targets, 1e-7), targets)) == pytest.approx(0, abs=1e-5)
    half = relative_entropy(torch.zeros(1, 1), torch.tensor([[0.25]]))
    expected = 0.25 * torch.log(torch.tensor(0.5)) + 0.75 * torch.log(torch.tensor(1.5))
    torch.testing.assert_close(half, expected)


def test_the_spread_is_that_of_the_means_over_time_and_never_nothing():
    deep = torch.tensor([[[0.0, 2.0], [5.0, 5.0]], [[3.0, 3.0], [5.0, 5.0]]])
    torch.testing.assert_close(embedding_spread(deep), torch.tensor([2**0.5, 0.1 * 2**0.5 / 2]))
