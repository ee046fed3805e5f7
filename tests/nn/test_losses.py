# SPDX-License-Identifier: Apache-2.0
"""Losses and scores, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from auricle.nn.losses import (
    ABSENT_WEIGHT,
    PRESENCE_WEIGHT,
    clip_losses,
    clip_scores,
    instance_loss,
    single_scores,
    total_loss,
    with_none,
)
from auricle.nn.network import NetworkOutput

LN2, LN3 = math.log(2), math.log(3)


def output(clip: list[list[float]], frames: list[list[list[float]]] | None = None) -> NetworkOutput:
    """Return what a network would, without embeddings."""
    frame_logits = None if frames is None else torch.tensor(frames)
    return NetworkOutput(torch.tensor(clip), frame_logits, torch.zeros(len(clip), 1))


def loss_of(out: NetworkOutput, targets: list[list[float]], weights: list[float] | None = None, **settings):
    settings = {"task": "single", "negatives": False, **settings}
    weights = [1.0] * len(targets) if weights is None else weights
    parts = clip_losses(out, torch.tensor(targets), torch.tensor(weights), **settings)
    return {name: value.item() for name, value in {**parts, "loss": total_loss(parts)}.items()}


def test_none_has_the_logit_0():
    assert with_none(torch.tensor([[1.0, 2.0]])).tolist() == [[1.0, 2.0, 0.0]]


def test_single_scores_are_a_softmax():
    logits = torch.tensor([[LN3, 0.0]])
    torch.testing.assert_close(single_scores(logits, negatives=False), torch.tensor([[0.75, 0.25]]))


def test_with_negatives_none_takes_its_share():
    """Odds of 3 and 1 against the 1 of none."""
    logits = torch.tensor([[LN3, 0.0], [-50.0, -50.0]])
    scores = single_scores(logits, negatives=True)
    torch.testing.assert_close(scores, torch.tensor([[0.6, 0.2], [0.0, 0.0]]))


@pytest.mark.parametrize("negatives", [False, True])
def test_multi_scores_are_sigmoids_of_each_class(negatives):
    scores = clip_scores(torch.tensor([[LN3, 0.0]]), "multi", negatives=negatives)
    torch.testing.assert_close(scores, torch.tensor([[0.75, 0.5]]))
    assert torch.equal(
        clip_scores(torch.tensor([[LN3, 0.0]]), "single", negatives=negatives),
        single_scores(torch.tensor([[LN3, 0.0]]), negatives=negatives),
    )


def test_one_of_n_is_the_cross_entropy():
    parts = loss_of(output([[LN3, 0.0]]), [[1.0, 0.0]])
    assert parts == pytest.approx({"loss": math.log(4 / 3), "clip": math.log(4 / 3)})


def test_one_of_n_takes_soft_targets():
    parts = loss_of(output([[LN3, 0.0]]), [[0.5, 0.5]])
    assert parts["clip"] == pytest.approx(0.5 * math.log(4 / 3) + 0.5 * math.log(4))


def test_a_negative_is_a_target_of_none():
    """Odds 3 : 1 : 1, so none has the score 0.2."""
    assert loss_of(output([[LN3, 0.0]]), [[0.0, 0.0]], negatives=True)["clip"] == pytest.approx(math.log(5))
    # What soft targets leave to 1 is none's.
    mixed = loss_of(output([[LN3, 0.0]]), [[0.5, 0.0]], negatives=True)["clip"]
    assert mixed == pytest.approx(0.5 * math.log(5 / 3) + 0.5 * math.log(5))
    # Without the implicit class a negative says nothing.
    assert loss_of(output([[LN3, 0.0]]), [[0.0, 0.0]])["clip"] == 0


def test_soft_targets_above_1_give_none_no_negative_share():
    parts = loss_of(output([[0.0, 0.0]]), [[0.75, 0.75]], negatives=True)
    assert parts["clip"] == pytest.approx(1.5 * LN3)


def test_temperature_softens_and_keeps_the_size_of_gradients():
    """Logits 2 ln 3 and 0 at temperature 2 are odds 3 : 1; the loss is multiplied by 4 (Hinton et al. 2015)."""
    parts = loss_of(output([[2 * LN3, 0.0]]), [[1.0, 0.0]], temperature=2.0)
    assert parts["clip"] == pytest.approx(4 * math.log(4 / 3))


def test_multi_is_the_sum_of_binary_cross_entropies():
    parts = loss_of(output([[LN3, 0.0]]), [[1.0, 0.0]], task="multi")
    assert parts == pytest.approx({"loss": math.log(4 / 3) + LN2, "clip": math.log(4 / 3) + LN2})


def test_frames_of_absent_classes_are_pushed_down_and_only_those():
    """softplus(0) = ln 2 and softplus(ln 3) = ln 4; the present class pays nothing whatever its frames say."""
    frames = [[[9.0, 0.0], [-9.0, LN3]]]
    parts = loss_of(output([[0.0, 0.0]], frames), [[1.0, 0.0]], task="multi")
    assert parts["absent"] == pytest.approx(ABSENT_WEIGHT * (LN2 + math.log(4)) / 2)
    assert parts["clip"] == pytest.approx(2 * LN2)
    assert set(parts) == {"loss", "clip", "absent"}


def test_single_with_frames_trains_each_class_as_a_detector_too():
    parts = loss_of(output([[LN3, 0.0]], [[[0.0, 0.0]]]), [[1.0, 0.0]])
    assert parts["presence"] == pytest.approx(PRESENCE_WEIGHT * (math.log(4 / 3) + LN2))
    assert parts["absent"] == pytest.approx(ABSENT_WEIGHT * LN2)
    assert parts["clip"] == pytest.approx(math.log(4 / 3))


@pytest.mark.parametrize("task", ["single", "multi"])
@pytest.mark.parametrize("negatives", [False, True])
def test_the_parts_sum_to_the_loss(task, negatives):
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(4, 5, 3, generator=generator).tolist()
    out = output(torch.randn(4, 3, generator=generator).tolist(), frames)
    targets = torch.eye(4, 3).tolist()
    parts = loss_of(out, targets, [0.5, 1.0, 1.5, 2.0], task=task, negatives=negatives, temperature=1.5)
    assert parts.pop("loss") == pytest.approx(sum(parts.values()))
    assert min(parts.values()) > 0


@pytest.mark.parametrize("task", ["single", "multi"])
def test_weights_weigh_items_in_the_mean_of_the_batch(task):
    first, second = [[LN3, 0.0]], [[0.0, 1.0]]
    frames = [[[0.5, -0.5]]]
    one = loss_of(output(first, frames), [[1.0, 0.0]], task=task)
    two = loss_of(output(second, frames), [[0.0, 1.0]], task=task)
    both = loss_of(output(first + second, frames * 2), [[1.0, 0.0], [0.0, 1.0]], [3.0, 0.5], task=task)
    for name in both:
        assert both[name] == pytest.approx((3 * one[name] + 0.5 * two[name]) / 2), name


def test_a_sure_and_right_network_loses_nothing_and_a_sure_and_wrong_one_stays_finite():
    frames = [[[60.0, -60.0]]]
    assert loss_of(output([[60.0, -60.0]], frames), [[1.0, 0.0]])["loss"] == pytest.approx(0, abs=1e-6)
    assert 60 < loss_of(output([[-60.0, 60.0]], frames), [[1.0, 0.0]])["loss"] < 1_000


def test_instances_are_pooled_by_their_own_scores():
    """Scores .75 and .25 pool to (.5625 + .0625) / 1 = .625; the second class is not there and costs nothing."""
    out = output([[0.0, 0.0]], [[[LN3, 5.0], [-LN3, 5.0]]])
    parts = loss_of(out, [[1.0, 0.0]], task="multi", absent=False, instances=2.0)
    assert parts["instances"] == pytest.approx(-2 * math.log(0.625))
    assert "instances" not in loss_of(out, [[1.0, 0.0]], task="multi")


def test_frames_that_speak_up_are_pushed_on_and_the_others_left_alone():
    frames = torch.tensor([[[LN3], [-8.0]]], requires_grad=True)
    instance_loss(frames, torch.tensor([[1.0]])).sum().backward()
    assert frames.grad[0, 0, 0].item() < -0.1
    assert abs(frames.grad[0, 1, 0].item()) < 0.01
