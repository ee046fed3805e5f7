# SPDX-License-Identifier: Apache-2.0
"""``auricle crossval``: an honest figure over all folds of a data set."""

from __future__ import annotations

import sys
from dataclasses import replace

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import ReportOptions
from auricle.recipe.requests import CrossvalRequest


@guarded
@grouped
def crossval(request: CrossvalRequest, *, screen: ReportOptions) -> None:
    """Train once for each fold on all other folds, score the fold left out, and pool the scores.

    Nothing is selected on the folds: training takes the recipe's epochs, and its last averaged weights are scored.
    With --out, folds that are done already are not trained again. The model of --init must have been trained on none
    of the clips.

    Example:
      auricle crossval esc10/ --recipe recipes/esc10.yaml --seeds 3 --out runs/esc10
    """
    from auricle import api
    from auricle.cli.report_output import Unreadable, print_crossval
    from auricle.cli.train_progress import TrainingProgress

    with TrainingProgress(quiet=screen.quiet) as progress:
        result = api.crossval(replace(request, progress=progress))
    print_crossval(result, screen.format, sys.stdout)
    Unreadable(result.failures).leave()
