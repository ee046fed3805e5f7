# SPDX-License-Identifier: Apache-2.0
"""The benchmark of training: its network is the one that it says, and rounds are joined as it says."""

from __future__ import annotations

import pytest
import torch

from auricle.nn.networks import NETWORKS, build_network
from auricle.training.request_recipe import make_request_recipe
from experiments.careless import OFTEN, joined, register, table

SHARES = {"data": 0.01, "forward": 0.3, "backward": 0.6, "optimiser": 0.09}
LINE = {"parameters": 1_000, "batch_size": 16, "low_s": 0.1, "high_s": 0.4, "gflop": 6.0, "peak_share": 0.5}


@pytest.fixture(autouse=True)
def registered():
    register()
    yield
    del NETWORKS._items["careless"]


def test_the_careless_network_is_as_large_as_it_says_and_pools_late():
    network = build_network(make_request_recipe("careless", None, OFTEN, None), 10)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(1.05e6, rel=0.005)
    shapes = []
    for layer in network.blocks:
        layer.register_forward_hook(lambda _layer, _inputs, output: shapes.append(tuple(output.shape)))
    output = network(torch.zeros(1, 16_000))
    assert shapes[4:] == [(1, 64, 64, 100), (1, 64, 64, 100), (1, 64, 16, 25)]  # second norm, ReLU, pool
    assert output.frame_logits.shape == (1, 25, 10)


def test_rounds_are_joined_by_medians_and_extremes():
    rounds = [
        {**LINE, "step_s": s, "low_s": low, "shares": SHARES} for s, low in ((0.2, 0.15), (0.3, 0.1), (0.25, 0.2))
    ]
    line = joined(rounds)
    assert (line["step_s"], line["low_s"], line["high_s"], line["rounds"]) == (0.25, 0.1, 0.4, 3)
    assert (line["clips_a_second"], line["gflop_a_second"]) == (64.0, 24.0)
    assert "| a | 1,000 | 16 | 0.25 (0.1 to 0.4) | 64 | 1.0% | 30.0% | 60.0% | 9.0% | 24 | 50% |" in table({"a": line})
