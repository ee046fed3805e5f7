# SPDX-License-Identifier: Apache-2.0
"""``auricle detect``: when sounds happen in each recording."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import (
    Debug,
    Device,
    Inputs,
    Jobs,
    Model,
    Out,
    Precision,
    Quiet,
    Threshold,
    check_labels,
    parse_thresholds,
)


@guarded
def detect(
    inputs: Inputs,
    *,
    model: Model = None,
    form: Annotated[
        Literal["table", "json", "csv", "audacity", "raven"], typer.Option("--format", "-f", help="Form of results.")
    ] = "table",
    out: Out = None,
    threshold: Threshold = None,
    jobs: Jobs = 1,
    device: Device = "auto",
    precision: Precision = "float32",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Say when sounds happen in each recording: events with onset and offset in seconds.

    A threshold is the score at which an event begins; without one, the model's own are used.

    Example:
      auricle detect night.flac --model models/yard
      auricle detect night.flac --model models/yard --format audacity > labels.txt
    """
    from auricle.cli.scoring import find_inputs, open_model, score_all
    from auricle.cli.views import detect_view

    wanted = parse_thresholds(threshold)
    sources = find_inputs(inputs)
    detector = open_model(model, precision=precision, quiet=quiet)
    check_labels(wanted, detector.labels)
    results = detector.detect_many(sources, threshold=wanted.as_argument(detector.labels), jobs=jobs)
    score_all(results, detect_view(), form, out, model=detector.spec.name, total=len(sources), quiet=quiet)
