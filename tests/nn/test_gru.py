# SPDX-License-Identifier: Apache-2.0
"""The GRU of training: torch's own is the reference."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auricle.nn.cpu.gru import run_gru


def by_hand(weights, x):
    """Return the state after one step from zero, for one feature and one unit."""
    wi, _, bi, bh = (value.flatten().tolist() for value in weights)
    r, z = (torch.sigmoid(torch.tensor(wi[i] * x + bi[i] + bh[i])) for i in range(2))
    n = torch.tanh(wi[2] * x + bi[2] + r * bh[2])
    return float((1 - z) * n)


def test_a_step_by_hand():
    torch.manual_seed(1)
    gru = nn.GRU(1, 1, batch_first=True)
    states, last = run_gru(gru, torch.full((1, 1, 1), 0.7))
    assert states.item() == last.item() == pytest.approx(by_hand(gru.parameters(), 0.7), abs=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_states_and_gradients_are_those_of_torch(bidirectional, frames):
    torch.manual_seed(0)
    gru = nn.GRU(5, 3, batch_first=True, bidirectional=bidirectional).double()
    x = torch.randn(2, frames, 5, dtype=torch.float64, requires_grad=True)
    found = []
    for way in (gru, lambda x: run_gru(gru, x)):
        states, last = way(x)
        weighed = (states * torch.arange(states.numel()).view_as(states).sin()).sum()
        loss = weighed + (last * torch.arange(last.numel()).view_as(last).cos()).sum()
        found.append([states, last, *torch.autograd.grad(loss, [x, *gru.parameters()])])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_gradients_are_those_of_small_differences():
    torch.manual_seed(0)
    gru = nn.GRU(2, 2, batch_first=True, bidirectional=True).double()
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: run_gru(gru, x), (x,))


def test_without_gradients_torch_does_it():
    gru = nn.GRU(4, 3, batch_first=True, bidirectional=True)
    x = torch.randn(2, 5, 4)
    with torch.no_grad():
        for ours, theirs in zip(run_gru(gru, x), gru(x), strict=True):
            assert torch.equal(ours, theirs)
