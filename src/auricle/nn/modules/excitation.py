# SPDX-License-Identifier: Apache-2.0
"""Squeeze-and-excitation over a running window of time, which an exported graph does in the engine's own order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from auricle.nn.modules.efficientat import divisible
from auricle.nn.tracing import tracing


class RunningExcitation(nn.Module):
    """Scale each channel by what all of them are on average around each time (Hu et al. 2018).

    Args:
        channels: of the map.
        steps: of the map that the average is taken over, an odd number.
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__()
        squeezed = divisible(channels // 4)
        self.steps = steps
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, channel, mel, time)`` to the same shape; at the ends, the average is of what there is."""
        if tracing():  # in operators that keep the engine's own order of channels
            mels = int(x.shape[2])
            mean = nn.functional.avg_pool2d(x, (mels, 1))
            mean = nn.functional.avg_pool2d(mean, (1, self.steps), 1, (0, self.steps // 2), count_include_pad=False)
        else:
            mean = nn.functional.avg_pool1d(x.mean(2), self.steps, 1, self.steps // 2, count_include_pad=False)
            mean = mean[:, :, None]
        hidden = torch.relu(nn.functional.conv2d(mean, self.fc1.weight[:, :, None, None], self.fc1.bias))
        scale = torch.sigmoid(nn.functional.conv2d(hidden, self.fc2.weight[:, :, None, None], self.fc2.bias))
        if tracing():
            scale = _Repeat.apply(scale, mels)  # type: ignore[no-untyped-call]
        return x * scale


class _Repeat(torch.autograd.Function):
    """Repeat ``(batch, channel, 1, time)`` along mel, exported as an average of one value each.

    Of shapes that are equal beyond doubt, the engine multiplies in its own order; it keeps track of an average's time.
    """

    @staticmethod
    def forward(ctx: object, x: Tensor, mels: int) -> Tensor:
        return x.expand(-1, -1, mels, -1).contiguous()

    @staticmethod
    def symbolic(g: Any, x: Any, mels: int) -> Any:
        shape = {"kernel_shape_i": [mels, 1], "pads_i": [mels - 1, 0, mels - 1, 0], "strides_i": [1, 1]}
        return g.op("AveragePool", x, **shape, count_include_pad_i=0)
