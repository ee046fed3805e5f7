# SPDX-License-Identifier: Apache-2.0
"""Crops that change while a student trains: targets turn with features, and a flat response changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from auricle.distill.crop_store import CropBatch
from auricle.distill.objective import frame_targets
from auricle.distill.variation import equalise, turn, vary
from auricle.nn.frontends.sine_mel import FLOOR, SineMel, SineMelSpec


@pytest.fixture
def batch() -> CropBatch:
    """Three crops of 32 frames: the teacher's map has 4 steps, frame scores come every 4th frame."""
    draw = torch.Generator().manual_seed(0)
    shapes = {"features": (3, 5, 32), "logits": (3, 6), "deep": (3, 7, 4), "activity": (3, 2, 8)}
    values = {name: torch.rand(shape, generator=draw) for name, shape in shapes.items()}
    return CropBatch(**values, source_deep=torch.rand(3, 2, 7, 4, generator=draw))


def test_everything_turns_by_the_same_time(batch):
    """By one step of four: 8 of 32 frames, 2 of 8 frame scores; four steps are a whole turn."""
    turned = turn(batch, torch.tensor([1, 0, 4]))
    torch.testing.assert_close(turned.features[0], batch.features[0].roll(8, -1))
    torch.testing.assert_close(turned.deep[0], batch.deep[0].roll(1, -1))
    torch.testing.assert_close(turned.activity[0], batch.activity[0].roll(2, -1))
    torch.testing.assert_close(turned.source_deep[0], batch.source_deep[0].roll(1, -1))
    assert turned.logits is batch.logits
    for name in ("features", "deep", "activity", "source_deep"):
        torch.testing.assert_close(getattr(turned, name)[1:], getattr(batch, name)[1:])


def test_targets_of_turned_crops_are_turned_targets(batch):
    """Between steps targets are interpolated, but not from the last step to the first: the last frame is left out."""
    head = torch.nn.Linear(7, 6)
    still, turned = (frame_targets(b, head) for b in (batch, turn(batch, torch.tensor([1, 1, 1]))))
    torch.testing.assert_close(turned[:, 2:7], still[:, :5])


def test_a_flat_response_is_the_identity_and_six_decibels_are_their_factor():
    spec = SineMelSpec()
    wave = 0.3 * torch.randn(2, 32_000, generator=torch.Generator().manual_seed(1))
    features = SineMel(spec)(wave)
    torch.testing.assert_close(equalise(features, torch.zeros(2, 6)), features, atol=1e-4, rtol=0)
    torch.testing.assert_close(
        equalise(features, torch.full((2, 6), 6.0)), SineMel(spec)(wave * 10 ** (6 / 20)), atol=1e-3, rtol=0
    )


def test_silence_stays_silence_and_a_response_goes_through_its_points():
    points = torch.tensor([[-10.0, 0.0, 10.0]])
    silent = torch.full((1, 5, 2), math.log(FLOOR))
    torch.testing.assert_close(equalise(silent, points), silent)
    loud = torch.full((1, 5, 2), 10.0)
    gains = (equalise(loud, points) - loud)[0, :, 0] * 10 / math.log(10)
    torch.testing.assert_close(gains, torch.tensor([-10.0, -5.0, 0.0, 5.0, 10.0]), atol=1e-3, rtol=0)


def test_the_same_random_numbers_give_the_same_crops(batch):
    first, again, other = (vary(batch, np.random.default_rng(n), 3.0) for n in (0, 0, 1))
    torch.testing.assert_close(first.features, again.features, rtol=0, atol=0)
    assert not torch.equal(first.deep, other.deep)
