# SPDX-License-Identifier: Apache-2.0
"""One thread and a cache of its own, as in the tests of training."""

from __future__ import annotations

import pytest
from helpers.torch_fixtures import one_thread, own_cache  # noqa: F401


@pytest.fixture(scope="module", autouse=True)
def without_fsync():
    """Wait for the disk here, as users do: what is killed and what fails is looked at call by call."""
