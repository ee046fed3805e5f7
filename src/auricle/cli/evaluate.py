# SPDX-License-Identifier: Apache-2.0
"""``auricle evaluate``: how good a model is on labelled recordings."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Data, Debug, Precision, ReportFormat


@guarded
def evaluate(
    data: Data,
    *,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="A folder or the name of a built-in model.")
    ],
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="Score only this split, such as test; default: everything."),
    ] = None,
    fold: Annotated[str | None, typer.Option("--fold", metavar="K", help="Score only fold K.")] = None,
    precision: Precision = "float32",
    form: ReportFormat = "table",
    debug: Debug = False,
) -> None:
    """Score a model on labelled recordings: figures with 95 % intervals, and a row for each class.

    Example:
      auricle evaluate esc10/ --model models/esc10 --fold 1
    """
    from auricle import api
    from auricle.cli.reporting import print_report

    report = api.evaluate(data, model=model, split=split, fold=fold, precision=precision)
    print_report(report, form, sys.stdout)
