# SPDX-License-Identifier: Apache-2.0
"""The options that several commands share, each described once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from auricle.runtime.model_names import DEFAULT_MODEL

Inputs = Annotated[
    list[str],
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
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help="Scan into this folder: results, failures.jsonl, summary.json, and a journal to resume from.",
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
Jobs = Annotated[
    int,
    typer.Option("--jobs", "-j", metavar="N", min=1, help="Recordings scored at the same time; processes with --out."),
]
FollowLinks = Annotated[
    bool, typer.Option("--follow-links", help="Also read what is linked from within a folder and lies outside it.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Resume the scan in --out.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Throw away the scan in --out and start anew.")]
Timeout = Annotated[
    float,
    typer.Option("--timeout", metavar="S", min=0.001, help="Seconds that one recording may bring nothing, with --out."),
]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="Work on this machine, or on a Ray cluster (docs/cluster.md)."),
]
Device = Annotated[Literal["auto", "cpu"], typer.Option("--device", help="Where to compute.")]
Precision = Annotated[Literal["float32", "int8"], typer.Option("--precision", help="Which graph of the model to run.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr; errors remain.")]
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


@dataclass(frozen=True)
class ScoringOptions:
    """What ``tag``, ``detect`` and ``embed`` have in common."""

    model: Model = None
    out: Out = None
    resume: Resume = False
    overwrite: Overwrite = False
    follow_links: FollowLinks = False
    jobs: Jobs = 1
    timeout_s: Timeout = 600.0
    engine: Engine = "local"
    device: Device = "auto"
    precision: Precision = "float32"
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
