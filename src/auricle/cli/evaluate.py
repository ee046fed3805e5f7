# SPDX-License-Identifier: Apache-2.0
"""``auricle evaluate``: how good a model is on labelled recordings."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import FormOptions
from auricle.recipe.model_requests import EvaluateRequest, FalseAlarmsRequest, TuneRequest
from auricle.recipe.requests import ClipOptions


@guarded
@grouped
def evaluate(
    request: EvaluateRequest,
    *,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Fit filters and thresholds on the part dev of DATA and store them in the model."),
    ] = False,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="With --tune: events between change points instead of thresholds.")
    ] = False,
    min_precision: Annotated[
        float | None,
        typer.Option(
            "--min-precision",
            metavar="X",
            help="With --tune: the lowest thresholds at which this share of the recordings named is right.",
        ),
    ] = None,
    false_alarms: Annotated[
        list[str] | None,
        typer.Option(
            "--false-alarms",
            metavar="QUIET",
            help="Count events in recordings with none of the classes: file or folder, repeatable.",
        ),
    ] = None,
    screen: FormOptions,
) -> None:
    """Score a model on labelled recordings: figures with 95 % intervals, and a row for each class.

    For a model that tells bona fide from spoofed speech: EER, minDCF, actDCF and Cllr over everything, over the
    spoofing systems it knows and those it does not, and for each; intervals over speakers.

    Where labels say when, PSDS 1 and 2 and F1 by intersection, by collars and of segments come on top.

    Example:
      auricle evaluate esc10/ --model models/esc10 --fold 1
      auricle evaluate asvspoof/ --model models/voice --split test --scores scores.txt
      auricle evaluate scenes/ --model models/yard --tune
      auricle evaluate --model models/yard --false-alarms quiet.wav
    """
    from auricle import api
    from auricle.cli.report_output import Unreadable, print_report
    from auricle.errors import UsageError

    model, format, unreadable = request.model, screen.format, Unreadable()
    if false_alarms:
        if request.data is not None or tune or model is None:
            raise UsageError("--false-alarms takes --model and recordings without any class, and no labelled DATA")
        asked = FalseAlarmsRequest(false_alarms, model=model, precision=request.precision, on_failure=unreadable)
        print_report(api.false_alarms(asked), format, sys.stdout)
        unreadable.leave()
        return
    if min_precision is not None and not tune:
        raise UsageError("--min-precision says what --tune fits; give both")
    if boxes and not tune:
        raise UsageError("--boxes says what --tune fits; give both")
    if tune and request.data is not None:
        if model is None or any((request.scores, request.from_scores, request.against, request.asv_scores)):
            raise UsageError("--tune takes --model, a folder, and no score files")
        if request.precision != "float32":
            raise UsageError("--tune fits the float32 graph, whose rules both have: leave out --precision")
        same = {item.name: getattr(request, item.name) for item in fields(ClipOptions)}
        same["on_failure"] = unreadable
        report = api.tune(TuneRequest(request.data, model=model, boxes=boxes, min_precision=min_precision, **same))
    else:
        report = api.evaluate(replace(request, on_failure=unreadable))
    print_report(report, format, sys.stdout)
    unreadable.leave()
