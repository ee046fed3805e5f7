# SPDX-License-Identifier: Apache-2.0
"""Pooling worked out by hand, with weights set so that a frame's logit is its input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from auricle.errors import UsageError
from auricle.nn.heads import HEADS, SCORE_MARGIN, log_odds


def set_linear(layer: nn.Linear, weight: list[list[float]], bias: list[float]) -> None:
    """Give a layer known weights."""
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        layer.bias.copy_(torch.tensor(bias))


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_log_odds_is_the_inverse_of_the_sigmoid_and_bounded():
    torch.testing.assert_close(log_odds(torch.tensor([0.5, 0.8])), torch.tensor([0.0, math.log(4)]))
    bound = logit(1 - SCORE_MARGIN)
    torch.testing.assert_close(log_odds(torch.tensor([0.0, 1.0])), torch.tensor([-bound, bound]), atol=2e-2, rtol=0)


def test_log_odds_has_a_finite_gradient_at_the_bounds():
    score = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    log_odds(score).sum().backward()
    assert torch.isfinite(score.grad).all()
    assert score.grad[1] == pytest.approx(4.0)


def test_attention_with_equal_weights_is_the_mean():
    head = HEADS.get("attention")(1, 1, 3)
    set_linear(head.frame, [[1.0]], [0.0])
    set_linear(head.attention, [[0.0]], [0.0])
    states = torch.tensor([[[logit(0.2)], [logit(0.3)], [logit(0.7)]]])
    clip, frames = head(states)
    torch.testing.assert_close(frames, states)
    torch.testing.assert_close(clip, torch.tensor([[logit(0.4)]]))


def test_attention_weighs_frames_for_each_class_apart():
    """Attention logits of +-4 tanh(9) give weights of e^8 : 1 to the first or to the second frame."""
    head = HEADS.get("attention")(2, 2, 2)
    set_linear(head.frame, [[1.0, 0.0], [1.0, 0.0]], [0.0, 0.0])
    set_linear(head.attention, [[0.0, 9.0], [0.0, -9.0]], [0.0, 0.0])
    states = torch.tensor([[[logit(0.9), 1.0], [logit(0.1), -1.0]]])
    clip, _ = head(states)
    share = math.exp(8) / (1 + math.exp(8))
    first, second = share * 0.9 + (1 - share) * 0.1, share * 0.1 + (1 - share) * 0.9
    torch.testing.assert_close(clip, torch.tensor([[logit(first), logit(second)]]), atol=1e-4, rtol=0)


def test_linear_softmax_weighs_scores_by_themselves():
    head = HEADS.get("linear_softmax")(1, 1, 2)
    set_linear(head.frame, [[1.0]], [0.0])
    clip, frames = head(torch.tensor([[[logit(0.8)], [logit(0.2)]]]))
    torch.testing.assert_close(torch.sigmoid(frames), torch.tensor([[[0.8], [0.2]]]))
    torch.testing.assert_close(torch.sigmoid(clip), torch.tensor([[(0.64 + 0.04) / (0.8 + 0.2)]]))


def test_linear_softmax_of_silent_frames_is_silent():
    head = HEADS.get("linear_softmax")(1, 1, 2)
    set_linear(head.frame, [[1.0]], [0.0])
    clip, _ = head(torch.full((1, 2, 1), -200.0))
    assert clip.item() == pytest.approx(logit(SCORE_MARGIN), abs=1e-3)


@pytest.mark.parametrize("name", ["attention", "linear_softmax"])
@pytest.mark.parametrize("frames", [1, 5, 50])
def test_pooling_heads_take_any_length_and_stay_between_their_frames(name, frames):
    torch.manual_seed(0)
    head = HEADS.get(name)(4, 3, 12)
    clip, frame_logits = head(torch.randn(2, frames, 4))
    assert (clip.shape, frame_logits.shape) == ((2, 3), (2, frames, 3))
    assert (clip <= frame_logits.amax(1) + 1e-4).all()
    assert (clip >= frame_logits.amin(1) - 1e-4).all()


def test_concat_mlp_uses_one_encoder_at_every_step_and_keeps_their_order():
    """With an MLP that reads single inputs, a state at step ``t`` moves exactly the outputs of step ``t``."""
    head = HEADS.get("concat_mlp")(2, 6, 3, reduced=2, mlp=6).eval()
    set_linear(head.encoder, [[1.0, 0.0], [1.0, 1.0]], [0.0, -1.0])
    set_linear(head.mlp[0], torch.eye(6).tolist(), [0.0] * 6)
    set_linear(head.mlp[3], torch.eye(6).tolist(), [0.0] * 6)
    states = torch.tensor([[[1.0, 2.0], [-1.0, 3.0], [0.5, 0.25]]])
    clip, frames = head(states)
    assert frames is None
    # Each step gives relu(a), relu(a + b - 1); all steps follow one another.
    torch.testing.assert_close(clip, torch.tensor([[1.0, 2.0, 0.0, 1.0, 0.5, 0.0]]))


@pytest.mark.parametrize("frames", [2, 4])
def test_concat_mlp_refuses_another_length(frames):
    head = HEADS.get("concat_mlp")(2, 2, 3)
    expected = (
        rf"head concat_mlp was built for 3 frames and got {frames}: "
        r"it takes one clip length; cut or pad the clip, or use head attention"
    )
    with pytest.raises(UsageError, match=expected):
        head(torch.zeros(1, frames, 2))


def test_an_unknown_head_names_the_nearest():
    with pytest.raises(UsageError, match=r"unknown head 'atention' \(did you mean 'attention'\?\)"):
        HEADS.get("atention")


def test_statistics_adds_mean_and_deviation_to_attention():
    """States 1 and 3: mean 2, deviation 1. With norms of 0 and 1, weights 0.5 and 0.25 add 1.25 to the log-odds."""
    head = HEADS.get("statistics")(1, 1, 2).eval()
    set_linear(head.frame, [[0.0]], [logit(0.4)])
    set_linear(head.attention, [[0.0]], [0.0])
    set_linear(head.clip, [[0.5, 0.25]], [0.0])
    clip, frames = head(torch.tensor([[[1.0], [3.0]]]))
    torch.testing.assert_close(frames, torch.full((1, 2, 1), logit(0.4)))
    torch.testing.assert_close(clip, torch.tensor([[logit(0.4) + 1.25]]), atol=1e-4, rtol=0)


def test_statistics_of_states_that_never_move_have_a_finite_gradient():
    states = torch.ones(2, 5, 3, requires_grad=True)
    clip, _ = HEADS.get("statistics")(3, 2, 5)(states)
    clip.sum().backward()
    assert torch.isfinite(states.grad).all()


def test_all_heads_are_tested_here():
    assert HEADS.names() == ["attention", "concat_mlp", "linear_softmax", "statistics"]
