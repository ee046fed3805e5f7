# SPDX-License-Identifier: Apache-2.0
"""Results as they come, on a stream, in one of the formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TextIO

from auricle.cells import csv_line
from auricle.events.formats import EventFormat
from auricle.files import for_terminal, json_line, printable
from auricle.results import DetectResult
from auricle.scanning.views import View, flag_codes

Report = Callable[[str], None]


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
        self._stream.write(json_line(self._view.to_dict(result)))
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
        self._stream.write(for_terminal("".join(lines), self._stream))
        self._stream.flush()

    def close(self, finished: bool) -> None:
        """Nothing is held back."""


class WholeFile:
    """A format such as a Raven table, written at the end; failures are reported as they come."""

    def __init__(self, format: EventFormat, stream: TextIO, report: Report) -> None:
        self._format, self._stream, self._report = format, stream, report
        self._results: list[DetectResult] = []

    def write(self, result: Any) -> None:
        """Keep one result."""
        if result.error is not None:
            self._report(describe_failure(result))
        else:
            self._results.append(result)

    def close(self, finished: bool) -> None:
        """Write everything."""
        self._stream.writelines(for_terminal(text, self._stream) for text in self._format.dump(self._results))
        self._stream.flush()


def describe_failure(result: Any) -> str:
    """Return in one line why one input was not used."""
    return printable(f"{result.path}: {result.error.message} [{result.error.code}]")


def open_writer(view: View, format: str, stream: TextIO, report: Report = lambda line: None) -> Writer:
    """Return the writer for ``format``: json, csv, or a format of the view's own.

    ``report`` is given a line for each failed input where the format has no place for it.
    """
    if format in view.files:
        return WholeFile(view.files[format], stream, report)
    return JsonLines(view, stream) if format == "json" else CsvRows(view, stream)
