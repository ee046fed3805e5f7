# SPDX-License-Identifier: Apache-2.0
"""``auricle embed``: one vector for each recording."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Debug, Inputs, Jobs, Model, Out, Precision, Quiet


@guarded
def embed(
    inputs: Inputs,
    *,
    model: Model = None,
    form: Annotated[Literal["json", "csv"], typer.Option("--format", "-f", help="Form of results.")] = "json",
    out: Out = None,
    jobs: Jobs = 1,
    precision: Precision = "float32",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Give one vector for each recording: the mean of the network's embedding over its windows.

    Example:
      auricle embed archive/ --model models/yard --out vectors/
    """
    from auricle.cli.scoring import find_inputs, open_model, score_all
    from auricle.cli.views import embed_view

    sources = find_inputs(inputs)
    detector = open_model(model, precision=precision, quiet=quiet)
    results = detector.embed_many(sources, jobs=jobs)
    view = embed_view(detector.embedding_size)
    score_all(results, view, form, out, model=detector.spec.name, total=len(sources), quiet=quiet)
