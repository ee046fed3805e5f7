# SPDX-License-Identifier: Apache-2.0
"""Last layers smaller than the teacher's, fitted on its embeddings before a student has any of its own.

Read for one clip at a time, wide layers cost a small network more memory traffic than many of its convolutions: with a
quarter of the weights they say nearly the same, and distillation begins there. One linear layer does not.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from auricle.distill.crop_store import CropStore
from auricle.distill.objective import embedding_spread, relative_entropy

STEPS, BATCH, RATE = 2_500, 256, 2e-3
#: Weight of squared differences of logits: relative entropy alone leaves the order of improbable classes open.
LOGITS = 0.02
#: Noise added to embeddings, in units of their spread.
NOISE = 0.1
#: Items that are read; more do not help.
MOST_ITEMS = 20_000
_PURPOSE = 77_003


def fit_head(head: nn.Sequential, teacher: nn.Module, store: CropStore, seed: int, steps: int = STEPS) -> None:
    """Fit ``head``, a linear layer, an activation, dropout and a linear layer, to say what the teacher's does.

    Inputs are means of a few steps of the teacher's last maps, every other one mixed with another.
    """
    torch.manual_seed(int(np.random.SeedSequence([seed, _PURPOSE]).generate_state(1)[0]))
    maps = store.deep(store.of_frequent_length()[:MOST_ITEMS])
    spread = embedding_spread(maps.float())
    for layer in head:
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    with torch.no_grad():
        torch.as_tensor(head[-1].bias).copy_(teacher(maps[:BATCH].float().mean(2)).mean(0))
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=1e-3)
    head.eval()  # without dropout
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * min(1.0, (steps - step) / (0.7 * steps))
        vectors = _draw(maps, spread, mixed=step % 2 == 1)
        with torch.no_grad():
            wanted = teacher(vectors)
        found = head(vectors)
        loss = relative_entropy(found, torch.sigmoid(wanted)) + LOGITS * (found - wanted).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _draw(maps: Tensor, spread: Tensor, *, mixed: bool) -> Tensor:
    """Return embeddings ``(BATCH, dimension)``."""
    last = maps.shape[2]
    steps = int(torch.randint(1, last + 1, ()))
    first = int(torch.randint(last - steps + 1, ()))
    vectors = maps[torch.randint(len(maps), (BATCH,)), :, first : first + steps].float().mean(2)
    if mixed:
        share = torch.rand(BATCH, 1)
        vectors = share * vectors + (1 - share) * vectors[torch.randperm(BATCH)]
    return vectors + NOISE * spread * torch.randn_like(vectors)
