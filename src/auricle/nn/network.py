# SPDX-License-Identifier: Apache-2.0
"""What every network is to the rest of auricle: waveforms in, ``NetworkOutput`` out, and a known grid of time."""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from auricle.timeline import FrameGrid


class NetworkOutput(NamedTuple):
    """What every network returns.

    Shape:
        clip_logits: ``(batch, label)``.
        frame_logits: ``(batch, frame, label)``, or None where the head has no frames.
        embedding: ``(batch, dimension)``, the hidden states over time as one vector (mostly their mean).
        frame_embedding: ``(batch, frame, dimension)``, what frame logits are made of, where the network gives it.
    """

    clip_logits: Tensor
    frame_logits: Tensor | None
    embedding: Tensor
    frame_embedding: Tensor | None = None


class StreamingNetwork(nn.Module):
    """The form of a network that continues where it stopped; it shares the weights.

    Called with samples ``(batch, frame * frame_samples)`` and a state ``(batch, state_size)``, zeros at first, it gives
    clip logits of all since the zeros ``(batch, label)``, frame logits ``(batch, frame, label)`` and the next state.

    Attributes:
        frame_samples: samples of one frame; every input is a whole number of frames.
        state_size: numbers in a state.
    """

    frame_samples: int
    state_size: int


class Network(nn.Module):
    """Base of all networks. Training calls ``features`` and ``classify`` apart, to mask what lies between.

    Attributes:
        head: maps the network's hidden states to logits.
        frontend: maps waveforms to features; it is swapped for another form at export.
        grid: how output frames lie over input samples.
        embedding_size: length of the embedding.
        has_frames: whether there are frame scores.
        has_frame_embedding: whether the graph gives what they are made of, too.
        fixed_length: the one length in samples that the network takes; None if it takes any.
        log_scale: the features are this many times the natural logarithm of a power (and what is added to it).
        class_layers: how the names of the weights begin that know the classes.
    """

    head: nn.Module
    frontend: nn.Module
    grid: FrameGrid
    embedding_size: int
    has_frames: bool = False
    fixed_length: int | None = None
    log_scale: float = 1.0
    has_frame_embedding: bool = False
    class_layers: tuple[str, ...] = ("head.", "frame_head.", "texture.")

    @property
    def min_samples(self) -> int:
        """The shortest input that gives a frame."""
        return self.grid.hop_samples

    def features(self, waveform: Tensor) -> Tensor:
        """Return the features ``(batch, mel, frame)`` of ``(batch, sample)``: what the front end gives."""
        return torch.as_tensor(self.frontend(waveform))

    def classify(self, features: Tensor) -> NetworkOutput:
        """Return scores of features, which training may have masked."""
        raise NotImplementedError

    def forward(self, waveform: Tensor) -> NetworkOutput:
        """Return scores of waveforms ``(batch, sample)`` at the front end's rate, in [-1, 1]."""
        return self.classify(self.features(waveform))

    def for_export(self) -> Self:
        """Swap the front end for the form that exports; returns self, in evaluation mode."""
        raise NotImplementedError
