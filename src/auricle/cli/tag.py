# SPDX-License-Identifier: Apache-2.0
"""``auricle tag``: what is in each recording."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import Classes, InputsOrList, ScoringOptions, Threshold


@guarded
@grouped
def tag(
    inputs: InputsOrList = None,
    *,
    format: Annotated[
        Literal["table", "json", "csv", "parquet"],
        typer.Option("--format", "-f", help="Format of results; parquet needs --out."),
    ] = "table",
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Labels to show for each recording.")] = 5,
    classes: Classes = None,
    threshold: Threshold = None,
    prior_spoof: Annotated[
        float | None,
        typer.Option(
            "--prior-spoof",
            metavar="X",
            help="Models of synthetic voices: share of spoofed recordings that probabilities take for granted.",
        ),
    ] = None,
    abstain: Annotated[
        float | None,
        typer.Option(
            "--abstain",
            metavar="RATE",
            help="Name nothing rather than make mistakes in more than this share of what is named, such as 0.05 "
            "(enrolled models).",
        ),
    ] = None,
    options: ScoringOptions,
) -> None:
    """Say what is in each recording: labels with their scores.

    With --out, a folder of any size is scanned: it can be stopped, killed and resumed.

    Example:
      auricle tag yard.wav --model models/yard
      auricle tag yard.wav --classes Animal
      auricle tag archive/ --out scores/ --jobs 4
    """
    from auricle.cli.recordings import score
    from auricle.runtime.thresholds import parse_thresholds

    thresholds = parse_thresholds(threshold)
    score(
        "tag",
        inputs or (),
        options,
        format,
        top=top,
        threshold=thresholds,
        prior_spoof=prior_spoof,
        abstain=abstain,
        classes=classes or (),
    )
