# SPDX-License-Identifier: Apache-2.0
"""``auricle teach``: a large model labels audio for a small one to learn from."""

from __future__ import annotations

import sys
from dataclasses import replace

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.option_groups import grouped
from auricle.cli.options import ReportOptions
from auricle.recipe.requests import TeachRequest


@guarded
@grouped
def teach(request: TeachRequest, *, screen: ReportOptions) -> None:
    """Let a large model label recordings, and mixtures of them; train --soft learns from what it said.

    A run that was stopped continues with --resume and leaves the same bytes.

    Example:
      auricle teach clips/ --teacher models/mn04_as_mAP_432.pt --pool sounds/ --mixtures 6000 --out soft/
      auricle train clips/ --soft soft/ --out models/yard
    """
    from auricle import api
    from auricle.cli.report_output import print_object
    from auricle.cli.train_progress import TrainingProgress
    from auricle.files import printable

    with TrainingProgress(quiet=screen.quiet, what="teach") as progress:
        result = api.teach(replace(request, progress=progress))
    if screen.format == "json":
        print_object(result.to_dict(), sys.stdout)
    else:
        print(
            f"{result.recordings} recordings and {result.mixtures} mixtures, {result.labels} classes, in {result.path}"
        )
    for key, reason in result.failures.items():
        say(f"auricle: {printable(key)}: {reason}")
    if result.failures:
        raise typer.Exit(1)
