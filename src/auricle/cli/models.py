# SPDX-License-Identifier: Apache-2.0
"""``auricle models``: which models there are, and what one of them is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.option_groups import grouped
from auricle.cli.options import Debug, DebugOptions, ReportFormat
from auricle.recipe.model_requests import ImportRequest

app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@app.callback()
@guarded
def models(context: typer.Context) -> None:
    """List the built-in models, or show one model.

    Example:
      auricle models
      auricle models show models/yard
    """
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
@guarded
def list_models(format: ReportFormat = "table", debug: Debug = False) -> None:
    """List the built-in models: task, classes, window and size."""
    from auricle.cli.report_output import print_object
    from auricle.cli.tables import print_table
    from auricle.runtime.bundle import builtin_models, load_bundle, resolve_model

    specs = [load_bundle(resolve_model(name)).spec for name in builtin_models()]
    if format == "json":
        for spec in specs:
            print_object(spec.model_dump(mode="json"), sys.stdout)
    elif specs:
        rows = [(s.name, s.task, len(s.labels), s.sample_rate, s.window_s) for s in specs]
        print_table(("name", "task", "classes", "rate (Hz)", "window (s)"), rows, sys.stdout)
    else:
        print("no built-in models in this version; train one: auricle train clips/ --out models/yard")


@app.command("show")
@guarded
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A folder or the name of a built-in model.")],
    format: ReportFormat = "table",
    debug: Debug = False,
) -> None:
    """Show one model: labels, windows, thresholds, and what it was trained on."""
    from auricle.cli.report_output import flat_rows, print_object
    from auricle.cli.tables import print_table
    from auricle.runtime.bundle import load_bundle, resolve_model

    spec = load_bundle(resolve_model(name)).spec
    values = spec.model_dump(mode="json")
    if format == "json":
        print_object(values, sys.stdout)
    else:
        print_table(("what", "value"), flat_rows(values), sys.stdout)


@app.command("import")
@guarded
@grouped
def import_(request: ImportRequest, *, screen: DebugOptions) -> None:
    """Make a model folder of a model of others, without training: it tags, detects, serves and exports as all do.

    Checkpoints of EfficientAT, Audio Spectrogram Transformers of transformers, and ONNX taggers. The exported graph is
    compared with the original before anything is written, and no code of a model is run.

    Example:
      auricle models import mn04_as_mAP_432.pt --out models/mn04
      auricle models import hf:MIT/ast-finetuned-audioset-10-10-0.4593 --out models/ast
    """
    from auricle.api import import_model

    bundle = import_model(request)
    spec = bundle.spec
    print(f"{bundle.path}: {len(spec.labels)} classes, windows of {spec.window_s:g} s at {spec.sample_rate} Hz")
