# SPDX-License-Identifier: Apache-2.0
"""``auricle evaluate``: how good a model is on labelled recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Data, Debug, Precision, ReportFormat


@guarded
def evaluate(
    data: Data,
    *,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="A folder or the name of a built-in model.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="Score only this split, such as test; default: everything."),
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
    form: ReportFormat = "table",
    debug: Debug = False,
) -> None:
    """Score a model on labelled recordings: figures with 95 % intervals, and a row for each class.

    For a model that tells bona fide from spoofed speech: EER, minDCF, actDCF and Cllr over everything, over the
    spoofing systems it knows and those it does not, and for each; intervals over speakers.

    Example:
      auricle evaluate esc10/ --model models/esc10 --fold 1
      auricle evaluate asvspoof/ --model models/voice --split test --scores scores.txt
    """
    from auricle import api
    from auricle.cli.reporting import print_report

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
