# SPDX-License-Identifier: Apache-2.0
"""Torch on one thread, and a cache of these tests' own."""

from __future__ import annotations

from helpers.torch_fixtures import one_thread, own_cache  # noqa: F401
