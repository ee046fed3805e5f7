# SPDX-License-Identifier: Apache-2.0
"""The form ``csv``: a table with a path and labels a row. ESC-50's ``meta/esc50.csv`` is one.

Columns: ``path`` or ``filename``, ``label`` or ``category`` (several joined with ``;``); optional
``fold``, ``split``, ``group``, ``onset``, ``offset`` (seconds: a segment of the file; for events see ``desedform``).
All other columns are left alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from auricle.data.arrays import array_spec
from auricle.data.formats.draft import Draft, ReadOptions
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import ARRAY_SUFFIX, search_roots
from auricle.data.problems import Problems
from auricle.data.tables import PATH_COLUMNS, TABLE_SUFFIXES, Table, pick_column, read_columns, read_table
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten

LABEL_COLUMNS = ("label", "category")
#: The first of these that a table has is its group.
GROUP_COLUMNS = ("group", "src_file", "freesound_id", "speaker")

SEGMENTS_NOTE = (
    "onset and offset cut segments out of the files; where they say when an event is in a file, call the column of "
    "labels event_label or pass --data-format desed"
)


def tables_in(folder: Path) -> list[Path]:
    """Return the tables of a folder and of its ``meta/``, sorted."""
    places = (folder, folder / "meta")
    return sorted(
        p for place in places if place.is_dir() for p in place.iterdir()
        if p.suffix.lower() in TABLE_SUFFIXES and p.is_file() and not p.name.startswith(".")
    )  # fmt: skip


def columns_of(path: Path, options: ReadOptions) -> tuple[str, ...] | None:
    """Return the columns of a table, or None if it cannot be read (reading it for good says why)."""
    try:
        return read_columns(path, encoding=options.encoding, delimiter=options.delimiter)
    except DataError:
        return None


def has_labels(columns: Sequence[str] | None) -> bool:
    """Tell whether columns are those of this form."""
    return columns is not None and any(c in columns for c in PATH_COLUMNS) and any(c in columns for c in LABEL_COLUMNS)


def looks_like_csv(path: Path, options: ReadOptions) -> bool:
    """Recognise a table with paths and labels, or a folder that holds one."""
    tables = [path] if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES else []
    if path.is_dir():
        tables = tables_in(path)
    return any(has_labels(columns_of(table, options)) for table in tables)


def _find_table(path: Path, options: ReadOptions) -> Path:
    """Return the one table meant by ``path``; raises ``DataError`` if there is none or more than one."""
    if path.is_file():
        return path
    tables = tables_in(path)
    fitting = [t for t in tables if has_labels(columns_of(t, options))] or tables
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = shorten((str(t.relative_to(path)) for t in fitting), 5)
        raise DataError(f"{path} holds {len(fitting)} tables", [f"{names}: name the one that is meant"])
    raise DataError(f"{path} holds no table", ["expected one .csv or .tsv with the columns path and label"])


def parse_seconds(place: str, name: str, cell: str, problems: Problems) -> float | None:
    """Return a time in seconds, or None for an empty cell; notes what is no time."""
    text = cell.strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        hint = "; write the decimal point as '.'" if "," in text else ""
        problems.add("time", f"{place}: {name} {cell!r} is no number of seconds{hint}")
        return None
    if not math.isfinite(value) or value < 0:
        problems.add("time", f"{place}: {name} {cell!r} must be finite and not negative")
        return None
    return value


def _read_row(draft: Draft, place: str, row: dict[str, str], group: str | None, roots: Sequence[str]) -> None:
    """Turn one row, its cells named by their meaning, into a clip of the draft."""
    found = draft.find(place, row["path"], roots)
    label, negative = draft.labels(place, row["label"])
    onset = parse_seconds(place, "onset", row.get("onset", ""), draft.problems)
    offset = parse_seconds(place, "offset", row.get("offset", ""), draft.problems)
    start = 0.0 if onset is None else onset
    if offset is not None and offset <= start:
        draft.problems.add("time", f"{place}: offset {offset:g} is not after onset {start:g}")
    for name in ("fold", "group"):
        if name in row and not row[name].strip():
            draft.problems.add("empty", f"{place}: no {name}; fill the cell or remove the column")
    split = draft.split(place, row["split"]) if "split" in row else None
    if found is not None:
        clip = Clip(
            found.key, found.path, label, negative, fold=row.get("fold"), split=split,
            group=row["group"] if group else None, onset=onset, offset=offset,
        )  # fmt: skip
        draft.add(place, clip, found)


def _named_columns(table: Table, draft: Draft) -> dict[str, str]:
    """Return which column carries which meaning; what is missing becomes a problem of the draft."""
    path = pick_column(table.columns, PATH_COLUMNS, draft.problems)
    label = pick_column(table.columns, LABEL_COLUMNS, draft.problems)
    group = next((name for name in GROUP_COLUMNS if name in table.columns), None)
    draft.problems.stop_if_any(f"{table.path.name} cannot be used")
    if group not in (None, "group"):
        draft.notes.append(f"groups are taken from the column {group!r}")
    meanings = {"path": path, "label": label, "group": group}
    meanings |= {name: name for name in ("fold", "split", "onset", "offset") if name in table.columns}
    return {meaning: column for meaning, column in meanings.items() if column is not None}


def read_csv_form(path: Path, options: ReadOptions) -> Manifest:
    """Read a table with paths and labels; raises ``DataError`` with all problems."""
    table = read_table(_find_table(path, options), encoding=options.encoding, delimiter=options.delimiter)
    draft = Draft(path, "csv", options, notes=list(table.notes))
    columns = _named_columns(table, draft)
    roots = search_roots(table.path.parent)
    cells = [table.column(column) for column in columns.values()]
    for line, *values in zip(table.lines, *cells, strict=True):
        _read_row(draft, f"line {line}", dict(zip(columns, values, strict=True)), columns.get("group"), roots)
    if any(clip.onset is not None or clip.offset is not None for clip in draft.clips):
        draft.notes.append(SEGMENTS_NOTE)
    holds_arrays = any(clip.is_array for clip in draft.clips)
    draft.flag_unlisted(AUDIO_EXTENSIONS | ({ARRAY_SUFFIX} if holds_arrays else frozenset()))
    arrays = None
    if holds_arrays:
        arrays = array_spec(
            table.path.parent, draft.problems, sample_rate=options.sample_rate, frontend=options.frontend
        )
    return draft.finish(arrays=arrays)
