# SPDX-License-Identifier: Apache-2.0
"""Results as Parquet: a folder of parts that DuckDB, pandas and Spark read as one table; each part is whole.

All parts have the same columns and types: text, 64-bit floats, and for ``start`` timestamps in UTC where a time zone
was given (text in the form of ISO 8601 where not, since times with and without an offset may then stand together).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from auricle.files import atomic_write
from auricle.scanning.views import CHANNEL_COLUMN, View, flag_codes
from auricle.tabular import library

#: Rows of a part.
PART_ROWS = 500_000
TEXTS = frozenset({"path", "label", "recorder", "flags"})


def write_parquet(folder: Path, view: View, results: Iterable[Any], *, part_rows: int = PART_ROWS) -> None:
    """Write the rows of all results that have not failed, in parts ``part-00000.parquet`` and on.

    Raises:
        UsageError: pyarrow is not installed.
    """
    arrow, parquet = library("pyarrow", "arrow"), library("pyarrow.parquet", "arrow")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    columns = (*view.columns, "flags")
    schema = arrow.schema([(name, _kind(name, view, arrow)) for name in columns])
    rows, number = _rows(view, results), 0
    while (part := list(islice(rows, part_rows))) or number == 0:
        table = arrow.table([_column(part, i, schema.field(i)) for i in range(len(columns))], schema=schema)
        atomic_write(folder / f"part-{number:05}.parquet", partial(parquet.write_table, table))
        number += 1


def _kind(name: str, view: View, arrow: Any) -> Any:
    if name == "start":
        return arrow.timestamp("us", tz="UTC") if view.zoned else arrow.string()
    if name == CHANNEL_COLUMN:
        return arrow.int64()
    return arrow.string() if name in TEXTS else arrow.float64()


def _rows(view: View, results: Iterable[Any]) -> Iterator[tuple[object, ...]]:
    """Yield the rows that say something: a recording without events has none."""
    label = view.columns.index("label") if "label" in view.columns else None
    for result in results:
        if result.error is None:
            flags = flag_codes(result)
            rows = view.rows(result)
            yield from ((*row, flags) for row in rows if label is None or row[label] is not None)


def _column(rows: Sequence[tuple[object, ...]], index: int, field: Any) -> Any:
    arrow = library("pyarrow", "arrow")
    values: list[Any] = [row[index] for row in rows]
    if field.name == "start" and not arrow.types.is_string(field.type):
        values = [None if value is None else datetime.fromisoformat(value).astimezone(UTC) for value in values]
    elif arrow.types.is_floating(field.type):
        values = [None if value is None else float(value) for value in values]
    return arrow.array(values, field.type)
