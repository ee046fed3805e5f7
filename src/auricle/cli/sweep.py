# SPDX-License-Identifier: Apache-2.0
"""``auricle sweep``: search over the choices of a recipe."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import TableOptions
from auricle.recipe.requests import SweepRequest

if TYPE_CHECKING:
    from auricle.scale.sweep import SweepResult


@guarded
@grouped
def sweep(request: SweepRequest, *, screen: TableOptions) -> None:
    """Try values of a recipe's keys, compare them on dev clips, and keep the best as best.yaml.

    Test clips take no part. Ctrl-C saves and stops; the same command with --resume continues exactly there.

    Example:
      auricle sweep recipes/sweep/crnn.yaml clips/ --out sweeps/yard
      auricle train clips/ --recipe sweeps/yard/best.yaml --out models/yard
    """
    from auricle import api
    from auricle.cli.report_output import Unreadable
    from auricle.cli.train_progress import TrainingProgress

    with TrainingProgress(quiet=screen.quiet) as progress:
        result = api.sweep(replace(request, progress=progress))
    print_sweep(result, screen.format, sys.stdout)
    Unreadable(result.failures).leave()


def print_sweep(result: SweepResult, format: str, stream: TextIO) -> None:
    """Print the table of trials, best first."""
    from auricle.cells import csv_line
    from auricle.cli.report_output import print_object
    from auricle.cli.tables import print_table

    if format == "json":
        print_object(result.to_dict(), stream)
        return
    columns = ("trial", f"dev {result.metric}", "state", "epochs", *result.keys)
    rows = [
        (row.number, row.score, row.state, row.epochs, *(_cell(row.values.get(key)) for key in result.keys))
        for row in result.trials
    ]
    if format == "csv":
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
