# SPDX-License-Identifier: Apache-2.0
"""Smaller last layers say what the teacher's do, and are the same again with the same seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from auricle.distill.head import fit_head
from auricle.distill.objective import relative_entropy


class Maps:
    """A store of maps of two dimensions."""

    def __init__(self) -> None:
        self.maps = torch.randn(300, 2, 4, generator=torch.Generator().manual_seed(0)).half()

    def __len__(self) -> int:
        return len(self.maps)

    def of_frequent_length(self) -> np.ndarray:
        return np.arange(len(self.maps))

    def deep(self, items: np.ndarray) -> torch.Tensor:
        return self.maps[items]


def layers(hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, hidden), nn.Hardswish(), nn.Dropout(0.5), nn.Linear(hidden, 3))


def test_a_small_head_says_what_a_large_one_does():
    torch.manual_seed(1)
    teacher = layers(64).eval().requires_grad_(False)
    teacher[3].weight.mul_(8)  # scores that are not all alike
    store, found = Maps(), []
    vectors = store.maps.float().mean(2)
    wanted = torch.sigmoid(teacher(vectors))
    share = torch.full_like(wanted, float(wanted.mean()))
    for seed in (0, 0, 1):
        head = layers(8)
        fit_head(head, teacher, store, seed, steps=300)
        found.append(head)
        with torch.inference_mode():
            assert relative_entropy(head(vectors), wanted) < 0.1 * relative_entropy(torch.logit(share), wanted)
    assert torch.equal(found[0][0].weight, found[1][0].weight)
    assert not torch.equal(found[0][0].weight, found[2][0].weight)
