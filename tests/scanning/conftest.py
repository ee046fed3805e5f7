# SPDX-License-Identifier: Apache-2.0
"""The tiny model, its recordings and the command line, as in the tests of the commands."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from cli.conftest import auricle, model, process, recordings  # noqa: F401
