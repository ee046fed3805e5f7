# SPDX-License-Identifier: Apache-2.0
"""``auricle detect``: when sounds happen in each recording."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import Inputs, ScoringOptions, Threshold


@guarded
@grouped
def detect(
    inputs: Inputs,
    *,
    format: Annotated[
        Literal["table", "json", "csv", "audacity", "raven"], typer.Option("--format", "-f", help="Format of results.")
    ] = "table",
    threshold: Threshold = None,
    options: ScoringOptions,
) -> None:
    """Say when sounds happen in each recording: events with onset and offset in seconds.

    A threshold is the score at which an event begins; without one, the model's own are used.
    With --out, a folder of any size is scanned: it can be stopped, killed and resumed.

    Example:
      auricle detect night.flac --model models/yard
      auricle detect night.flac --model models/yard --format audacity > labels.txt
      auricle detect archive/ --out events/ --jobs 4
    """
    from auricle.cli.recordings import score
    from auricle.runtime.thresholds import parse_thresholds

    score("detect", inputs, options, format, threshold=parse_thresholds(threshold))
