# SPDX-License-Identifier: Apache-2.0
"""``auricle tag``: what is in each recording."""

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
def tag(
    inputs: Inputs,
    *,
    model: Model = None,
    form: Annotated[Literal["table", "json", "csv"], typer.Option("--format", "-f", help="Form of results.")] = "table",
    out: Out = None,
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Labels to show for each recording.")] = 5,
    threshold: Threshold = None,
    jobs: Jobs = 1,
    device: Device = "auto",
    precision: Precision = "float32",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Say what is in each recording: labels with their scores.

    Example:
      auricle tag yard.wav --model models/yard
      auricle tag archive/ --format json > scores.jsonl
    """
    from auricle.cli.scoring import find_inputs, open_model, score_all
    from auricle.cli.views import tag_view

    wanted = parse_thresholds(threshold)
    sources = find_inputs(inputs)
    detector = open_model(model, precision=precision, quiet=quiet)
    check_labels(wanted, detector.labels)
    view = tag_view(top, lambda label: wanted.of(label, 0.0))
    results = detector.tag_many(sources, jobs=jobs)
    score_all(results, view, form, out, model=detector.spec.name, total=len(sources), quiet=quiet)
