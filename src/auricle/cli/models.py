# SPDX-License-Identifier: Apache-2.0
"""``auricle models``: which models there are, what one of them is, and models of others."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import confirm, confirm_download, guarded, say
from auricle.cli.option_groups import grouped
from auricle.cli.options import Debug, DebugOptions, Quiet, ReportFormat
from auricle.recipe.model_requests import ImportRequest

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@app.callback()
@guarded
def models(context: typer.Context) -> None:
    """List models, show one, fetch published ones, or make model folders of them.

    Example:
      auricle models
      auricle models show models/yard
    """
    if context.invoked_subcommand is None:
        list_models()


@app.command("list")
@guarded
def list_models(format: ReportFormat = "table", debug: Debug = False) -> None:
    """List the built-in models, and published ones of others that `models fetch` knows.

    A published model is for --teacher and `models import`.
    """
    from auricle.cli.report_output import print_object
    from auricle.cli.tables import print_table
    from auricle.runtime.bundle import builtin_models, load_bundle, resolve_model
    from auricle.runtime.catalogue import catalogue, fetched_model

    specs = [load_bundle(resolve_model(name)).spec for name in builtin_models()]
    if format == "json":
        for spec in specs:
            print_object(spec.model_dump(mode="json"), sys.stdout)
        for model in catalogue().values():
            found = fetched_model(model.name)
            about = {"title": model.title, "licence": model.licence, "bytes": model.size, "homepage": model.homepage}
            files = [vars(file) for file in model.files]
            here = None if found is None else found.path
            print_object({"published": model.name, **about, "path": here, "files": files}, sys.stdout)
        return
    rows = [(s.name, s.task, len(s.labels), s.sample_rate, s.window_s) for s in specs]
    print_table(("name", "task", "classes", "rate (Hz)", "window (s)"), rows, sys.stdout)
    print("\npublished models of others, for --teacher and models import (auricle models fetch NAME):")
    others = [
        (m.name, round(m.size / 1e6), m.licence, "known" if m.verified else "unverified", _place_of(m.name))
        for m in catalogue().values()
    ]
    print_table(("name", "MB", "licence", "sha256", "here"), others, sys.stdout)


def _place_of(name: str) -> str:
    from auricle.runtime.catalogue import fetched_model

    return "" if fetched_model(name) is None else "yes"


@app.command("fetch")
@guarded
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of `auricle models list`.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Its file, or the folder with it, fetched by other means."),
    ] = None,
    yes: Yes = False,
    format: ReportFormat = "table",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a published model of others: shows its licence and size, asks, and continues where it was interrupted.

    It goes into the user's data folder (AURICLE_HOME, else $XDG_DATA_HOME/auricle or the platform's), and its name
    goes wherever a teacher is named.

    Example:
      auricle models fetch mn04_as
      auricle models fetch mn04_as --from mn04_as_mAP_432.pt
      auricle teach sounds/ --unlabelled --teacher mn04_as --out soft/
    """
    from auricle.cli.progress import Meter
    from auricle.cli.report_output import print_object
    from auricle.runtime.catalogue import fetch_model, fetched_model, published

    model = published(name)
    if fetched_model(name) is None:
        say(model.terms())
        if source is None and not yes:
            confirm_download()
    with ExitStack() as stack:
        meters: dict[str, Meter] = {}

        def progress(file: str, done: int, total: int | None) -> None:
            if file not in meters:
                meters[file] = stack.enter_context(Meter(f"{file}, MB", quiet=quiet))
            if total is not None:
                meters[file].update(done // 1_000_000, total // 1_000_000)

        found = fetch_model(name, progress, source)
    if format == "json":
        print_object(found.to_dict(), sys.stdout)
        return
    word = "verified" if found.verified else "unverified: recorded in fetched.json, compared with nothing"
    print(f"{found.path}\nsha256 {next(iter(found.sha256.values()))} ({word})")


@app.command("remove")
@guarded
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model that was fetched.")],
    yes: Yes = False,
    debug: Debug = False,
) -> None:
    """Remove a published model from this machine.

    Example:
      auricle models remove mn40_as
    """
    from auricle.runtime.catalogue import model_home, published, remove_model

    if not yes:
        home = model_home(published(name).name)
        confirm(f"Remove {home}?", absent=f"nobody is there to ask: say --yes to remove {home}", refused="it stays")
    print(f"removed {remove_model(name)}")


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
