# SPDX-License-Identifier: Apache-2.0
"""Convolutions of training: oneDNN's own gradients are the reference."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auricle.nn.cpu import convolution
from auricle.nn.cpu.convolution import convolve, kernel_gradient


def test_a_gradient_by_hand():
    """A kernel of two places over time, at every second frame of [1, 2, 3, 4]: it sees (1, 2) and (3, 4)."""
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
    given = torch.tensor([10.0, 1.0]).view(1, 1, 1, 2)
    found = kernel_gradient(x, given, torch.empty(1, 1, 1, 2), (1, 2), (0, 0))
    assert found.tolist() == [[[[13.0, 24.0]]]]


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("rows", [1, 1 << 20])
@pytest.mark.parametrize(
    ("inputs", "kernel", "stride", "padding"),
    [
        (1, (5, 4), (2, 2), (2, 1)),
        (3, (3, 3), (2, 1), (1, 1)),
        (2, (3, 3), (2, 1), (1, 0)),
        (2, (1, 2), (1, 2), (0, 0)),
    ],
)
def test_outputs_and_gradients_are_those_of_torch(monkeypatch, channels_last, rows, inputs, kernel, stride, padding):
    monkeypatch.setattr(convolution, "ROWS_AT_ONCE", rows)
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    layer = nn.Conv2d(inputs, 4, kernel, stride=stride, padding=padding, bias=False).to(memory_format=layout)
    x = torch.randn(3, inputs, 9, 10).contiguous(memory_format=layout).requires_grad_()
    found = []
    for way in (layer, lambda x: convolve(layer, x)):
        output = way(x)
        loss = (output * torch.arange(output.numel()).view_as(output).sin()).sum()
        found.append([output, *torch.autograd.grad(loss, [x, layer.weight])])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        assert ours.shape == theirs.shape


def test_an_input_without_gradient_gets_none():
    layer = nn.Conv2d(1, 2, 3, bias=False)
    x = torch.randn(2, 1, 5, 5)
    convolve(layer, x).sum().backward()
    assert x.grad is None
    assert layer.weight.grad.abs().sum() > 0


def test_all_else_is_left_to_torch():
    """Without gradients, in bf16, and where a graph is traced, the layer itself is called: bit for bit."""
    layer = nn.Conv2d(2, 4, 3, bias=False)
    x = torch.randn(2, 2, 6, 6)
    with torch.no_grad():
        assert torch.equal(convolve(layer, x), layer(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert convolve(layer, x).dtype == torch.bfloat16
    assert convolve(layer, x).grad_fn.name() == "_ConvolutionBackward"
