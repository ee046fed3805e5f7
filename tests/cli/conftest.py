# SPDX-License-Identifier: Apache-2.0
"""A tiny model, a few recordings, and ways to run the command line."""

from __future__ import annotations

from helpers.cli_fixtures import auricle, model, process, recordings  # noqa: F401
