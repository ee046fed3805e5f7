# SPDX-License-Identifier: Apache-2.0
"""A CRNN in the shape of the DCASE task 4 (DESED) baseline, as a yardstick: written from its published description.

Seven blocks of convolution (3 x 3; 16, 32, 64, then 128 channels), batch norm, gated linear unit over channels, dropout
and average pooling (time by 4 in all, 128 mels down to 1), two bidirectional GRU layers of 128 units, per-class scores
of frames pooled by attention. Log-mel of 128 bands, windows of 128 ms every 16 ms. 1.1 M parameters.

No network of auricle: ``register`` adds it, under ``desed_crnn``, for the benchmarks that call it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from auricle.nn.frontends.logmel import GraphLogMel, LogMel, LogMelSpec
from auricle.nn.heads import AttentionHead
from auricle.nn.network import Network, NetworkOutput
from auricle.recipe.network import NETWORKS, NetworkOptions
from auricle.recipe.schema import FrontendSection, Recipe
from auricle.timeline import Layer, frame_grid, seconds_to_samples

NAME = "desed_crnn"
CHANNELS = (16, 32, 64, 128, 128, 128, 128)
#: (time, mel) of each pooling.
POOLS = ((2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2))
HIDDEN = 128
TIME_STRIDE = 4
FRONTEND = {
    "name": "logmel", "sample_rate": 16_000, "n_mels": 128, "window_ms": 128.0, "hop_ms": 16.0, "f_min": 0.0,
    "f_max": 8_000.0,
}  # fmt: skip


class GatedBlock(nn.Module):
    """Convolution, batch norm, gated linear unit over channels, dropout, average pooling: ``(batch, c, time, mel)``."""

    def __init__(self, inputs: int, outputs: int, pool: tuple[int, int], dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.gate = nn.Conv2d(outputs, outputs, 1)
        self.dropout = nn.Dropout(dropout)
        self.pool = nn.AvgPool2d(pool)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, time, mel)`` to pooled features."""
        x = self.norm(self.conv(x))
        return self.pool(self.dropout(self.gate(x) * torch.sigmoid(x)))


class DesedCrnn(Network):
    """The yardstick; see the module's docstring."""

    has_frames = True

    def __init__(self, spec: LogMelSpec, labels: int, dropout: float) -> None:
        super().__init__()
        self.spec = spec
        self.frontend = LogMel(spec)
        self.norm = nn.BatchNorm1d(spec.n_mels, affine=False)
        shapes = zip((1, *CHANNELS[:-1]), CHANNELS, POOLS, strict=True)
        self.blocks = nn.Sequential(*(GatedBlock(i, o, pool, dropout) for i, o, pool in shapes))
        self.gru = nn.GRU(CHANNELS[-1], HIDDEN, num_layers=2, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.embedding_size = 2 * HIDDEN
        self.head = AttentionHead(self.embedding_size, labels, 0)
        time = [
            Layer(3, 1, 1) if kind == "conv" else Layer(pool, pool)
            for pool in (2, 2, 1, 1, 1, 1, 1)
            for kind in ("conv", "pool")
        ]
        self.grid = frame_grid([spec.layer(causal=False), *time])

    def features(self, waveform: Tensor) -> Tensor:
        """Return the log-mel ``(batch, mel, frame)``."""
        return torch.as_tensor(self.frontend(waveform))

    def classify(self, features: Tensor) -> NetworkOutput:
        """Return scores of a log-mel."""
        x = self.blocks(self.norm(features).transpose(1, 2)[:, None])
        states, _ = self.gru(x.squeeze(3).transpose(1, 2))
        clip_logits, frame_logits = self.head(self.dropout(states))
        return NetworkOutput(clip_logits, frame_logits, states.mean(1))

    def for_export(self) -> DesedCrnn:
        """Swap the front end for the form that exports."""
        self.frontend = GraphLogMel(self.spec)
        return self.eval()


class DesedCrnnOptions(NetworkOptions):
    """What a recipe can say of the yardstick."""

    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {"frontend": FRONTEND}

    name: Literal["desed_crnn"] = "desed_crnn"
    head: Literal["attention"] = "attention"
    time_stride: Literal[4] = TIME_STRIDE
    dropout: float = 0.5

    def hop_samples(self, frontend: FrontendSection) -> int:
        """See the base class."""
        return seconds_to_samples(frontend.hop_ms / 1000, frontend.sample_rate) * self.time_stride

    def build(self, recipe: Recipe, labels: int) -> DesedCrnn:
        """See the base class."""
        f = recipe.frontend
        return DesedCrnn(LogMelSpec.of(f), labels, self.dropout)


def register() -> None:
    """Add the network to the registry of this process, once."""
    if NAME not in NETWORKS:
        NETWORKS.add(NAME, DesedCrnnOptions)
