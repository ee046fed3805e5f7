# SPDX-License-Identifier: Apache-2.0
"""``auricle export``: other forms of a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Debug, ReportFormat
from auricle.errors import UsageError


@guarded
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The folder of the model.")],
    *,
    int8: Annotated[
        bool, typer.Option("--int8", help="Write model.int8.onnx beside model.onnx, for --precision int8.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Labelled recordings for --int8, best those of dev: to learn ranges from, and to measure the loss.",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Take only this split of DATA, such as dev.")
    ] = None,
    fold: Annotated[str | None, typer.Option("--fold", metavar="K", help="Take only fold K of DATA.")] = None,
    form: ReportFormat = "table",
    debug: Debug = False,
) -> None:
    """Make a model smaller; what costs more than its recipe allows is refused.

    Example:
      auricle export models/yard --int8 --data clips/
      auricle tag street.wav --model models/yard --precision int8
    """
    if not int8:
        raise UsageError("nothing to do: give --int8")
    from auricle import api
    from auricle.cli.reporting import print_int8

    print_int8(api.export_int8(model, data=data, split=split, fold=fold), form, sys.stdout)
