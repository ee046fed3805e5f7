# SPDX-License-Identifier: Apache-2.0
"""Collecting what is wrong with a data set, so that one run of a command reports all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from auricle.errors import DataError

#: Lines shown of one kind of problem; the rest is counted.
SHOWN_PER_KIND = 20


class Problems:
    """An ordered collection of problem lines, grouped by kind so that one fault repeated stays readable.

    >>> problems = Problems()
    >>> problems.add("range", "line 4: value 1.5 is above 1")
    >>> problems.lines()
    ['line 4: value 1.5 is above 1']
    """

    def __init__(self) -> None:
        self._by_kind: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, text: str) -> None:
        """Note one problem; ``kind`` only groups and is not shown."""
        shown = self._by_kind.setdefault(kind, [])
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if len(shown) < SHOWN_PER_KIND:
            shown.append(text)

    def extend(self, kind: str, texts: Iterable[str]) -> None:
        """Note several problems of one kind."""
        for text in texts:
            self.add(kind, text)

    def __len__(self) -> int:
        return sum(self._counts.values())

    def lines(self) -> list[str]:
        """Return the lines, kind after kind, each kind closed by how many more there are."""
        lines: list[str] = []
        for kind, shown in self._by_kind.items():
            lines.extend(shown)
            if self._counts[kind] > len(shown):
                lines.append(f"... and {self._counts[kind] - len(shown)} more like these")
        return lines

    def stop(self, summary: str) -> NoReturn:
        """Raise ``DataError`` with everything noted."""
        raise DataError(summary, self.lines())

    def stop_if_any(self, summary: str) -> None:
        """Raise ``DataError`` if anything was noted."""
        if self:
            self.stop(summary)
