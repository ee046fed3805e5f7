# SPDX-License-Identifier: Apache-2.0
"""JSON lines as a table: an object a line, as ``metadata.jsonl`` of an audiofolder has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from auricle.data.labels import LABEL_SEPARATOR
from auricle.data.problems import Problems
from auricle.data.tables import MAX_LINE_CHARS, Table
from auricle.errors import DataError

JSONL_SUFFIX = ".jsonl"


def read_jsonl(path: Path, *, rows: int | None = None) -> Table:
    """Read objects as rows, or the first ``rows`` of them; a key is a column, and a list joins its items with ``;``.

    Raises:
        DataError: with each line that is no JSON object.
    """
    problems = Problems()
    objects: list[dict[str, Any]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            number = 0
            while (line := file.readline(MAX_LINE_CHARS + 1)) and (rows is None or len(objects) < rows):
                number += 1
                if not line.strip():
                    continue
                item = _object(line)
                if item is None:
                    problems.add("json", f"line {number}: expected one JSON object")
                    continue
                objects.append(item)
                lines.append(number)
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path.name} cannot be read", [str(error)]) from error
    if not objects and not problems:
        problems.add("empty", "the file is empty: expected a JSON object a line")
    problems.stop_if_any(f"{path.name} cannot be used")
    columns = tuple(dict.fromkeys(key for item in objects for key in item))
    cells = tuple(tuple(_cell(item.get(column)) for column in columns) for item in objects)
    return Table(path, columns, cells, tuple(lines))


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _cell(value: Any) -> str:
    """Return a value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return LABEL_SEPARATOR.join(map(_cell, value))
    return json.dumps(value)
