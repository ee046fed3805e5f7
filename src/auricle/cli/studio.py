# SPDX-License-Identifier: Apache-2.0
"""``auricle studio``: a folder is labelled in the browser, and a detector is taught by it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.option_groups import grouped
from auricle.cli.options import Debug, Host, Port, Quiet, Token
from auricle.recipe.studio_requests import StudioRequest


@guarded
@grouped
def studio(
    request: StudioRequest,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8766,
    token: Token = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    export: Annotated[
        Literal["csv", "json", "raven", "audacity"] | None,
        typer.Option("--export", help="Only write the labels, to --to; raven and audacity are zip files."),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option("--train", metavar="DIR", help="Only train a model on all verdicts, as `auricle train` does."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="FILE", help="File of --export; stdout if absent.")] = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Label a folder of recordings in the browser, and teach a detector by the labels as they come.

    Find examples, search for more, judge what the model asks about, review what it detects; docs/studio.md shows how.
    The project lies in FOLDER/.auricle-studio; it may be stopped and killed at any time.

    Example:
      auricle studio recordings/
      auricle studio recordings/ --export raven --to labels.zip
      auricle studio recordings/ --train models/mine
    """
    from auricle import api

    if export is not None or to is not None:
        _export(request, "csv" if export is None else export, to)
        return
    if train is not None:
        _train(request, train, quiet=quiet)
        return
    import logging

    from auricle.server.origins import bracketed
    from auricle.server.run import open_socket
    from auricle.server.run import serve as run
    from auricle.server.settings import Settings
    from auricle.server.studio import StudioService

    with api.open_studio(request) as project, open_socket(host, port) as listener:
        host, port = listener.getsockname()[:2]
        settings = Settings(host=host, port=port, token=token)
        if not quiet:
            logging.getLogger("auricle.server").addHandler(logging.StreamHandler())
            for item in project.problems():
                say(f"auricle: {item['path']}: {item['message']} [{item['code']}]")
        address = f"http://{bracketed(host)}:{port}/"

        def ready() -> None:
            count = len(project.recordings())
            what = "1 recording" if count == 1 else f"{count} recordings"
            say(f"auricle: studio for {what} of {request.folder} on {address} (Ctrl-C stops)")
            if browser:
                _open(address)

        run(StudioService(project, settings), listener, ready)


def _export(request: StudioRequest, format: str, to: str | None) -> None:
    """Write the labels of a project."""
    import sys
    from pathlib import Path

    from auricle import api
    from auricle.files import atomic_write

    with api.open_studio(request) as project:
        content = project.export(format)
    if to is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        atomic_write(Path(to), content)


def _train(request: StudioRequest, out: str, *, quiet: bool) -> None:
    """Write the verdicts as a table beside the project, and train on it."""
    import sys

    from auricle import api
    from auricle.cli.report_output import print_run
    from auricle.cli.train_progress import TrainingProgress
    from auricle.recipe.requests import TrainRequest

    with api.open_studio(request) as project:
        table = project.own_folder / "verdicts.csv"
        count = project.write_training_table(table)
    if not quiet:
        say(f"auricle: training on {count} verdicts, {table}")
    with TrainingProgress(quiet=quiet) as progress:
        result = api.train(TrainRequest(table, out=out, data_format="csv", progress=progress))
    print_run(result, "table", sys.stdout)


def _open(address: str) -> None:
    """Open the page where there is a screen; elsewhere the address has been printed."""
    import threading
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
