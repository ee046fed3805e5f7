# SPDX-License-Identifier: Apache-2.0
"""Results as tables: columns for pandas, Arrow and notebooks. The libraries are imported when they are asked for."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from auricle.errors import UsageError

Columns = dict[str, list[Any]]
#: Rows that a notebook shows.
SHOWN_ROWS = 20


def library(module: str, extra: str) -> Any:
    """Import a library that only some uses need.

    Raises:
        UsageError: it is not installed; says which extra brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        name = module.partition(".")[0]
        raise UsageError(f'this needs {name}, which is not installed: pip install "auricle[{extra}]"') from None


def arrow_table(columns: Mapping[str, Sequence[Any]]) -> Any:
    """Return a ``pyarrow.Table``; a column of nothing but None has the type that its name stands for.

    Moments with an offset become timestamps in UTC, those without one timestamps without a zone; both in one column
    become text in the form of ISO 8601.
    """
    arrow = library("pyarrow", "arrow")
    texts = {"path", "label", "recorder", "flags", "error", "message", "start_from", "metric"}
    arrays = {}
    for name, values in columns.items():
        if name == "start":
            arrays[name] = _moments(values, arrow)
        elif name in texts:
            arrays[name] = arrow.array(values, arrow.string())
        elif any(isinstance(value, str) for value in values):
            arrays[name] = arrow.array([None if value is None else str(value) for value in values], arrow.string())
        else:
            arrays[name] = arrow.array(values, arrow.int64() if _whole(values) else arrow.float64())
    return arrow.table(arrays)


def _whole(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, int) and not isinstance(value, bool) for value in values)


def _moments(values: Sequence[datetime | None], arrow: Any) -> Any:
    known = [value for value in values if value is not None]
    aware = [value for value in known if value.tzinfo is not None]
    if known and len(aware) == len(known):
        utc = [None if value is None else value.astimezone(UTC) for value in values]
        return arrow.array(utc, arrow.timestamp("us", tz="UTC"))
    if not aware:
        return arrow.array(values, arrow.timestamp("us"))
    return arrow.array([None if value is None else value.isoformat() for value in values], arrow.string())


class Tabular:
    """What has rows and columns."""

    def columns(self) -> Columns:
        """Return the columns by name, all of one length."""
        raise NotImplementedError

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame``, a row for each label, event or recording.

        Raises:
            UsageError: pandas is not installed.
        """
        return library("pandas", "pandas").DataFrame(self.columns())

    def to_arrow(self) -> Any:
        """Return a ``pyarrow.Table`` of the same rows.

        Raises:
            UsageError: pyarrow is not installed.
        """
        return arrow_table(self.columns())

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a line and the first rows."""
        columns = {name: values for name, values in self.columns().items() if any(v is not None for v in values)}
        rows = list(zip(*columns.values(), strict=True))
        head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
        body = "".join(f"<tr>{''.join(f'<td>{_cell(v)}</td>' for v in row)}</tr>" for row in rows[:SHOWN_ROWS])
        more = f"<p>{len(rows) - SHOWN_ROWS} more rows</p>" if len(rows) > SHOWN_ROWS else ""
        title = f"<p>{html.escape(repr(self))}</p>"
        return f"{title}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def joined(parts: Iterable[Columns]) -> Columns:
    """Return columns one below the other; a column that some parts lack is None there."""
    whole: Columns = {}
    rows = 0
    for part in parts:
        count = len(next(iter(part.values()), []))
        for name, values in part.items():
            whole.setdefault(name, [None] * rows).extend(values)
        rows += count
        for values in whole.values():
            values.extend([None] * (rows - len(values)))
    return whole


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return html.escape(value.isoformat())
    return html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))
