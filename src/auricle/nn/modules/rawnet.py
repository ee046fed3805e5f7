# SPDX-License-Identifier: Apache-2.0
"""RawNet2-lite: the waveform itself, two residual blocks, a recurrent layer, and scores for the clip.

    waveform (batch, sample) -> first layer -> norm -> residual block x 2 -> GRU, both directions
      -> final hidden state of each direction -> linear -> logits

After RawNet2 (Jung et al. 2020; Tak et al. 2021), reduced to two blocks and one recurrent layer. Without
down-sampling the GRU would walk as many steps as there are samples; each pooling divides that.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn

from auricle.errors import UsageError
from auricle.nn.cpu.gru import run_gru
from auricle.nn.frontends.raw import FirstLayer
from auricle.nn.modules.crnn import TimeDropout
from auricle.nn.network import Network, NetworkOutput
from auricle.timeline import Layer, frame_grid, samples_to_seconds


class ResidualBlock(nn.Module):
    """Two convolutions with batch norm and ReLU around which the input skips, and max pooling over time."""

    def __init__(self, inputs: int, outputs: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm1 = nn.BatchNorm1d(outputs)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(outputs)
        self.skip = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1, bias=False)
        self.pool = pool
        self.time_layers = [Layer(kernel, 1, kernel // 2)] * 2 + [Layer(pool, pool)]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, frame)`` to ``(batch, channel, frame // pool)``."""
        y = torch.relu(self.norm1(self.conv1(x)))
        y = torch.relu(self.norm2(self.conv2(y)) + self.skip(x))
        return nn.functional.max_pool1d(y, self.pool) if self.pool > 1 else y


class FilterMask(nn.Module):
    """In training, blanks a band of neighbouring filters of each item, as AASIST does (Jung et al. 2022)."""

    def __init__(self, widest: int) -> None:
        super().__init__()
        self.widest = widest

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, filter, frame)`` to the same; a band is up to ``widest`` filters wide, and may be empty."""
        if not self.training or self.widest == 0:
            return x
        width = torch.rand(len(x), 1, 1, device=x.device) * (self.widest + 1)
        start = torch.rand(len(x), 1, 1, device=x.device) * (x.shape[1] - width.floor() + 1)
        place = torch.arange(x.shape[1], device=x.device)[None, :, None]
        inside = (place >= start.floor()) & (place < start.floor() + width.floor())
        return x.masked_fill(inside, 0)


class StatePooling(nn.Module):
    """Hidden states over time to one vector: the final state of each direction, or a weighted mean of all."""

    def __init__(self, size: int, rule: str) -> None:
        super().__init__()
        self.attention = nn.Linear(size, 1) if rule == "state_attention" else None

    def forward(self, states: Tensor, final: Tensor) -> Tensor:
        """Return ``(batch, state)`` of all states ``(batch, frame, state)`` and the final ones ``(2, batch, half)``."""
        if self.attention is None:
            return torch.cat([final[0], final[1]], dim=1)
        return (torch.softmax(self.attention(states), dim=1) * states).sum(1)


class RawNet(Network):
    """The network from waveform to logits.

    Args:
        first: its first layer, with as many channels as ``channels[0]``.
        labels: number of classes.
        channels: of the first layer and of each residual block.
        pools: pooling over time after each residual block.
        block_kernel: of the convolutions in the blocks, odd.
        hidden: units of the GRU in each direction.
        head: ``final_state`` or ``state_attention``, see ``StatePooling``.
        filter_mask: see ``FilterMask``.
        dropout: before the GRU and before the last layer.
        clip_samples: length of its windows; must give one step of the GRU at least.
        sample_rate: in Hz, for the error about that.

    Raises:
        UsageError: if a clip is shorter than one step.
    """

    def __init__(
        self,
        first: FirstLayer,
        labels: int,
        *,
        channels: Sequence[int],
        pools: Sequence[int],
        block_kernel: int,
        hidden: int,
        head: str,
        filter_mask: int,
        dropout: float,
        clip_samples: int,
        sample_rate: int,
    ) -> None:
        super().__init__()
        self.frontend = first
        self.norm = nn.BatchNorm1d(channels[0])
        self.mask = FilterMask(filter_mask)
        blocks = [
            ResidualBlock(inputs, outputs, block_kernel, pool)
            for (inputs, outputs), pool in zip(pairwise(channels), pools, strict=True)
        ]
        self.blocks = nn.Sequential(*blocks)
        self.dropout = TimeDropout(dropout)
        self.gru = nn.GRU(channels[-1], hidden, batch_first=True, bidirectional=True)
        self.embedding_size = 2 * hidden
        self.pooling = StatePooling(self.embedding_size, head)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.embedding_size, labels))
        self.grid = frame_grid([*first.time_layers, *(layer for block in blocks for layer in block.time_layers)])
        if clip_samples < self.min_samples:
            raise UsageError(_too_short(clip_samples, self.min_samples, sample_rate))

    def frames(self, samples: int) -> int:
        """Return the number of steps of the GRU for ``samples`` samples."""
        return samples // self.grid.hop_samples

    def features(self, waveform: Tensor) -> Tensor:
        """Return the waveform: what this network computes first is learnt, and so belongs to ``classify``."""
        return waveform

    def classify(self, features: Tensor) -> NetworkOutput:
        """Return clip logits of waveforms ``(batch, sample)``, which training may have masked."""
        x = self.blocks(self.mask(self.norm(self.frontend(features))))
        with torch.autocast(x.device.type, enabled=False):
            # Recurrence is bound by the number of its calls; bf16 made it two times slower.
            states, final = run_gru(self.gru, self.dropout(x.float().transpose(1, 2)))
            embedding = self.pooling(states, final)
            return NetworkOutput(self.head(embedding), None, embedding)

    def for_export(self) -> Self:
        """Return itself in evaluation mode: it exports as it is."""
        return self.eval()


def _too_short(clip_samples: int, step_samples: int, sample_rate: int) -> str:
    clip_s, step_s = samples_to_seconds(clip_samples, sample_rate), samples_to_seconds(step_samples, sample_rate)
    return (
        f"a clip of {clip_samples} samples ({clip_s:g} s) is shorter than one step of the network's recurrent layer, "
        f"{step_samples} samples ({step_s:g} s); raise data.clip_s, or lower model.raw.stride or model.raw.pools"
    )
