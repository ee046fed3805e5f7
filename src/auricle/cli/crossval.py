# SPDX-License-Identifier: Apache-2.0
"""``auricle crossval``: an honest figure over all folds of a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import (
    Data,
    DataFormat,
    Debug,
    Network,
    Overrides,
    Quiet,
    RecipeFile,
    ReportFormat,
    SampleRate,
    Soft,
    TrainDevice,
)


@guarded
def crossval(
    data: Data,
    *,
    model: Network = "crnn",
    recipe: RecipeFile = None,
    overrides: Overrides = None,
    soft: Soft = None,
    data_format: DataFormat = "auto",
    sample_rate: SampleRate = None,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Repeat everything with this many seeds.")
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Keep the models (fold1/, ...) and results.json here."),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init", metavar="MODEL", help="Start every fold from these weights, which heard none of its clips."
        ),
    ] = None,
    new_head: Annotated[
        bool, typer.Option("--new-head", help="With --init: other classes, so the last layer starts anew.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Folds trained at the same time.")] = 1,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", min=1, help="Passes over the data (as optim.epochs).")
    ] = None,
    device: TrainDevice = None,
    form: ReportFormat = "table",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Train once for each fold on all other folds, score the fold left out, and pool the scores.

    Nothing is selected on the folds: training takes the recipe's epochs, and its last averaged weights are scored.
    With --out, folds that are done already are not trained again.

    Example:
      auricle crossval esc10/ --recipe recipes/esc10.yaml --seeds 3 --out runs/esc10
    """
    from auricle import api
    from auricle.cli.reporting import print_crossval
    from auricle.cli.train import all_overrides
    from auricle.cli.trainprogress import TrainingProgress

    with TrainingProgress(quiet=quiet) as progress:
        result = api.crossval(
            data,
            model=model,
            recipe=recipe,
            overrides=all_overrides(overrides, epochs, device),
            seeds=seeds,
            out=out,
            jobs=jobs,
            soft=soft,
            init=init,
            new_head=new_head,
            data_format=data_format,
            sample_rate=sample_rate,
            progress=progress,
        )
    print_crossval(result, form, sys.stdout)
