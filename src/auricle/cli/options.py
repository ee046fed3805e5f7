# SPDX-License-Identifier: Apache-2.0
"""The options that several commands share, each described once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from auricle.recipe.scan_requests import DEFAULT_MODEL, ScanOptions

Inputs = Annotated[
    list[str],
    typer.Argument(help="Recordings: files, folders (searched through), globs, or - for stdin.", metavar="INPUT"),
]
#: As ``Inputs``, where recordings can be named by --list too.
InputsOrList = Annotated[
    list[str] | None,
    typer.Argument(help="Recordings: files, folders (searched through), globs, or - for stdin.", metavar="INPUT"),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="A folder (with a / or existing) or the name of a built-in model.",
        show_default=DEFAULT_MODEL,
    ),
]
NewFolder = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write; must be new or empty.")]
Threshold = Annotated[
    list[str] | None,
    typer.Option(
        "--threshold",
        "-t",
        metavar="[LABEL=]X",
        help="X for all labels or LABEL=X for one, from 0 to 1; may be repeated.",
    ),
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--classes",
        metavar="NAME",
        help="Only this class, or all of this group of AudioSet's, such as Animal; may be repeated.",
    ),
]
Precision = Annotated[Literal["float32", "int8"], typer.Option("--precision", help="Which graph of the model to run.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr; errors remain.")]
Host = Annotated[
    str,
    typer.Option("--host", metavar="ADDRESS", help="Address to listen on; others than this machine's need a token."),
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TEXT",
        envvar="AURICLE_TOKEN",
        show_envvar=False,
        help="What clients must show; better as environment variable AURICLE_TOKEN, which `ps` does not show.",
    ),
]
TableFormat = Annotated[
    Literal["table", "json", "csv"], typer.Option("--format", "-f", help="Format of the table of trials.")
]
ReportFormat = Annotated[Literal["table", "json"], typer.Option("--format", "-f", help="Format of the report.")]


def hertz(least: int) -> Callable[[str], int]:
    """Return what reads a sample rate: a whole number, however it is written (``48000.0`` is what PortAudio says)."""

    def read(text: str) -> int:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf or value != int(value):
            raise typer.BadParameter(f"{text} is no sample rate; expected a whole number of Hz, {least} or more")
        return int(value)

    return read


@dataclass(frozen=True, kw_only=True)
class ScoringOptions(ScanOptions):
    """What ``tag``, ``detect`` and ``embed`` have in common."""

    debug: Debug = False
    quiet: Quiet = False


@dataclass(frozen=True)
class DebugOptions:
    """How an error is shown."""

    debug: Debug = False


@dataclass(frozen=True)
class FormOptions:
    """How a report is shown."""

    format: ReportFormat = "table"
    debug: Debug = False


@dataclass(frozen=True)
class ReportOptions(FormOptions):
    """How a report is shown, and whether anything is said on the way to it."""

    quiet: Quiet = False


@dataclass(frozen=True)
class TableOptions:
    """How a table is shown."""

    format: TableFormat = "table"
    debug: Debug = False
    quiet: Quiet = False
