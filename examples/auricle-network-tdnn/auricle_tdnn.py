# SPDX-License-Identifier: Apache-2.0
"""A network of one's own for auricle: a time-delay network (Waibel et al. 1989) on log-mels.

waveform (batch, sample) -> log-mel (batch, mel, frame) -> [convolution over time, norm, relu] x 3 -> head
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from auricle.nn.frontends.logmel import GraphLogMel, LogMel, LogMelSpec
from auricle.nn.heads import HEADS
from auricle.nn.network import Network, NetworkOutput
from auricle.recipe.network import NetworkOptions
from auricle.recipe.schema import FrontendSection, Recipe
from auricle.timeline import Layer, frame_grid, seconds_to_samples

#: Kernel, stride and padding over time of each convolution: ``T`` frames give ``T // 2``.
LAYERS = ((4, 2, 1), (3, 1, 1), (3, 1, 1))


class Tdnn(Network):
    """The network; ``channels`` of each convolution."""

    def __init__(self, spec: LogMelSpec, labels: int, channels: int, head: str, dropout: float) -> None:
        super().__init__()
        self.spec = spec
        self.frontend = LogMel(spec)
        self.norm = nn.BatchNorm1d(spec.n_mels, affine=False)
        layers: list[nn.Module] = []
        for inputs, (kernel, stride, padding) in zip((spec.n_mels, channels, channels), LAYERS, strict=True):
            conv = nn.Conv1d(inputs, channels, kernel, stride, padding, bias=False)
            layers += [conv, nn.BatchNorm1d(channels), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.embedding_size = channels
        self.head = HEADS.get(head)(channels, labels, 0)
        self.has_frames = True
        self.grid = frame_grid([spec.layer(), *(Layer(*layer) for layer in LAYERS)])

    def frames(self, samples: int) -> int:
        """Return the number of output frames for ``samples`` samples."""
        return samples // self.spec.hop_samples // 2

    def features(self, waveform: Tensor) -> Tensor:
        """Return the log-mel ``(batch, mel, frame)``; training masks and equalises it."""
        return torch.as_tensor(self.frontend(waveform))

    def classify(self, features: Tensor) -> NetworkOutput:
        """Return scores of a log-mel."""
        states = self.dropout(self.layers(self.norm(features)).transpose(1, 2))
        with torch.autocast(states.device.type, enabled=False):
            clip_logits, frame_logits = self.head(states.float())
        return NetworkOutput(clip_logits, frame_logits, states.float().mean(1))

    def for_export(self) -> Self:
        """Swap the front end for the form that exports."""
        self.frontend = GraphLogMel(self.spec)
        return self.eval()


class TdnnOptions(NetworkOptions):
    """The section ``model`` of a recipe with ``name: tdnn``."""

    frontends: ClassVar[tuple[str, ...]] = ("logmel",)
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"optim": {"lr": 0.003}}

    name: Literal["tdnn"] = "tdnn"
    head: Literal["attention", "linear_softmax"] = Field("attention", description="How frames become a clip score.")
    channels: int = Field(64, ge=8, le=1_024, description="Channels of each convolution.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout before the head.")

    def problems(self, recipe: Recipe) -> list[str]:
        """Refuse clips without a frame."""
        samples = seconds_to_samples(recipe.data.clip_s, recipe.frontend.sample_rate)
        least = self.hop_samples(recipe.frontend)
        return [] if samples >= least else [f"data.clip_s {recipe.data.clip_s:g} is shorter than a frame of tdnn"]

    def hop_samples(self, frontend: FrontendSection) -> int:
        """Return the samples that one output frame stands for."""
        return 2 * seconds_to_samples(frontend.hop_ms / 1000, frontend.sample_rate)

    def build(self, recipe: Recipe, labels: int) -> Tdnn:
        """Return a new network for ``labels`` classes."""
        spec = LogMelSpec.of(recipe.frontend)
        return Tdnn(spec, labels, self.channels, self.head, self.dropout)
