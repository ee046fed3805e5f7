# SPDX-License-Identifier: Apache-2.0
"""``auricle data``: look at a data set before training on it, or bring one into a form that trains."""

from __future__ import annotations

import typer

app = typer.Typer(help="Check a data set, or import one.", rich_markup_mode=None, no_args_is_help=True)
