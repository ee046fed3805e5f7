# SPDX-License-Identifier: Apache-2.0
"""Fixtures of tests that use torch."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Torch on one thread while these tests run: the same sums in the same order everywhere, and forks that work."""
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
