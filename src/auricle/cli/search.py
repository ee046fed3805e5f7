# SPDX-License-Identifier: Apache-2.0
"""``auricle search``: windows of an archive that are like an example."""

from __future__ import annotations

import sys

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import TableOptions
from auricle.recipe.scan_requests import SearchRequest


@guarded
@grouped
def search(request: SearchRequest, *, screen: TableOptions) -> None:
    """Find the windows of an archive that are most like an example, by the vectors of `auricle embed --windows`.

    Example:
      auricle embed archive/ --windows --out vectors/
      auricle search owl.wav --in vectors/ --top 50 --clips found/
    """
    from auricle import api
    from auricle.cli.report_output import print_matches

    print_matches(api.search(request), screen.format, sys.stdout)
