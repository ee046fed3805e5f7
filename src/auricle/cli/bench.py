# SPDX-License-Identifier: Apache-2.0
"""``auricle bench``: how fast things go on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.options import DataFormat, Debug, Overrides, Quiet, ReportFormat

if TYPE_CHECKING:
    from auricle.training.bench import TrainingBench

app = typer.Typer(no_args_is_help=True, help="Measure speed on this machine.")


@app.callback()
def bench() -> None:
    """Measure speed on this machine."""


@app.command(short_help="Time the steps of training, recipe beside recipe.")
@guarded
def train(
    data: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="Labelled recordings to train on; noise if none is given.")
    ] = None,
    *,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="NAME", help="A network with its defaults; may be repeated."),
    ] = None,
    recipes: Annotated[
        list[Path] | None, typer.Option("--recipe", metavar="FILE", help="A recipe; may be repeated.")
    ] = None,
    overrides: Overrides = None,
    batch_sizes: Annotated[
        list[int] | None,
        typer.Option(
            "--batch-size",
            metavar="N",
            min=1,
            help="Crops a step (the recipe's); may be repeated. Slow recipes (5 s a step) take the first only.",
        ),
    ] = None,
    precisions: Annotated[
        list[str] | None,
        typer.Option("--precision", metavar="NAME", help="Arithmetic, as run.precision; may be repeated."),
    ] = None,
    clip_s: Annotated[
        float | None, typer.Option("--seconds", metavar="S", min=0.01, help="Length of a crop (as data.clip_s).")
    ] = None,
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="Steps to time.")] = 10,
    warm_up: Annotated[int, typer.Option("--warm-up", metavar="N", min=0, help="Steps before them.")] = 3,
    epoch_clips: Annotated[
        int, typer.Option("--epoch-clips", metavar="N", min=1, help="Say how long an epoch of so many clips takes.")
    ] = 25_380,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", min=1, help="CPU threads (as run.threads).")
    ] = None,
    data_format: DataFormat = "auto",
    form: ReportFormat = "table",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Time the steps of training: seconds, clips a second, where the time goes, and the share of the machine's peak.

    Ratios are to the slowest line. Each step is one of the very loop that trains, with reading and augmentation.

    Example:
      auricle bench train --model crnn --model rawnet --batch-size 8 --batch-size 32 --seconds 4.0375
      auricle bench train --recipe recipes/rawnet-seed.yaml --model rawnet --batch-size 8 --steps 2 --warm-up 1
    """
    from auricle import api
    from auricle.cli.report_output import print_object

    result = api.bench_train(
        data,
        models=models,
        recipes=recipes,
        overrides=_settings(overrides, clip_s, threads),
        batch_sizes=batch_sizes,
        precisions=precisions,
        steps=steps,
        warm_up=warm_up,
        data_format=data_format,
        notice=(lambda text: None) if quiet else say,
    )
    if form == "json":
        print_object(result.to_dict(epoch_clips), sys.stdout)
    else:
        print_bench(result, epoch_clips)


def _settings(overrides: list[str] | None, clip_s: float | None, threads: int | None) -> list[str]:
    """Return ``--set`` values followed by what the short options say."""
    values = [] if overrides is None else list(overrides)
    values += [] if clip_s is None else [f"data.clip_s={clip_s}"]
    return values + ([] if threads is None else [f"run.threads={threads}"])


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
