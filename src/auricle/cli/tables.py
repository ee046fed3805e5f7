# SPDX-License-Identifier: Apache-2.0
"""Rows for people: a rich table on a terminal, aligned plain text in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TextIO

from auricle.cells import as_text
from auricle.files import printable


def for_people(value: object) -> str:
    """Return a cell for a table: floats with three decimals, small ones with four significant digits.

    >>> [for_people(value) for value in (1234.5678, 2.0, 0.000123456, None)]
    ['1234.568', '2', '0.0001235', '']
    """
    if not isinstance(value, float):
        return as_text(value)
    return f"{value:.3f}".rstrip("0").rstrip(".") if abs(value) >= 1 else f"{value:.4g}"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], stream: TextIO) -> None:
    """Print rows under their column names: rich on a terminal, aligned text elsewhere. Numbers go to the right."""
    values = [list(row) for row in rows]
    numeric = [
        any(isinstance(row[i], (int, float)) for row in values)
        and all(row[i] in (None, "") or isinstance(row[i], (int, float)) for row in values)
        for i in range(len(columns))
    ]
    cells = [[printable(for_people(value)) for value in row] for row in values]
    if stream.isatty():
        _print_rich(columns, cells, numeric, stream)
    else:
        stream.write(_aligned(columns, cells, numeric))
    stream.flush()


def _print_rich(
    columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool], stream: TextIO
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=stream).print(table)


def _aligned(columns: Sequence[str], cells: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Return the rows as lines of text, columns two spaces apart."""
    widths = [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]
    lines = []
    for row in [columns, *cells]:
        padded = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(padded).rstrip() + "\n")
    return "".join(lines)
