# SPDX-License-Identifier: Apache-2.0
"""``auricle serve``: models over HTTP, live streams, and a page."""

from __future__ import annotations

from typing import Annotated

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.options import Debug, Host, Port, Precision, Quiet, Token
from auricle.runtime.model_names import DEFAULT_MODEL


@guarded
def serve(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="A folder or the name of a built-in model; may be repeated, the first one is the default.",
            show_default=DEFAULT_MODEL,
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    token: Token = None,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", metavar="URL", help="Page of another site that may use this server; may be repeated."),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", metavar="N", min=1, help="Processes that score recordings.", show_default="cores"),
    ] = None,
    max_sessions: Annotated[
        int, typer.Option("--max-sessions", metavar="N", min=1, help="Live streams at once.")
    ] = 1000,
    max_body_mb: Annotated[int, typer.Option("--max-body", metavar="MB", min=1, help="Largest upload.")] = 512,
    max_audio_s: Annotated[
        float, typer.Option("--max-seconds", metavar="S", min=1.0, help="Longest recording, decoded.")
    ] = 3600.0,
    latency_s: Annotated[
        float | None,
        typer.Option(
            "--latency",
            metavar="S",
            min=0,
            max=3600,
            help="Live streams that ask for no latency: events at most this late, as far as the model can.",
            show_default="the model's own",
        ),
    ] = None,
    precision: Precision = "float32",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Serve models over HTTP, with live streams and a page for the browser.

    POST /v1/tag and /v1/detect take a recording, WS /v1/stream takes live sound; docs/serve.md explains them.

    Example:
      auricle serve --model models/yard
      curl -F file=@night.flac http://127.0.0.1:8765/v1/detect
    """
    import logging

    from auricle.server.app import Service
    from auricle.server.origins import bracketed
    from auricle.server.run import open_socket
    from auricle.server.run import serve as run
    from auricle.server.settings import MIB, Settings, usual_workers

    workers, stream_workers = usual_workers()
    listener = open_socket(host, port)
    with listener:
        host, port = listener.getsockname()[:2]
        settings = Settings(
            host=host,
            port=port,
            token=token,
            origins=tuple(origin if origin is not None else ()),
            workers=workers if jobs is None else jobs,
            stream_workers=stream_workers,
            max_sessions=max_sessions,
            max_body_bytes=max_body_mb * MIB,
            max_audio_s=max_audio_s,
            latency_s=latency_s,
        )
        service = Service([DEFAULT_MODEL] if model is None else model, settings, precision=precision)
        if not quiet:
            logging.getLogger("auricle.server").setLevel(logging.INFO)
        names = ", ".join(service.engine.specs)
        address = f"http://{bracketed(host)}:{port}"
        run(service, listener, lambda: say(f"auricle: serving {names} on {address} (Ctrl-C stops)"))
