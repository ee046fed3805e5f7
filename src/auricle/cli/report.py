# SPDX-License-Identifier: Apache-2.0
"""``auricle report``: one page about one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Debug


@guarded
def report(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A folder or the name of a built-in model.")],
    *,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DATA", help="Labelled recordings that the model is measured on.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Take only this split of DATA, such as test, or all; default: what was not trained on.",
        ),
    ] = None,
    fold: Annotated[str | None, typer.Option("--fold", metavar="K", help="Take only fold K of DATA.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Page to write.", show_default="report.html in MODEL"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a page about a model: learning curves, figures by class, worst mistakes to hear, cost, provenance.

    Example:
      auricle report models/esc10 --data esc10/ --fold 1
    """
    from auricle import api

    print(api.report(model, data=data, split=split, fold=fold, out=out))
