# SPDX-License-Identifier: Apache-2.0
"""``auricle train``: recordings with labels become a model folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import guarded, speaks
from auricle.cli.option_groups import grouped
from auricle.cli.options import Data, Engine, TrainingOptions


@guarded
@grouped
def train(
    data: Data,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder that becomes the model; must be new or empty.")
    ],
    test_fold: Annotated[
        str | None, typer.Option("--test-fold", metavar="K", help="Hold fold K out and score it once, at the end.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what --out holds.")] = False,
    fork: Annotated[
        Path | None,
        typer.Option(
            "--fork", metavar="NEWDIR", help="Go on with the run in --out in a new folder, whatever has changed."
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="MODEL",
            help="Start from this model's weights, or from a checkpoint of EfficientAT (.pt).",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", min=0, help="Seed of everything random (recipe: 0).")
    ] = None,
    exclude_system: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude-system", metavar="ID", help="Leave this spoofing system out of everything; may be repeated."
        ),
    ] = None,
    engine: Engine = "local",
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, help="Processes that train together, with --engine ray."),
    ] = None,
    options: TrainingOptions,
) -> None:
    """Train a detector on labelled recordings; --out becomes a model for tag and detect.

    Ctrl-C saves and stops; the same command with --resume goes on exactly there.

    Example:
      auricle train clips/ --out models/yard
      auricle train esc10/ --out models/esc10 --test-fold 1 --recipe recipes/esc10.yaml
    """
    from auricle import api
    from auricle.cli.report_output import print_run
    from auricle.cli.train_progress import TrainingProgress

    with TrainingProgress(quiet=options.quiet) as progress:
        result = api.train(
            data,
            out=out,
            model=options.model,
            recipe=options.recipe,
            overrides=all_overrides(options.overrides, options.epochs, options.device, exclude_system),
            soft=options.soft,
            data_format=options.data_format,
            sample_rate=options.sample_rate,
            test_fold=test_fold,
            resume=resume,
            overwrite=overwrite,
            fork=fork,
            init=init,
            new_head=options.new_head,
            seed=seed,
            engine=engine,
            workers=workers,
            progress=progress,
        )
    if speaks():
        print_run(result, options.form, sys.stdout)


def all_overrides(
    overrides: list[str] | None, epochs: int | None, device: str | None, exclude_systems: list[str] | None = None
) -> list[str]:
    """Return ``--set`` values followed by what the short options say, which win."""
    values = [] if overrides is None else list(overrides)
    if epochs is not None:
        values.append(f"optim.epochs={epochs}")
    if device is not None:
        values.append(f"run.device={device}")
    if exclude_systems is not None:
        values.append(f"data.exclude_systems={json.dumps(exclude_systems)}")
    return values
