# SPDX-License-Identifier: Apache-2.0
"""Where the tables of a data set lie, and which part of the data each of them is."""

from __future__ import annotations

import re
from pathlib import Path

from auricle.data.formats.draft import META_FOLDERS
from auricle.data.formats.jsonl import JSONL_SUFFIX, read_jsonl
from auricle.data.labels import SPLIT_ALIASES, named_part
from auricle.data.read_options import ReadOptions
from auricle.data.tables import TABLE_SUFFIXES, read_columns
from auricle.errors import DataError

#: Files that hold tables.
TABLES = frozenset({*TABLE_SUFFIXES, JSONL_SUFFIX})
#: A folder with one of these words in its name holds tables.
_PLACES = ("ground", "truth", "groundtruth", "csv", "csvs", "tables", "lists", "keys", *META_FOLDERS)


def table_places(folder: Path) -> list[Path]:
    """Return where the tables of a data set lie: its folder, folders named for tables, and those of its parts."""
    places = [folder]
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        words = re.split(r"[^a-z0-9]+", inner.name.casefold())
        if any(word in _PLACES for word in words) or inner.name.casefold() in SPLIT_ALIASES:
            places.append(inner)
    return places


def tables_in(folder: Path) -> list[Path]:
    """Return the tables of a folder and of the folders for tables in it, sorted; submissions of contests are none."""
    if not folder.is_dir():
        return []
    found = (p for place in table_places(folder) for p in place.iterdir() if p.suffix.lower() in TABLES)
    return sorted(
        p for p in found if p.is_file() and not p.name.startswith(".") and "submission" not in p.stem.casefold()
    )


def columns_of(path: Path, options: ReadOptions) -> tuple[str, ...] | None:
    """Return the columns of a table, or None if it cannot be read (reading it for good says why)."""
    try:
        if path.suffix.lower() == JSONL_SUFFIX:
            return read_jsonl(path, rows=1).columns
        return read_columns(path, encoding=options.encoding, delimiter=options.delimiter)
    except DataError:
        return None


def part_of_table(table: Path, root: Path) -> str | None:
    """Return the part of the data that a table's name states, else that of the folder around it, inside out."""
    names = (table.stem, *(p.name for p in table.parents if p != root and p.is_relative_to(root)))
    return next((part for name in names if (part := named_part(name)) is not None), None)
