# SPDX-License-Identifier: Apache-2.0
"""``auricle embed``: one vector for each recording."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from auricle.cli.grouping import grouped
from auricle.cli.guard import guarded
from auricle.cli.options import Inputs, ScoringOptions
from auricle.runtime.locate import DEFAULT_MODEL


@guarded
@grouped
def embed(
    inputs: Inputs,
    *,
    form: Annotated[Literal["json", "csv"], typer.Option("--format", "-f", help="Form of results.")] = "json",
    options: ScoringOptions,
) -> None:
    """Give one vector for each recording: the mean of the network's embedding over its windows.

    Example:
      auricle embed archive/ --model models/yard --out vectors/
    """
    from auricle.cli.scoring import score
    from auricle.cli.views import embed_view
    from auricle.scanning.task import Task

    task = Task("embed", DEFAULT_MODEL if options.model is None else options.model, options.precision)
    score(
        inputs,
        task,
        options,
        form,
        lambda detector: embed_view(detector.embedding_size),
        lambda detector, x: detector.embed_many(x, jobs=options.jobs),
    )
