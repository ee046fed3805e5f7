# SPDX-License-Identifier: Apache-2.0
"""``auricle detect``: when sounds happen in each recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import Classes, InputsOrList, ScoringOptions, Threshold
from auricle.recipe.scan_requests import EventOptions


@guarded
@grouped
def detect(
    inputs: InputsOrList = None,
    *,
    format: Annotated[
        Literal["table", "json", "csv", "parquet", "audacity", "birdnet", "kaleidoscope", "raven", "rttm"],
        typer.Option("--format", "-f", help="Format of results; parquet needs --out."),
    ] = "table",
    classes: Classes = None,
    threshold: Threshold = None,
    clips: Annotated[
        Path | None,
        typer.Option("--clips", metavar="DIR", help="Write each event as a file into this folder too."),
    ] = None,
    lead: Annotated[
        float, typer.Option("--lead", metavar="S", min=0, help="Seconds before an event, with --clips.")
    ] = 1,
    tail: Annotated[
        float, typer.Option("--tail", metavar="S", min=0, help="Seconds behind an event, with --clips.")
    ] = 1,
    clip_format: Annotated[
        Literal["flac", "wav"], typer.Option("--clip-format", help="Format of those files.")
    ] = "flac",
    events: EventOptions,
    options: ScoringOptions,
) -> None:
    """Say when sounds happen in each recording: events with onset and offset in seconds.

    A threshold is the score at which an event begins; without one, the model's own are used.
    With --out, a folder of any size is scanned: it can be stopped, killed and resumed.
    With --clips, each event is cut out too, with the recording's channels, rate and samples.

    Example:
      auricle detect night.flac --model models/yard
      auricle detect night.flac --model models/yard --format audacity > labels.txt
      auricle detect archive/ --out events/ --jobs 4 --format parquet
      auricle detect night.flac --labels Owl --merge-gap 1 --min-duration 0.5 --top-events 20
      auricle detect night.flac --classes Animal
      auricle detect night.flac --clips events/ --lead 0.5 --tail 2
    """
    from auricle.audio.cutouts import CutoutOptions
    from auricle.cli.recordings import score
    from auricle.runtime.thresholds import parse_thresholds

    cutouts = None if clips is None else CutoutOptions(str(clips), lead, tail, clip_format)
    score(
        "detect", inputs or (), options, format, threshold=parse_thresholds(threshold), cutouts=cutouts, events=events,
        classes=classes or (),
    )  # fmt: skip
