# SPDX-License-Identifier: Apache-2.0
"""The tiny model, its recordings and the command line, as in the tests of the commands."""

from __future__ import annotations

from helpers.cli_fixtures import auricle, model, process, recordings  # noqa: F401
