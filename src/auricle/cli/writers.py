# SPDX-License-Identifier: Apache-2.0
"""Results as they come, on a stream, in one of the formats."""

from __future__ import annotations

import json
from typing import Any, Protocol, TextIO

from auricle.cli.guard import say
from auricle.cli.tables import csv_line, print_table
from auricle.cli.views import Row, View, flag_codes
from auricle.events.formats import EventFormat
from auricle.files import printable
from auricle.results import DetectResult


class Writer(Protocol):
    """Takes results one by one."""

    def write(self, result: Any) -> None:
        """Take one result, successful or failed."""

    def close(self, finished: bool) -> None:
        """Make everything that was written visible; ``finished`` is False after an interruption."""


class JsonLines:
    """One object a line, flushed, so that a reader sees each result as it comes."""

    def __init__(self, view: View, stream: TextIO) -> None:
        self._view, self._stream = view, stream

    def write(self, result: Any) -> None:
        """Write the object; a failed input has its line too."""
        self._stream.write(json.dumps(self._view.to_dict(result), ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self, finished: bool) -> None:
        """Nothing is held back."""


class CsvRows:
    """A header and one row for each label, event or embedding; a failed input has a row with its error."""

    def __init__(self, view: View, stream: TextIO) -> None:
        self._view, self._stream = view, stream
        stream.write(csv_line((*view.columns, "flags", "error", "message")))

    def write(self, result: Any) -> None:
        """Write the rows of one result."""
        if result.error is None:
            flags = flag_codes(result)
            lines = [csv_line((*row, flags, None, None)) for row in self._view.rows(result)]
        else:
            blank = [None] * (len(self._view.columns) - 1)
            lines = [csv_line((result.path, *blank, flag_codes(result), result.error.code, result.error.message))]
        self._stream.write("".join(lines))
        self._stream.flush()

    def close(self, finished: bool) -> None:
        """Nothing is held back."""


class Rows:
    """A table for people, printed at the end; failures go to stderr as they come."""

    def __init__(self, view: View, stream: TextIO) -> None:
        self._view, self._stream = view, stream
        self._rows: list[Row] = []

    def write(self, result: Any) -> None:
        """Keep the rows of one result."""
        if result.error is not None:
            say_failure(result)
            return
        flags = flag_codes(result)
        self._rows.extend((*row, flags) for row in self._view.rows(result))

    def close(self, finished: bool) -> None:
        """Print the table, with a column of flags only where there are any."""
        if not self._rows:
            return
        columns: tuple[str, ...] = (*self._view.columns, "flags")
        rows = self._rows
        if not any(row[-1] for row in rows):
            columns, rows = columns[:-1], [row[:-1] for row in rows]
        print_table(columns, rows, self._stream)


class WholeFile:
    """A form such as a Raven table, written at the end; failures go to stderr as they come."""

    def __init__(self, form: EventFormat, stream: TextIO) -> None:
        self._form, self._stream = form, stream
        self._results: list[DetectResult] = []

    def write(self, result: Any) -> None:
        """Keep one result."""
        if result.error is not None:
            say_failure(result)
        else:
            self._results.append(result)

    def close(self, finished: bool) -> None:
        """Write everything."""
        self._stream.writelines(self._form.dump(self._results))
        self._stream.flush()


def say_failure(result: Any) -> None:
    """Say on stderr why one input was not used."""
    say(f"auricle: {printable(result.path)}: {result.error.message} [{result.error.code}]")


def open_stream(view: View, form: str, stream: TextIO) -> Writer:
    """Return the writer for ``form``: table, json, csv, or a form of the view's own."""
    if form in view.files:
        return WholeFile(view.files[form], stream)
    if form == "json":
        return JsonLines(view, stream)
    return CsvRows(view, stream) if form == "csv" else Rows(view, stream)
