# SPDX-License-Identifier: Apache-2.0
"""``auricle crossval``: an honest figure over all folds of a data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import Data, TrainingOptions


@guarded
@grouped
def crossval(
    data: Data,
    *,
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
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Folds trained at the same time.")] = 1,
    options: TrainingOptions,
) -> None:
    """Train once for each fold on all other folds, score the fold left out, and pool the scores.

    Nothing is selected on the folds: training takes the recipe's epochs, and its last averaged weights are scored.
    With --out, folds that are done already are not trained again.

    Example:
      auricle crossval esc10/ --recipe recipes/esc10.yaml --seeds 3 --out runs/esc10
    """
    from auricle import api
    from auricle.cli.report_output import print_crossval
    from auricle.cli.train import all_overrides
    from auricle.cli.train_progress import TrainingProgress

    with TrainingProgress(quiet=options.quiet) as progress:
        result = api.crossval(
            data,
            model=options.model,
            recipe=options.recipe,
            overrides=all_overrides(options.overrides, options.epochs, options.device),
            seeds=seeds,
            out=out,
            jobs=jobs,
            soft=options.soft,
            init=init,
            new_head=options.new_head,
            data_format=options.data_format,
            sample_rate=options.sample_rate,
            progress=progress,
        )
    print_crossval(result, options.form, sys.stdout)
