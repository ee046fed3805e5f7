# SPDX-License-Identifier: Apache-2.0
"""``auricle enrol``: a few clips become a model in seconds."""

from __future__ import annotations

import sys

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.option_groups import grouped
from auricle.cli.options import ReportOptions
from auricle.recipe.requests import EnrolRequest


@guarded
@grouped
def enrol(request: EnrolRequest, *, screen: ReportOptions) -> None:
    """Make a detector of a few clips of each class in seconds; --out becomes a model for tag and detect.

    It is the built-in model with new last layers, fitted on 3 to 50 clips a class and a bank of other sounds.

    Example:
      auricle enrol clips/ --out models/mine
      auricle enrol more/ --add --out models/mine
      auricle enrol --remove rooster --out models/mine
    """
    from auricle import api
    from auricle.cli.report_output import print_enrolled
    from auricle.files import printable

    result = api.enrol(request)
    print_enrolled(result, screen.format, sys.stdout)
    for name, failure in result.failures.items():
        say(f"auricle: {printable(name)}: {failure.message} [{failure.code}]")
    if result.failures:
        what = "1 recording" if len(result.failures) == 1 else f"{len(result.failures)} recordings"
        say(f"auricle: {what} could not be used; the model is made of the others")
        raise typer.Exit(1)
