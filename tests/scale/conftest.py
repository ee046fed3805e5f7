# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster of two processors on this machine."""

from __future__ import annotations

import os
import sys

import pytest


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Ray, with a cluster whose workers can import what tests define."""
    ray = pytest.importorskip("ray")
    inherited = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "AURICLE_CACHE": str(tmp_path_factory.mktemp("cache")),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in inherited.items():
            patch.setenv(name, value)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield ray
        ray.shutdown()
