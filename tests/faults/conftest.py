# SPDX-License-Identifier: Apache-2.0
"""One thread and a cache of its own, as in the tests of training."""

from __future__ import annotations

from helpers.torch_fixtures import one_thread, own_cache  # noqa: F401
