# SPDX-License-Identifier: Apache-2.0
"""``auricle train``: recordings with labels become a model folder."""

from __future__ import annotations

import sys
from dataclasses import replace

from auricle.cli.guard import guarded, speaks
from auricle.cli.option_groups import grouped
from auricle.cli.options import ReportOptions
from auricle.recipe.requests import TrainRequest


@guarded
@grouped
def train(request: TrainRequest, *, screen: ReportOptions) -> None:
    """Train a detector on labelled recordings; --out becomes a model for tag and detect.

    Ctrl-C saves and stops; the same command with --resume continues exactly there.

    Example:
      auricle train clips/ --out models/yard
      auricle train esc10/ --out models/esc10 --test-fold 1 --recipe recipes/esc10.yaml
    """
    from auricle import api
    from auricle.cli.report_output import print_run
    from auricle.cli.train_progress import TrainingProgress

    with TrainingProgress(quiet=screen.quiet) as progress:
        result = api.train(replace(request, progress=progress))
    if speaks():
        print_run(result, screen.format, sys.stdout)
