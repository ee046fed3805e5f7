# SPDX-License-Identifier: Apache-2.0
"""Heads: from hidden states over time to frame logits and clip logits.

All take ``(batch, frame, hidden)`` and return ``(clip_logits, frame_logits)``; a clip logit is the log-odds
of the clip score, so that losses and activations are the same for every head. Where the clip score is a weighted mean
of frame scores, ``weigh`` gives the weights, so that a stream can keep the two sums.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from auricle.errors import UsageError
from auricle.nn.tracing import tracing
from auricle.registry import Registry

HEADS: Registry[type[nn.Module]] = Registry("head")

#: Pooled scores are kept this far from 0 and 1, so that their log-odds and gradients stay finite.
SCORE_MARGIN = 1e-5


@runtime_checkable
class WeighingHead(Protocol):
    """A head whose clip score is a weighted mean of its frame scores, so that it can be computed on the way."""

    def weigh(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return frame logits and the weight of each frame's score, both ``(batch, frame, label)``."""
        ...


def log_odds(score: Tensor) -> Tensor:
    """Return ``log(p / (1 - p))`` of scores in [0, 1], bounded by ``SCORE_MARGIN``."""
    score = score.clamp(SCORE_MARGIN, 1 - SCORE_MARGIN)
    return torch.log(score) - torch.log1p(-score)


@HEADS.register("attention")
class AttentionHead(nn.Module):
    """Per-class attention over frame scores (Kong et al. 2018; PANNs 2020).

    ``clip = sum_t a_t * sigmoid(frame_t)`` with ``a`` a softmax over time that is learnt for each class.
    """

    has_frames = True

    def __init__(self, hidden: int, labels: int, frames: int) -> None:
        super().__init__()
        self.frame = nn.Linear(hidden, labels)
        self.attention = nn.Linear(hidden, labels)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return clip logits ``(batch, label)`` and frame logits ``(batch, frame, label)``."""
        frame_logits = self.frame(states)
        weights = torch.softmax(torch.tanh(self.attention(states)) * 4, dim=1)
        return log_odds((weights * torch.sigmoid(frame_logits)).sum(1)), frame_logits

    def weigh(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return frame logits and the weight of each frame's score, both ``(batch, frame, label)``."""
        return self.frame(states), torch.exp(torch.tanh(self.attention(states)) * 4)


@HEADS.register("linear_softmax")
class LinearSoftmaxHead(nn.Module):
    """Frame scores weighted by themselves (Wang, Li & Metze 2019): ``clip = sum y^2 / sum y``."""

    has_frames = True

    def __init__(self, hidden: int, labels: int, frames: int) -> None:
        super().__init__()
        self.frame = nn.Linear(hidden, labels)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return clip logits ``(batch, label)`` and frame logits ``(batch, frame, label)``."""
        frame_logits = self.frame(states)
        scores = torch.sigmoid(frame_logits)
        return log_odds(scores.square().sum(1) / scores.sum(1).clamp_min(SCORE_MARGIN)), frame_logits

    def weigh(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return frame logits and the weight of each frame's score, both ``(batch, frame, label)``."""
        frame_logits = self.frame(states)
        return frame_logits, torch.sigmoid(frame_logits)


@HEADS.register("statistics")
class StatisticsHead(nn.Module):
    """Attention over frame scores, and beside it logits from mean and deviation over time ("X-vectors", Snyder 2018).

    Where a sound is a texture (rain, an engine, waves), what tells it lies in statistics over seconds (McDermott &
    Simoncelli 2011), which no weighted mean of frame scores can say. The two logits of a clip are added.
    """

    has_frames = True

    def __init__(self, hidden: int, labels: int, frames: int, dropout: float = 0.3) -> None:
        super().__init__()
        self.frame = nn.Linear(hidden, labels)
        self.attention = nn.Linear(hidden, labels)
        self.norm = nn.BatchNorm1d(2 * hidden, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.clip = nn.Linear(2 * hidden, labels)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return clip logits ``(batch, label)`` and frame logits ``(batch, frame, label)``."""
        frame_logits = self.frame(states)
        weights = torch.softmax(torch.tanh(self.attention(states)) * 4, dim=1)
        mean = states.mean(1)
        # Added under the root, so that the gradient of a state that never moves is finite.
        deviation = ((states - mean[:, None]).square().mean(1) + 1e-5).sqrt()
        statistics = self.dropout(self.norm(torch.cat([mean, deviation], dim=1)))
        return log_odds((weights * torch.sigmoid(frame_logits)).sum(1)) + self.clip(statistics), frame_logits


@HEADS.register("concat_mlp")
class ConcatMlpHead(nn.Module):
    """The seed's head: reduce each step's hidden state, concatenate all steps, and let an MLP decide.

    One small encoder with the same weights at every step; the MLP's input fixes the number of frames.
    """

    has_frames = False

    def __init__(self, hidden: int, labels: int, frames: int, reduced: int = 8, mlp: int = 128) -> None:
        super().__init__()
        self.frames = frames
        self.encoder = nn.Linear(hidden, reduced)
        self.mlp = nn.Sequential(nn.Linear(frames * reduced, mlp), nn.ReLU(), nn.Dropout(0.3), nn.Linear(mlp, labels))

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return clip logits ``(batch, label)`` and no frame logits.

        Raises:
            UsageError: if the clip has another length than the head was built for.
        """
        if not tracing() and states.shape[1] != self.frames:
            raise UsageError(
                f"head concat_mlp was built for {self.frames} frames and got {states.shape[1]}: "
                "it takes one clip length; cut or pad the clip, or use head attention"
            )
        reduced = torch.relu(self.encoder(states))
        return self.mlp(reduced.flatten(1)), None
