# SPDX-License-Identifier: Apache-2.0
"""What ``tag``, ``detect`` and ``embed`` share: call ``auricle.scan``, print results or how a folder was filled."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TextIO

import typer

from auricle.api import scan
from auricle.audio.cutouts import CutoutOptions
from auricle.cli.guard import say
from auricle.cli.options import ScoringOptions
from auricle.cli.progress import Meter, spell_seconds
from auricle.cli.tables import print_table
from auricle.recipe.scan_requests import DEFAULT_MODEL, EventOptions, ScanOptions, ScanRequest
from auricle.runtime.thresholds import Thresholds
from auricle.scanning.result_files import Tally
from auricle.scanning.scan import ScanProgress
from auricle.scanning.task import Command
from auricle.scanning.views import CHANNEL_COLUMN, CLOCK_COLUMNS, SHARE, Row, View, flag_codes
from auricle.scanning.writers import describe_failure, open_writer


def score(
    command: Command,
    inputs: Sequence[str],
    options: ScoringOptions,
    format: str,
    *,
    top: int | None = None,
    threshold: Thresholds | None = None,
    prior_spoof: float | None = None,
    abstain: float | None = None,
    classes: Sequence[str] = (),
    cutouts: CutoutOptions | None = None,
    events: EventOptions = EventOptions(),  # noqa: B008 (frozen)
) -> None:
    """Score all inputs; print the results, or write them into the folder ``--out``.

    Raises:
        typer.Exit: with 1 if an input failed.
    """
    kept = {item.name: getattr(options, item.name) for item in fields(ScanOptions)}
    found = scan(
        ScanRequest(
            inputs,
            command=command,
            format="json" if format == "table" else format,
            top=top,
            threshold=threshold,
            prior_spoof=prior_spoof,
            abstain=abstain,
            classes=classes,
            cutouts=cutouts,
            progress=ScanMeter(quiet=options.quiet),
            **kept,
            **vars(events),
        )
    )
    tally = found.tally
    if tally is None:
        tally = found.write(_writer(found.view, format, sys.stdout))
        closing = f"{tally.failed} of {found.total} inputs failed" if tally.failed and found.total > 1 else None
    else:
        closing = None if found.speed is None else closing_line(tally, found.speed)
    if closing is not None and not options.quiet:
        say(f"auricle: {closing}")
    if tally.failed:
        raise typer.Exit(1)


class ScanMeter(ScanProgress):
    """A scan on stderr: notices, and a ``Meter`` while it works."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._meter: Meter | None = None

    def default_model(self) -> None:
        """Show which model is used."""
        self.notice(f"no --model given, using {DEFAULT_MODEL}")

    def notice(self, text: str) -> None:
        """Show it, unless ``--quiet``."""
        if not self._quiet:
            say(f"auricle: {text}")

    def interrupted(self, text: str) -> None:
        """Show it."""
        say(f"auricle: {text}")

    def begin(self, what: str) -> None:
        """Start the clock."""
        self._meter = Meter(what, quiet=self._quiet)

    def recording(self, done_s: float, total_s: float | None) -> None:
        """Show it now and then."""
        if self._meter is not None:
            self._meter.show_seconds(done_s, total_s)

    def update(self, done: int, total: int) -> None:
        """Show it now and then."""
        if self._meter is not None:
            self._meter.update(done, total)

    def end(self) -> None:
        """Remove the bar."""
        if self._meter is not None:
            self._meter.close()


def closing_line(tally: Tally, speed: dict[str, float]) -> str:
    """Return the summary of a folder in one line."""
    text = f"{tally.done + tally.failed} recordings, {tally.audio_s / 3600:.3g} h"
    if speed["files_per_s"]:
        text += f", in {spell_seconds(speed['elapsed_s'])} ({speed['files_per_s']:g} a second)"
    if tally.failed:
        codes = ", ".join(f"{code} {count}" for code, count in sorted(tally.failures.items(), key=_most_first))
        text += f"; {tally.failed} failed: {codes} (see failures.jsonl)"
    return text


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _writer(view: View, format: str, stream: TextIO) -> Any:
    def report(line: str) -> None:
        say(f"auricle: {line}")

    return ResultTable(view, stream, report) if format == "table" else open_writer(view, format, stream, report)


class ResultTable:
    """Results of a scan as one table, printed at the end; failures are reported as they come (a ``Writer``)."""

    def __init__(self, view: View, stream: TextIO, report: Callable[[str], None]) -> None:
        self._view, self._stream, self._report = view, stream, report
        self._rows: list[Row] = []

    def write(self, result: Any) -> None:
        """Keep the rows of one result."""
        if result.error is not None:
            self._report(describe_failure(result))
            return
        flags = flag_codes(result)
        self._rows.extend((*row, flags) for row in self._view.rows(result))

    def close(self, finished: bool) -> None:
        """Print the table, with columns of flags and of the clock only where they say something."""
        if not self._rows:
            return
        columns: tuple[str, ...] = (*self._view.columns, "flags")
        optional = {"flags", SHARE, *CLOCK_COLUMNS, CHANNEL_COLUMN}
        said = [any(row[i] not in (None, "") for row in self._rows) for i in range(len(columns))]
        shown = [i for i, name in enumerate(columns) if name not in optional or said[i]]
        rows = ([row[i] for i in shown] for row in self._rows)
        print_table([columns[i] for i in shown], rows, self._stream)
