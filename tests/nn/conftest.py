# SPDX-License-Identifier: Apache-2.0
"""One thread, and the smallest networks that are still whole."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from helpers.torch_fixtures import one_thread  # noqa: F401

from auricle.nn.networks import Network, build_network
from auricle.recipe.network import FRONTEND_KEYS, NETWORKS
from auricle.recipe.schema import Recipe, make_recipe


@pytest.fixture(scope="session")
def small_recipe():
    """Make a recipe of a network of a few thousand weights: ``small_recipe(head="attention", ...) -> Recipe``."""

    def make(
        *, name: str = "crnn", sample_rate: int = 8_000, n_mels: int = 16, clip_s: float = 0.5, **model: object
    ) -> Recipe:
        options = NETWORKS.get(name)
        frontend: dict[str, object] = {"sample_rate": sample_rate}
        if options.frontends[0] not in FRONTEND_KEYS:  # it makes log-mels
            # Frames of the sine front end lie side by side.
            window_ms = 10 if options.frontends[0] == "sinemel" else 25
            frontend |= {"window_ms": window_ms, "hop_ms": 10, "n_mels": n_mels, "f_max": None}
        small: dict[str, object] = {"width": 0.125} if "width" in options.model_fields else {}
        if name == "rawnet":
            raw = {"kernel": 64, "stride": 32, "filter_mask": 1, **cast("dict[str, object]", model.get("raw", {}))}
            model = {**model, "raw": raw}
        if name == "crnn":
            small["time_stride"] = 4
        return make_recipe(
            {
                "model": {"name": name, **small, **model},
                "frontend": frontend,
                "augment": {"freq_mask_mels": 4} if "freq_mask_mels" in options.augmentations else {},
                "data": {"clip_s": clip_s},
            }
        )

    return make


@pytest.fixture(scope="session")
def small_network(small_recipe):
    """Make a network in evaluation mode whose norms have seen some sound: ``small_network(labels=3, ...)``."""

    def make(labels: int = 3, **settings: object) -> Network:
        torch.manual_seed(0)
        network = build_network(small_recipe(**settings), labels)
        noise = torch.randn(8, 4_000, generator=torch.Generator().manual_seed(1)) * 0.1
        with torch.no_grad():
            network.train()(noise)
        return network.eval()

    return make
