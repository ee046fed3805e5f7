# SPDX-License-Identifier: Apache-2.0
"""The format ``audioset``: AudioSet's own segment tables beside the sound of the videos, whatever tool fetched it.

    # YTID, start_seconds, end_seconds, positive_labels
    -0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"

A recording of a segment is called by its YTID, with or without a ``Y`` before and the start behind it. Many videos are
gone: rows without a recording are only counted. With ``class_labels_indices.csv`` the classes have their names, else
their MIDs.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path

from auricle.data.formats.draft import Draft
from auricle.data.formats.finder import FileIndex
from auricle.data.formats.places import columns_of, part_of_table, table_places
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import Found, regular_size
from auricle.data.read_options import ReadOptions
from auricle.data.tables import read_table
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten

_HEADER = re.compile(r"#\s*YTID\s*,\s*start_seconds\s*,\s*end_seconds\s*,\s*positive_labels", re.IGNORECASE)
_HEAD_LINES = 5
_MAX_LINE = 100_000
_CLASS_COLUMNS = ("mid", "display_name")


def _segment_tables(path: Path) -> list[Path]:
    """Return the segment tables at ``path``: the file itself, or those of a folder, sorted."""
    if path.is_dir():
        files = [p for place in table_places(path) for p in place.iterdir() if p.suffix.lower() == ".csv"]
    else:
        files = [path]
    return sorted(p for p in files if p.is_file() and _is_segment_table(p))


def _is_segment_table(path: Path) -> bool:
    if path.suffix.lower() != ".csv":
        return False
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return any(_HEADER.match(file.readline(_MAX_LINE)) for _ in range(_HEAD_LINES))
    except OSError:
        return False


def looks_like_audioset(path: Path, options: ReadOptions) -> bool:
    """Recognise a segment table of AudioSet, or a folder that holds one."""
    return bool(_segment_tables(path))


def class_names(root: Path, options: ReadOptions) -> dict[str, str]:
    """Return the name of each MID, from a class table in the data set; empty where there is none."""
    for table in sorted(p for place in table_places(root) for p in place.glob("*.csv")):
        columns = columns_of(table, options)
        if columns is not None and all(name in columns for name in _CLASS_COLUMNS):
            found = read_table(table)
            return dict(zip(*(found.column(name) for name in _CLASS_COLUMNS), strict=True))
    return {}


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each segment."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader((line for line in file), skipinitialspace=True, strict=True)
        for cells in reader:
            if cells and not cells[0].startswith("#"):
                yield reader.line_num, cells


class Recordings:
    """The recordings of a data set by what tools call them."""

    def __init__(self, index: FileIndex) -> None:
        self._index = index

    def find(self, video: str, start: str) -> list[str]:
        """Return the recordings of a segment, below the root of the data set."""
        seconds = f"{float(start):.3f}"
        marks = ("", f"_{seconds}", f"_{float(start):g}", f"_{round(float(start) * 1000)}", f"_{int(float(start))}")
        for name in (f"{before}{video}{mark}" for mark in marks for before in ("", "Y")):
            found = self._index.named(name, AUDIO_EXTENSIONS)
            if found:
                return found
        return self._index.beginning(f"{video}_{round(float(start) * 1000)}_", f"{video}_{float(start):g}_")


def _read_table(draft: Draft, path: Path, names: dict[str, str], recordings: Recordings, unnamed: set[str]) -> int:
    """Add the segments of a table to a draft and return how many have no recording."""
    part, gone = part_of_table(path, draft.root), 0
    for number, cells in _rows(path):
        place = f"{path.name}, line {number}"
        if len(cells) != 4:
            text = f"{place}: {len(cells)} cells, expected YTID, start_seconds, end_seconds and quoted positive_labels"
            draft.problems.add("ragged", text)
            continue
        try:
            found = recordings.find(cells[0], cells[1])
        except ValueError:
            draft.problems.add("time", f"{place}: start {cells[1]!r} is no number of seconds")
            continue
        if not found:
            gone += 1
            continue
        if len(found) > 1:
            draft.problems.add("path", f"{place}: {cells[0]} fits {len(found)} files ({shorten(found)}); keep one")
            continue
        mids = [mid.strip() for mid in cells[3].split(",") if mid.strip()]
        unnamed.update(mid for mid in mids if mid not in names)
        absolute = os.path.join(draft.root, found[0])  # noqa: PTH118
        label = tuple(sorted({names.get(mid, mid) for mid in mids}))
        clip = Clip(found[0], absolute, label, split=part, group=cells[0])
        draft.add(place, clip, Found(absolute, found[0], regular_size(absolute)))
    return gone


def read_audioset(path: Path, options: ReadOptions) -> Manifest:
    """Read AudioSet's segment tables; raises ``DataError`` with all problems."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    tables = _segment_tables(path)
    if not tables:
        expected = "expected a .csv with the line '# YTID, start_seconds, end_seconds, positive_labels'"
        raise DataError(f"{path} holds no segment table of AudioSet", [expected])
    root = path if path.is_dir() else path.parent
    draft = Draft(root, "audioset", options)
    names, unnamed = class_names(root, options), set[str]()
    recordings = Recordings(FileIndex(str(root)))
    try:
        gone = sum(_read_table(draft, table, names, recordings, unnamed) for table in tables)
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read", [str(error)]) from error
    if gone:
        draft.notes.append(f"{gone} of {gone + len(draft.clips)} segments have no recording here and are left out")
    note_unnamed(draft, unnamed)
    if not draft.clips and not draft.problems:
        draft.problems.add("missing", f"none of the {gone} segments has a recording below {root}, named by its YTID")
    draft.flag_unlisted(AUDIO_EXTENSIONS)
    return draft.finish(task="multi")


def note_unnamed(draft: Draft, mids: set[str]) -> None:
    """Say which classes have no name."""
    if mids:
        text = f"{len(mids)} classes are called by their MIDs, such as {min(mids)}: no class_labels_indices.csv"
        draft.notes.append(f"{text} here names them")


FORMATS.add("audioset", Format(looks_like_audioset, read_audioset, order=10))
