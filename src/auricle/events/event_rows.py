# SPDX-License-Identifier: Apache-2.0
"""Rows of tables of events, with checks that name the row."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from auricle.cells import unescape_cell
from auricle.errors import DataError
from auricle.results import DetectResult, Event


class Table:
    """Rows of a table with a header, with checks that name the row."""

    def __init__(
        self, lines: Iterable[str], delimiter: str, needed: Sequence[str], where: str, *, quoted: bool = True
    ) -> None:
        self._where = where
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        self._reader = csv.reader(lines, delimiter=delimiter, strict=True, quoting=quoting)
        self._columns = [name.lstrip("\ufeff") for name in next(self._reader, [])]
        missing = [name for name in needed if name not in self._columns]
        if missing:
            found = ", ".join(self._columns) if self._columns else "nothing"
            raise DataError(f"{where} cannot be read", [f"no column {name!r}; found {found}" for name in missing])

    def __iter__(self) -> Iterator[dict[str, str]]:
        try:
            for cells in self._reader:
                if not cells:
                    continue
                if len(cells) != len(self._columns):
                    problem = f"{self.place}: {len(cells)} cells under {len(self._columns)} columns"
                    raise DataError(f"{self._where} cannot be read", [problem])
                yield dict(zip(self._columns, map(unescape_cell, cells), strict=True))
        except csv.Error as error:
            raise DataError(f"{self._where} cannot be read", [f"{self.place}: {error}"]) from error

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its header."""
        return tuple(self._columns)

    @property
    def place(self) -> str:
        """Where the row that was read last stands."""
        return f"line {self._reader.line_num}"

    def event(self, row: dict[str, str], onset: str, offset: str, label: str, score: str) -> Event:
        """Return the event of a row, by the names of its columns; without one of scores they are 1."""
        return event_of(row[onset], row[offset], row[label], row.get(score, "1"), self.place, self._where)


def event_of(onset: str, offset: str, label: str, score: str, place: str, where: str) -> Event:
    """Build an event from text; a problem names the place."""
    try:
        event = Event(label, float(onset), float(offset), float(score))
    except ValueError as error:
        raise DataError(f"{where} cannot be read", [f"{place}: {error}"]) from error
    if not (0 <= event.onset <= event.offset < math.inf and 0 <= event.score <= 1):
        problem = f"{place}: need 0 <= onset <= offset and a score in [0, 1], got {onset}, {offset}, {score}"
        raise DataError(f"{where} cannot be read", [problem])
    return event


def grouped(rows: Iterable[tuple[str, Event]]) -> list[DetectResult]:
    """Collect rows into one result a recording, keeping the order of both."""
    found: dict[str, list[Event]] = {}
    for path, event in rows:
        found.setdefault(path, []).append(event)
    return [DetectResult(path, None, events=tuple(events)) for path, events in found.items()]
