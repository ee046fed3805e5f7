# SPDX-License-Identifier: Apache-2.0
"""``auricle embed``: one vector for each recording, or for each window."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.option_groups import grouped
from auricle.cli.options import InputsOrList, ScoringOptions
from auricle.recipe.scan_requests import EmbedRequest, ScanOptions, WindowOptions


@guarded
@grouped
def embed(
    inputs: InputsOrList = None,
    *,
    format: Annotated[
        Literal["json", "csv", "parquet"], typer.Option("--format", "-f", help="Format; parquet needs --out.")
    ] = "json",
    windows: WindowOptions,
    options: ScoringOptions,
) -> None:
    """Give one vector for each recording: the mean of the network's embedding over its windows.

    With --windows, --out becomes a folder with one vector for each window: vectors.npy (float16), windows.csv with
    path and times of each row, index.json.

    Example:
      auricle embed archive/ --model models/yard --out vectors/
      auricle embed archive/ --windows --window 3 --out vectors/
    """
    from auricle import api
    from auricle.cli.recordings import ScanMeter, score
    from auricle.cli.report_output import print_object
    from auricle.errors import UsageError
    from auricle.files import printable
    from auricle.results import VectorsResult

    if not windows.windows and windows.window_s is None and windows.hop_s is None:
        score("embed", inputs or (), options, format)
        return
    if format != "json":
        raise UsageError(f"--windows writes vectors.npy and windows.csv, and no --format {format}")
    kept = {item.name: getattr(options, item.name) for item in fields(ScanOptions)}
    result = api.embed(EmbedRequest(inputs or (), progress=ScanMeter(quiet=options.quiet), **vars(windows), **kept))
    if isinstance(result, VectorsResult):
        print_object(result.to_dict(), sys.stdout)
        for name, failure in result.failures.items():
            say(f"auricle: {printable(name)}: {failure.message} [{failure.code}]")
        if result.failures:
            raise typer.Exit(1)
