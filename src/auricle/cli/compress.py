# SPDX-License-Identifier: Apache-2.0
"""``auricle compress``: a small model is cut out of a large one and learns from it on unlabelled audio."""

from __future__ import annotations

import sys
from dataclasses import replace

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.option_groups import grouped
from auricle.cli.options import ReportOptions
from auricle.recipe.requests import CompressRequest


@guarded
@grouped
def compress(request: CompressRequest, *, screen: ReportOptions) -> None:
    """Cut a small model out of a large one; it learns on unlabelled audio what the large one says.

    A run that was stopped continues with --resume and leaves the same model.

    Example:
      auricle compress models/mn04_as_mAP_432.pt sounds/ --out models/small
      auricle train clips/ --model mobilenet --init models/small --new-head --out models/yard
    """
    from auricle import api
    from auricle.cli.report_output import print_object
    from auricle.cli.train_progress import TrainingProgress
    from auricle.files import printable

    with TrainingProgress(quiet=screen.quiet, what="compress") as progress:
        result = api.compress(replace(request, progress=progress))
    if screen.format == "json":
        print_object(result.to_dict(), sys.stdout)
    else:
        print(
            f"{result.parameters:,} parameters for {result.labels} classes, distilled on {result.recordings} "
            f"recordings, in {result.path}"
        )
    for key, reason in result.failures.items():
        say(f"auricle: {printable(key)}: {reason}")
    if result.failures:
        raise typer.Exit(1)
