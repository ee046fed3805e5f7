# SPDX-License-Identifier: Apache-2.0
"""``auricle bench``: how fast things go on this machine."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.option_groups import grouped
from auricle.cli.options import ReportOptions
from auricle.recipe.requests import BenchRequest

if TYPE_CHECKING:
    from auricle.training.bench import TrainingBench

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")


@app.callback()
def bench() -> None:
    """Measure speed on this machine."""


@app.command(short_help="Time the steps of training, recipe beside recipe.")
@guarded
@grouped
def train(
    request: BenchRequest,
    *,
    epoch_clips: Annotated[
        int, typer.Option("--epoch-clips", metavar="N", min=1, help="Say how long an epoch of so many clips takes.")
    ] = 25_380,
    screen: ReportOptions,
) -> None:
    """Time the steps of training: seconds, clips a second, where the time goes, and the share of the machine's peak.

    Ratios are to the slowest line. Each step is one of the very loop that trains, with reading and augmentation.

    Example:
      auricle bench train --model crnn --model rawnet --batch-size 8 --batch-size 32 --seconds 4.0375
      auricle bench train --recipe recipes/rawnet-seed.yaml --model rawnet --batch-size 8 --steps 2 --warm-up 1
    """
    from auricle import api
    from auricle.cli.report_output import print_object

    result = api.bench_train(request if screen.quiet else replace(request, notice=say))
    if screen.format == "json":
        print_object(result.to_dict(epoch_clips), sys.stdout)
    else:
        print_bench(result, epoch_clips)


def print_bench(result: TrainingBench, epoch_clips: int) -> None:
    """Print the machine, and a line for each measurement."""
    from auricle.cli.tables import print_table

    peaks = ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in result.peaks.items())
    sys.stdout.write(f"{result.threads} threads, matrix products: {peaks}; load before {result.load:.1f}\n\n")
    slowest = max(run.step_s / run.batch_size for run in result.runs)
    columns = ("recipe", "weights", "arithmetic", "batch", "s a step", "fastest", "clips/s", "ratio", "epoch s")
    shares = ("data", "forward", "backward", "optimiser")
    rows = [
        (
            run.name,
            run.parameters,
            run.precision,
            run.batch_size,
            run.step_s,
            run.low_s,
            run.clips_a_second,
            slowest * run.batch_size / run.step_s,
            epoch_clips / run.clips_a_second,
            *(f"{run.shares[name]:.0%}" for name in shares),
            run.gflop / run.step_s,
            f"{run.peak_share:.1%}",
        )
        for run in result.runs
    ]
    print_table((*columns, *shares, "GFLOP/s", "of peak"), rows, sys.stdout)
