# SPDX-License-Identifier: Apache-2.0
"""``auricle embed``: one vector for each recording."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import Inputs, ScoringOptions


@guarded
@grouped
def embed(
    inputs: Inputs,
    *,
    format: Annotated[
        Literal["json", "csv", "parquet"], typer.Option("--format", "-f", help="Format; parquet needs --out.")
    ] = "json",
    options: ScoringOptions,
) -> None:
    """Give one vector for each recording: the mean of the network's embedding over its windows.

    Example:
      auricle embed archive/ --model models/yard --out vectors/
    """
    from auricle.cli.recordings import score

    score("embed", inputs, options, format)
