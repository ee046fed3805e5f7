# SPDX-License-Identifier: Apache-2.0
"""What ``tag``, ``detect`` and ``embed`` share: find the inputs, load the model, pass the results on."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from auricle.cli.guard import say
from auricle.cli.progress import Meter
from auricle.cli.views import View
from auricle.cli.writers import Folder, open_stream
from auricle.errors import UsageError
from auricle.files import list_audio
from auricle.runtime.locate import DEFAULT_MODEL

if TYPE_CHECKING:
    from auricle.runtime.detector import Detector


class Stdin(io.BytesIO):
    """What came through stdin, under the name that results show."""

    name = "-"


def find_inputs(inputs: Sequence[str]) -> list[str | BinaryIO]:
    """Return the recordings that ``inputs`` name; ``-`` is read from stdin, which has no length, into memory."""
    found: list[str | BinaryIO] = [*list_audio(inputs)]
    if found.count("-") > 1:
        raise UsageError("- (stdin) stands twice among the inputs; it can be read once")
    return [Stdin(sys.stdin.buffer.read()) if source == "-" else source for source in found]


def open_model(name: str | None, *, precision: str, quiet: bool) -> Detector:
    """Load the model, saying once on stderr which one when none was named."""
    from auricle.api import load

    if name is None:
        name = DEFAULT_MODEL
        if not quiet:
            say(f"auricle: no --model given, using {name}")
    return load(name, precision=precision)


def score_all(
    results: Iterable[Any], view: View, form: str, out: Path | None, *, model: str, total: int, quiet: bool
) -> None:
    """Write every result to stdout or to the folder ``out``; exits 1 if an input failed."""
    writer = open_stream(view, form, sys.stdout) if out is None else Folder(view, form, out, model=model, total=total)
    failed = 0
    finished = False
    try:
        with Meter(view.name, quiet=quiet) as progress:
            for done, result in enumerate(results, 1):
                writer.write(result)
                failed += result.error is not None
                progress.update(done, total)
        finished = True
    finally:
        writer.close(finished)
    if failed:
        if total > 1 and not quiet:
            say(f"auricle: {failed} of {total} inputs failed")
        raise typer.Exit(1)
