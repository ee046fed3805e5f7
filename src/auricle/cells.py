# SPDX-License-Identifier: Apache-2.0
"""Cells and lines of the tables we write: no spreadsheet runs them as a formula, and they are read as they were.

Text that begins like a formula, after any number of quotes, gets a quote in front; reading takes one off. So
``=1`` is written ``'=1``, and ``'=1``, which somebody may really have typed, is written ``''=1``: what is written
comes back as it was.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def escape_cell(text: str) -> str:
    """Return text that no spreadsheet runs as a formula.

    >>> [escape_cell(text) for text in ("=HYPERLINK(1)", "'=1", "'quoted'", "a-b")]
    ["'=HYPERLINK(1)", "''=1", "'quoted'", 'a-b']
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_cell(text: str) -> str:
    """Undo ``escape_cell``.

    >>> [unescape_cell(text) for text in ("'=HYPERLINK(1)", "''=1", "'quoted'", "=1")]
    ['=HYPERLINK(1)', "'=1", "'quoted'", '=1']
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def as_text(value: object) -> str:
    """Return a cell as text: None is empty, floats have six significant digits."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def csv_line(row: Iterable[object]) -> str:
    """Return one CSV line. Text that a spreadsheet would take for a formula gets a leading ``'``."""
    cells = [escape_cell(value) if isinstance(value, str) else as_text(value) for value in row]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
