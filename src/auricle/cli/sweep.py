# SPDX-License-Identifier: Apache-2.0
"""``auricle sweep``: search over the choices of a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Data, DataFormat, Debug, Overrides, Quiet, SampleRate, Soft
from auricle.cli.train import all_overrides

if TYPE_CHECKING:
    from auricle.scale.sweep import SweepResult


@guarded
def sweep(
    recipe: Annotated[
        Path, typer.Argument(metavar="RECIPE", help="Recipe whose section sweep says what is searched (docs/sweep.md).")
    ],
    data: Data,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the sweep; must be new or empty.")],
    trials: Annotated[
        int | None, typer.Option("--trials", metavar="N", min=1, help="Trials in all (as sweep.trials).")
    ] = None,
    overrides: Overrides = None,
    soft: Soft = None,
    data_format: DataFormat = "auto",
    sample_rate: SampleRate = None,
    test_fold: Annotated[
        str | None, typer.Option("--test-fold", metavar="K", help="Leave fold K out: no trial hears it.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep in --out.")] = False,
    epochs: Annotated[
        int | None, typer.Option("--epochs", metavar="N", min=1, help="Passes over the data (as optim.epochs).")
    ] = None,
    form: Annotated[
        Literal["table", "json", "csv"], typer.Option("--format", "-f", help="Form of the table of trials.")
    ] = "table",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Try values of a recipe's keys, compare them on dev clips, and keep the best as best.yaml.

    Test clips take no part. Ctrl-C saves and stops; the same command with --resume goes on exactly there.

    Example:
      auricle sweep recipes/sweep/crnn.yaml clips/ --out sweeps/yard
      auricle train clips/ --recipe sweeps/yard/best.yaml --out models/yard
    """
    from auricle import api
    from auricle.cli.train_progress import TrainingProgress

    with TrainingProgress(quiet=quiet) as progress:
        result = api.sweep(
            recipe,
            data,
            out=out,
            trials=trials,
            overrides=all_overrides(overrides, epochs, None),
            soft=soft,
            data_format=data_format,
            sample_rate=sample_rate,
            test_fold=test_fold,
            resume=resume,
            progress=progress,
        )
    print_sweep(result, form, sys.stdout)


def print_sweep(result: SweepResult, form: str, stream: TextIO) -> None:
    """Print the table of trials, best first."""
    from auricle.cells import csv_line
    from auricle.cli.report_output import print_object
    from auricle.cli.tables import print_table

    if form == "json":
        print_object(result.to_dict(), stream)
        return
    columns = ("trial", f"dev {result.metric}", "state", "epochs", *result.keys)
    rows = [
        (row.number, row.score, row.state, row.epochs, *(_cell(row.values.get(key)) for key in result.keys))
        for row in result.trials
    ]
    if form == "csv":
        stream.write("".join(csv_line(line) for line in [columns, *rows]))
        stream.flush()
        return
    print_table(columns, rows, stream)
    stream.write(f"\n{result.n_dev} dev clips; the best of many is flattered: measure it on clips that no trial saw\n")
    stream.flush()


def _cell(value: object) -> object:
    """Return a value as a cell: numbers and text as they are, the rest as a recipe spells it."""
    import json

    return value if isinstance(value, (int, float, str)) and not isinstance(value, bool) else json.dumps(value)
