# SPDX-License-Identifier: Apache-2.0
"""``auricle export``: other forms of a model."""

from __future__ import annotations

import sys
from dataclasses import replace

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import FormOptions
from auricle.errors import UsageError
from auricle.recipe.model_requests import ExportRequest


@guarded
@grouped
def export(request: ExportRequest, *, screen: FormOptions) -> None:
    """Make a model smaller, or a site out of it; what costs more than its recipe allows is refused.

    Example:
      auricle export models/yard --int8 --data clips/
      auricle export models/yard --web site/
      python -m http.server --directory site/
    """
    if not request.int8 and request.web is None:
        raise UsageError("nothing to do: give --int8, --web DIR or both")
    if not request.int8 and request.data is not None:
        raise UsageError("--data is for --int8, which was not given")
    from auricle import api
    from auricle.cli.report_output import Unreadable, print_int8, print_object

    unreadable = Unreadable()
    if request.int8:
        print_int8(api.export_int8(replace(request, on_failure=unreadable)), screen.format, sys.stdout)
    if request.web is not None:
        precision = ("int8" if request.int8 else "float32") if request.precision is None else request.precision
        site = api.export_site(request.model, request.web, precision=precision, tarball=request.tarball)
        if screen.format == "json":
            print_object(site.to_dict(), sys.stdout)
        else:
            print(f"{site.path}: {site.size / 1e6:.1f} MB with {site.network}")
            print(f"try it: python -m http.server --directory {site.path}")
    unreadable.leave()
