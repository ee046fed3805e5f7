# SPDX-License-Identifier: Apache-2.0
"""Where results go: a stream in one of the formats, or a folder with results, failures and a summary."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any, Protocol, TextIO

from auricle import __version__
from auricle.cli.guard import say
from auricle.cli.tables import csv_line, print_table, printable
from auricle.cli.views import Row, View, flag_codes
from auricle.errors import UsageError
from auricle.events.formats import EventFormat
from auricle.files import atomic_write
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


class LabelFiles:
    """One file of Audacity labels for each recording, in a tree like that of the recordings."""

    def __init__(self, form: EventFormat, folder: Path) -> None:
        self._form, self._folder = form, folder

    def write(self, result: Any) -> None:
        """Write the labels of one recording."""
        if result.error is None:
            parts = [part for part in Path(result.path).parts if part not in ("..", Path(result.path).anchor)]
            target = self._folder.joinpath(*parts[:-1], printable(parts[-1]) + self._form.suffix)
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(target, "".join(self._form.dump([result])).encode("utf-8", "backslashreplace"))

    def close(self, finished: bool) -> None:
        """Nothing is held back."""


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


class Folder:
    """A folder of results: ``<name>.jsonl`` or ``.csv``, ``failures.jsonl``, ``summary.json``.

    All three are written beside their final names and renamed at the end, also after an interruption
    (``summary.json`` then says ``"finished": false``): what has its final name is whole.
    """

    def __init__(self, view: View, form: str, folder: Path, *, model: str, total: int) -> None:
        self._view, self._folder = view, folder
        self._summary: dict[str, Any] = {"model": model, "inputs": total}
        self._counts: Counter[str] = Counter()
        self._flags: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._seconds = 0.0
        self._start = time.monotonic()
        self._results: _Pending | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._failed = _Pending(folder / "failures.jsonl")
            self._writer = self._open_results("json" if form == "table" else form)
        except OSError as error:
            raise UsageError(f"--out {folder}: cannot write there ({error.strerror}); choose another folder") from error

    def _open_results(self, form: str) -> Writer:
        """Return the writer of the results in their form."""
        if form == "audacity":
            return LabelFiles(self._view.files[form], self._folder / "labels")
        known = self._view.files.get(form)
        suffix = {"json": ".jsonl", "csv": ".csv"}[form] if known is None else known.suffix
        self._results = _Pending(self._folder / f"{self._view.name}{suffix}")
        return open_stream(self._view, form, self._results.stream)

    def write(self, result: Any) -> None:
        """Add one result, and its failure if it has one."""
        self._writer.write(result)
        self._counts["failed" if result.error is not None else "done"] += 1
        self._flags.update({flag.code for flag in result.flags})
        if result.error is not None:
            self._failures[result.error.code] += 1
            line = json.dumps({"path": result.path, **result.error.to_dict()}, ensure_ascii=False)
            self._failed.stream.write(line + "\n")
            self._failed.stream.flush()
        elif result.duration is not None:
            self._seconds += result.duration

    def close(self, finished: bool) -> None:
        """Rename the files to their final names and write the summary."""
        self._writer.close(finished)
        if self._results is not None:
            self._results.commit()
        self._failed.commit()
        summary = {
            **self._summary,
            "done": self._counts["done"],
            "failed": self._counts["failed"],
            "failures": dict(sorted(self._failures.items())),
            "flags": dict(sorted(self._flags.items())),
            "audio_s": round(self._seconds, 3),
            "elapsed_s": round(time.monotonic() - self._start, 3),
            "finished": finished,
            "auricle": __version__,
        }
        atomic_write(self._folder / "summary.json", (json.dumps(summary, indent=2) + "\n").encode())


class _Pending:
    """A text file that gets its name only when it is complete."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._part = target.with_name(f".{target.name}.{os.getpid()}.part")
        self.stream = self._part.open("w", encoding="utf-8", errors="backslashreplace", newline="")

    def commit(self) -> None:
        """Force the content to the disk, then give the file its name."""
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        self._part.replace(self._target)
