# SPDX-License-Identifier: Apache-2.0
"""``auricle export``: other forms of a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

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
    web: Annotated[
        Path | None,
        typer.Option("--web", metavar="DIR", help="Write a static site in which the model runs inside the browser."),
    ] = None,
    precision: Annotated[
        Literal["float32", "int8"] | None,
        typer.Option("--precision", help="The form that --web takes.", show_default="int8 with --int8, else float32"),
    ] = None,
    tarball: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="The package onnxruntime-web for --web; without it, npm's registry is asked."
        ),
    ] = None,
    form: ReportFormat = "table",
    debug: Debug = False,
) -> None:
    """Make a model smaller, or a site out of it; what costs more than its recipe allows is refused.

    Example:
      auricle export models/yard --int8 --data clips/
      auricle export models/yard --web site/
      python -m http.server --directory site/
    """
    if not int8 and web is None:
        raise UsageError("nothing to do: give --int8, --web DIR or both")
    if not int8 and data is not None:
        raise UsageError("--data is for --int8, which was not given")
    from auricle import api
    from auricle.cli.report_output import Unreadable, print_int8, print_object

    unreadable = Unreadable()
    if int8:
        found = api.export_int8(model, data=data, split=split, fold=fold, on_failure=unreadable)
        print_int8(found, form, sys.stdout)
    if web is not None:
        chosen = ("int8" if int8 else "float32") if precision is None else precision
        site = api.export_site(model, web, precision=chosen, tarball=tarball)
        if form == "json":
            print_object(site.to_dict(), sys.stdout)
        else:
            print(f"{site.path}: {site.size / 1e6:.1f} MB with {site.network}")
            print(f"try it: python -m http.server --directory {site.path}")
    unreadable.leave()
