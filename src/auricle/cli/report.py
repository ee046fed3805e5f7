# SPDX-License-Identifier: Apache-2.0
"""``auricle report``: one page about one model."""

from __future__ import annotations

from dataclasses import replace

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import DebugOptions
from auricle.recipe.model_requests import ReportRequest


@guarded
@grouped
def report(request: ReportRequest, *, screen: DebugOptions) -> None:
    """Write a page about a model: learning curves, figures by class, worst mistakes to hear, cost, provenance.

    Example:
      auricle report models/esc10 --data esc10/ --fold 1
    """
    from auricle import api
    from auricle.cli.report_output import Unreadable

    unreadable = Unreadable()
    print(api.report(replace(request, on_failure=unreadable)))
    unreadable.leave()
