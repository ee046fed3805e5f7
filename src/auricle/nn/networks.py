# SPDX-License-Identifier: Apache-2.0
"""Networks by name. A network module maps waveforms to ``NetworkOutput`` and knows its own time grid."""

from __future__ import annotations

from collections.abc import Callable

from auricle.config import Recipe
from auricle.nn.crnn import Crnn
from auricle.nn.logmel import LogMelSpec
from auricle.registry import Registry
from auricle.timeline import seconds_to_samples

Network = Crnn
NETWORKS: Registry[Callable[[Recipe, int], Network]] = Registry("network")


@NETWORKS.register("crnn")
def _crnn(recipe: Recipe, labels: int) -> Crnn:
    f, m = recipe.frontend, recipe.model
    spec = LogMelSpec(f.sample_rate, f.n_mels, f.window_ms, f.hop_ms, f.f_min, f.f_max)
    return Crnn(
        spec,
        labels,
        head=m.head,
        clip_samples=seconds_to_samples(recipe.data.clip_s, f.sample_rate),
        causal=m.causal,
        width=m.width,
        time_stride=m.time_stride,
        dropout=m.dropout,
    )


def build_network(recipe: Recipe, labels: int) -> Network:
    """Return a new network for ``labels`` classes, as the recipe says; weights from torch's random state."""
    return NETWORKS.get(recipe.model.name)(recipe, labels)
