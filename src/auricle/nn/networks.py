# SPDX-License-Identifier: Apache-2.0
"""From a recipe to the network that it names."""

from __future__ import annotations

from auricle.nn.network import Network
from auricle.recipe.network import NETWORKS
from auricle.recipe.schema import Recipe

__all__ = ["NETWORKS", "Network", "build_network"]


def build_network(recipe: Recipe, labels: int) -> Network:
    """Return a new network for ``labels`` classes, as the recipe says; weights from torch's random state."""
    network: Network = recipe.model.build(recipe, labels)
    return network
