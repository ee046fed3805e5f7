# SPDX-License-Identifier: Apache-2.0
"""Cells of the tables we write: text that no spreadsheet runs as a formula, and the same text when it is read again.

Text that begins like a formula, after any number of quotes, gets a quote in front; reading takes one off. So
``=1`` is written ``'=1``, and ``'=1``, which somebody may really have typed, is written ``''=1``: what is written
comes back as it was.
"""

from __future__ import annotations

import re

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
