# SPDX-License-Identifier: Apache-2.0
"""Convolutions in training on processors: the gradient of the kernels as a matrix product.

oneDNN without matrix units takes three times as long for the gradient of the kernels as for the convolution itself,
where channels lie together in memory and the stride is not 1. What the kernels see, laid out in rows, and one product
take as long as the convolution. The rest is left to oneDNN.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from auricle.nn.tracing import tracing

#: What is laid out at once, in numbers: few enough to stay in a processor's cache.
ROWS_AT_ONCE = 1 << 20


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Return what ``layer(x)`` returns, up to rounding, by whichever way is fastest.

    Args:
        layer: one group, no dilation, no bias.
        x: ``(batch, channel, mel, time)``.
    """
    plain = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if tracing() or plain or not (torch.is_grad_enabled() and layer.weight.requires_grad):
        return torch.as_tensor(layer(x))
    result: Tensor = _Convolution.apply(x, layer.weight, layer.stride, layer.padding)  # type: ignore[no-untyped-call]
    return result


class _Convolution(torch.autograd.Function):
    """The convolution, with its own way backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]) -> Tensor:
        """Return ``(batch, channel, mel, time)``."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return nn.functional.conv2d(x, weight, None, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        """Return the gradients of the input, where it is wanted, and of the kernels."""
        x, weight = ctx.saved_tensors
        of_x = None
        if ctx.needs_input_grad[0]:
            wanted = (True, False, False)
            of_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, wanted
            )[0]
        return of_x, kernel_gradient(x, grad, weight, ctx.stride, ctx.padding), None, None


def kernel_gradient(
    x: Tensor, grad: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Return the gradient of the kernels ``(output, input, mel, time)``.

    Args:
        x: what they saw, ``(batch, input, mel, time)``.
        grad: of what they gave, ``(batch, output, mel, time)``.
        weight: the kernels, for their shape.
        stride: over mel and time.
        padding: over mel and time.
    """
    outputs, inputs, *kernel = weight.shape
    mels, frames = grad.shape[2:]
    rows = nn.functional.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    given = grad.permute(0, 2, 3, 1)
    total = x.new_zeros(outputs, kernel[0] * kernel[1] * inputs)
    at_once = max(1, ROWS_AT_ONCE // (mels * frames * total.shape[1]))
    for part, part_given in zip(torch.split(rows, at_once), torch.split(given, at_once), strict=True):
        seen = [
            part[:, i : i + (mels - 1) * stride[0] + 1 : stride[0], j : j + (frames - 1) * stride[1] + 1 : stride[1]]
            for i in range(kernel[0])
            for j in range(kernel[1])
        ]
        total = torch.addmm(total, part_given.reshape(-1, outputs).T, torch.cat(seen, dim=3).flatten(0, 2))
    return total.view(outputs, *kernel, inputs).permute(0, 3, 1, 2)
