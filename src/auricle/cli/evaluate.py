# SPDX-License-Identifier: Apache-2.0
"""``auricle evaluate``: how good a model is on labelled recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Debug, Precision, ReportFormat


@guarded
def evaluate(
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Labelled recordings, as for train; not with --false-alarms."),
    ] = None,
    *,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="A folder or the name of a built-in model.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="NAME",
            help="Score only this split, such as test, or all; default: what was not trained on.",
        ),
    ] = None,
    fold: Annotated[str | None, typer.Option("--fold", metavar="K", help="Score only fold K.")] = None,
    precision: Precision = "float32",
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores", metavar="FILE", help="Spoofing models: write the scores as ASVspoof 2019 does (5, if .tsv)."
        ),
    ] = None,
    from_scores: Annotated[
        Path | None,
        typer.Option("--from-scores", metavar="FILE", help="Report on an ASVspoof score file instead of a model."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Score file of another detector: report the differences too."),
    ] = None,
    asv_scores: Annotated[
        Path | None,
        typer.Option(
            "--asv-scores", metavar="FILE", help="Scores of a speaker verifier: report the t-DCF of 2019 too."
        ),
    ] = None,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="Fit filters and thresholds on the part dev of DATA and store them in the model."),
    ] = False,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="With --tune: events between change points instead of thresholds.")
    ] = False,
    false_alarms: Annotated[
        list[str] | None,
        typer.Option(
            "--false-alarms",
            metavar="QUIET",
            help="Count events in recordings with none of the classes: file or folder, repeatable.",
        ),
    ] = None,
    form: ReportFormat = "table",
    debug: Debug = False,
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
    from auricle.cli.report_output import print_report
    from auricle.errors import UsageError

    if false_alarms:
        if data is not None or tune or model is None:
            raise UsageError("--false-alarms takes --model and recordings without any class, and no labelled DATA")
        print_report(api.false_alarms(false_alarms, model=model, precision=precision), form, sys.stdout)
        return
    if data is None:
        raise UsageError("no DATA: give labelled recordings, or --false-alarms with recordings of none of the classes")
    if boxes and not tune:
        raise UsageError("--boxes says what --tune fits; give both")
    if tune:
        if model is None or any((scores, from_scores, against, asv_scores)):
            raise UsageError("--tune takes --model, a folder, and no score files")
        print_report(api.tune(data, model=model, boxes=boxes, split=split, fold=fold), form, sys.stdout)
        return
    report = api.evaluate(
        data,
        model=model,
        split=split,
        fold=fold,
        precision=precision,
        scores=scores,
        from_scores=from_scores,
        against=against,
        asv_scores=asv_scores,
    )
    print_report(report, form, sys.stdout)
