# SPDX-License-Identifier: Apache-2.0
"""Toys of the other tests: data sets and recipes of training, the tiny model of the runtime."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

for folder in ("training", "runtime"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Torch on one thread: the same sums in the same order everywhere, and processes that may fork."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Decoded waveforms go to a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("AURICLE_CACHE", str(folder))
        yield folder
