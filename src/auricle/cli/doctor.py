# SPDX-License-Identifier: Apache-2.0
"""``auricle doctor``: what is installed here, and whether a model is whole and gives its scores."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Debug, ReportFormat


@guarded
def doctor(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Also check this model: hashes, and golden.npz.")
    ] = None,
    format: ReportFormat = "table",
    debug: Debug = False,
) -> None:
    """Say what is installed and what it can do; with MODEL, check that it still gives its stored scores.

    Example:
      auricle doctor models/yard
    """
    from auricle.cli.doctor_checks import examine_machine, examine_model
    from auricle.cli.report_output import print_object
    from auricle.cli.tables import print_table

    findings = examine_machine()
    checks = [] if model is None else examine_model(model)
    if format == "json":
        print_object({"machine": findings, "checks": [check.to_dict() for check in checks]}, sys.stdout)
    else:
        print_table(("what", "found"), findings.items(), sys.stdout)
        if checks:
            sys.stdout.write("\n")
            rows = [(check.name, "ok" if check.ok else "FAILED", check.text) for check in checks]
            print_table(("check", "result", "details"), rows, sys.stdout)
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
