# SPDX-License-Identifier: Apache-2.0
"""The yardstick of the benchmark of events has the shape that its source describes."""

from __future__ import annotations

import torch

from auricle.nn.frontends.logmel import LogMelSpec
from auricle.nn.networks import NETWORKS
from benchmarks.yardstick import FRONTEND, NAME, DesedCrnn


def test_its_size_and_its_frames():
    spec = LogMelSpec(**{key: value for key, value in FRONTEND.items() if key != "name"})
    network = DesedCrnn(spec, 10, dropout=0.5).eval()
    assert 1.05e6 < sum(p.numel() for p in network.parameters()) < 1.15e6
    with torch.inference_mode():
        output = network(torch.zeros(2, 32_000))
    assert output.frame_logits is not None
    assert output.frame_logits.shape == (2, 32_000 // 256 // 4, 10)
    assert output.clip_logits.shape == (2, 10)
    # A frame stands for 1,024 samples, 64 ms, and is centred on them.
    assert (network.grid.hop_samples, network.grid.first_centre_samples) == (1_024, 511.5)
    assert NAME not in NETWORKS.names()
