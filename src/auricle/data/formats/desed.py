# SPDX-License-Identifier: Apache-2.0
"""The format ``desed``: tables that say when. DESED's ``metadata/`` is one; one table is enough.

strong      ``filename  onset  offset  event_label``   a row an event, in seconds; an empty (or NaN) row: no event
weak        ``filename  event_labels``                 what is audible, joined by commas; nobody said when
facts       ``filename`` and any of ``duration split fold group``

A file in a table of durations that no other table lists has strong labels, too: nothing is audible in it. Parts come
from the names of folders and tables (``metadata/validation/...`` is dev), unless a column ``split`` says them.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auricle.data.arrays import array_spec
from auricle.data.columns import LABEL_COLUMNS, chosen_column, named_column, parse_seconds
from auricle.data.formats.draft import Draft
from auricle.data.formats.places import columns_of
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.formats.strong_labels import StrongRecord, add_records
from auricle.data.labels import LABEL_SEPARATOR, SPLIT_ALIASES
from auricle.data.manifest import Manifest
from auricle.data.paths import ARRAY_SUFFIX, Found, search_roots
from auricle.data.read_options import ReadOptions
from auricle.data.tables import PATH_COLUMNS, TABLE_SUFFIXES, Table, missing_column, pick_column, read_table
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.results import Event

STRONG_COLUMN, WEAK_COLUMN = "event_label", "event_labels"
TIME_COLUMNS = ("onset", "offset")
#: Rows with a lower confidence are no events.
SURE = 0.5
CONFIDENCE_COLUMN = "confidence"
FACT_COLUMNS = ("duration", "split", "fold", "group")
METADATA_FOLDER = "metadata"
_NOTHING = frozenset({"", "nan"})
_DURATIONS = re.compile(r"[_.-]?durations?$")


def _kind(columns: tuple[str, ...] | None, label_column: str | None = None) -> str | None:
    """Return what a table with these columns says: ``strong``, ``weak``, ``facts``, or None.

    A column of labels that the user named makes a table strong, as long as it has times.
    """
    if columns is None or not any(name in columns for name in PATH_COLUMNS):
        return None
    if STRONG_COLUMN in columns:
        return "strong"
    if chosen_column(columns, label_column) is not None and all(name in columns for name in TIME_COLUMNS):
        return "strong"
    if WEAK_COLUMN in columns:
        return "weak"
    if any(name in columns for name in LABEL_COLUMNS):
        return None
    return "facts" if any(name in columns for name in FACT_COLUMNS) else None


def _kind_of(table: Path, options: ReadOptions) -> str | None:
    return _kind(columns_of(table, options), options.label_column)


def _tables(folder: Path) -> list[Path]:
    """Return the tables of a folder, of its ``meta/``, and of all folders below its ``metadata/``, sorted."""
    places = [folder, folder / "meta", *(p for p in (folder / METADATA_FOLDER).rglob("*") if p.is_dir())]
    places.append(folder / METADATA_FOLDER)
    return sorted(
        p for place in places if place.is_dir() for p in place.iterdir()
        if p.suffix.lower() in TABLE_SUFFIXES and p.is_file() and not p.name.startswith(".")
    )  # fmt: skip


def looks_like_desed(path: Path, options: ReadOptions) -> bool:
    """Recognise a table with ``event_label`` or ``event_labels``, or a folder that holds one."""
    tables = [path] if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES else []
    if path.is_dir():
        tables = _tables(path)
    return any(_kind_of(table, options) in ("strong", "weak") for table in tables)


def _choose_tables(path: Path, options: ReadOptions) -> list[tuple[Path, str]]:
    """Return the tables to read, each with what it says; facts come last.

    A table that was named itself is strong though its labels are called ``label``: whoever says ``--data-format desed``
    means events, where the format ``csv`` would cut segments.
    """
    if path.is_dir():
        kinds = [(table, _kind_of(table, options)) for table in _tables(path)]
    else:
        beside = [(table, _kind_of(table, options)) for table in _tables(path.parent) if table != path]
        named = _kind_of(path, options)
        kinds = [(path, named if named == "weak" else "strong"), *(b for b in beside if b[1] == "facts")]
    chosen = [(table, kind) for table, kind in kinds if kind is not None]
    if not any(kind in ("strong", "weak") for _, kind in chosen):
        expected = "expected a .tsv or .csv with filename, onset, offset, event_label, or with filename, event_labels"
        raise DataError(f"{path} holds no table of events", [expected])
    return sorted(chosen, key=lambda item: item[1] == "facts")


def _part_of(table: Path, root: Path) -> str | None:
    """Return the part of the data that the place of a table names, the innermost name first."""
    names = table.relative_to(root).parts if table.is_relative_to(root) else (table.name,)
    words = [word for name in reversed(names) for word in re.split(r"[_.\-\s]+", name.casefold())]
    return next((SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES), None)


def _roots(table: Path) -> tuple[str, ...]:
    """Return where the files of a table may lie; below ``metadata/``, also at the same place below ``audio/``."""
    roots = list(search_roots(table.parent))
    for above in table.absolute().parents:
        if above.name == METADATA_FOLDER:
            place = above.parent / "audio" / table.absolute().parent.relative_to(above)
            stem = _DURATIONS.sub("", table.stem)
            roots += [str(p) for p in (place / stem, place, above.parent / "audio") if p.is_dir()]
    return tuple(dict.fromkeys(roots))


@dataclass
class _Reading:
    """What the tables have said so far, by the path of the file."""

    draft: Draft
    root: Path
    whole: bool
    records: dict[str, StrongRecord] = field(default_factory=dict)
    unlabelled: int = 0
    unsure: int = 0

    def record(self, place: str, found: Found, table: Path) -> StrongRecord:
        """Return what is known of a file, to be added to."""
        new = StrongRecord(place, found, split=_part_of(table, self.root))
        return self.records.setdefault(found.path, new)

    def read(self, path: Path, kind: str) -> None:
        """Read one table."""
        draft, options = self.draft, self.draft.options
        table = read_table(path, encoding=options.encoding, delimiter=options.delimiter)
        draft.notes.extend(table.notes)
        columns = self._columns(table, kind)
        if columns is None:
            return
        read_row: Callable[[str, Mapping[str, str], Found, Path], None] = getattr(self, f"_{kind}")
        finder, cells = (
            draft.finder(_roots(path), part=_part_of(path, self.root)),
            [table.column(column) for column in columns.values()],
        )
        for line, *values in zip(table.lines, *cells, strict=True):
            place = f"{path.name}, line {line}"
            row = dict(zip(columns, values, strict=True))
            found = draft.find(place, row["path"], finder)
            if found is not None:
                read_row(place, row, found, path)

    def _columns(self, table: Table, kind: str) -> dict[str, str] | None:
        """Return which column carries which meaning; what is missing becomes a problem."""
        draft, before = self.draft, len(self.draft.problems)
        names = {"path": pick_column(table.columns, PATH_COLUMNS, draft.problems)}
        if kind == "strong":
            labels = [name for name in (STRONG_COLUMN, *LABEL_COLUMNS) if name in table.columns]
            if draft.options.label_column is not None:
                named = named_column(table.columns, draft.options.label_column, draft.problems)
                labels = [] if named is None else [named]
            names["label"] = labels[0] if labels else None
            needed = (*TIME_COLUMNS, *(() if labels or draft.options.label_column else (STRONG_COLUMN,)))
            missing = [name for name in needed if name not in table.columns]
            draft.problems.extend(
                "columns", (f"{table.path.name}: {missing_column(n, table.columns)}" for n in missing)
            )
            names |= {name: name for name in (*TIME_COLUMNS, CONFIDENCE_COLUMN) if name in table.columns}
        elif kind == "weak":
            names["label"] = WEAK_COLUMN
        names |= {name: name for name in FACT_COLUMNS if name in table.columns}
        if len(draft.problems) > before:
            return None
        return {meaning: column for meaning, column in names.items() if column is not None}

    def _strong(self, place: str, row: Mapping[str, str], found: Found, table: Path) -> None:
        record = self.record(place, found, table)
        record.strong = True
        self._note_facts(record, place, row)
        if not self._is_sure(place, row):
            self.unsure += 1
            return
        event = self._event(place, row)
        if event is not None:
            record.add_event(event, place)

    def _is_sure(self, place: str, row: Mapping[str, str]) -> bool:
        """Tell whether the confidence of a row, if it has one, makes it an event; notes what is no confidence."""
        cell = row.get(CONFIDENCE_COLUMN, "").strip()
        try:
            value = float(cell) if cell else 1.0
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            self.draft.problems.add("confidence", f"{place}: confidence {cell!r} is no number from 0 to 1")
            return False
        return value >= SURE

    def _event(self, place: str, row: Mapping[str, str]) -> Event | None:
        """Return the event of a row; None for a row that says "no event", or that holds a problem."""
        problems, label = self.draft.problems, row["label"].strip()
        times = [row[name].strip() for name in TIME_COLUMNS]
        if all(cell.casefold() in _NOTHING for cell in times):
            if label.casefold() not in _NOTHING:
                problems.add("time", f"{place}: event {label!r} has no onset and no offset; fill them, or leave it out")
            return None
        if not label:
            problems.add("label", f"{place}: no label; name the event, or leave onset and offset empty, too")
            return None
        onset, offset = (parse_seconds(place, name, row[name], problems) for name in TIME_COLUMNS)
        for name, cell in zip(TIME_COLUMNS, times, strict=True):
            if not cell:
                problems.add("time", f"{place}: no {name}; an event needs both")
        if onset is None or offset is None:
            return None
        if offset <= onset:
            problems.add("time", f"{place}: offset {offset:g} is not after onset {onset:g}")
            return None
        return Event(label, onset, offset, 1.0)

    def _weak(self, place: str, row: Mapping[str, str], found: Found, table: Path) -> None:
        label, negative = self.draft.labels(place, row["label"].replace(",", LABEL_SEPARATOR))
        record = self.record(place, found, table)
        self._note_facts(record, place, row)
        if record.weak is not None and record.weak != (label, negative):
            text = f"{record.place} and {place}: {found.key!r} stands twice with different labels; keep one row"
            self.draft.problems.add("repeat", text)
        record.weak = label, negative

    def _facts(self, place: str, row: Mapping[str, str], found: Found, table: Path) -> None:
        if found.path not in self.records:
            if not (self.whole and "duration" in row):
                self.unlabelled += 1
                return
            self.record(place, found, table).strong = True
        self._note_facts(self.records[found.path], place, row)

    def _note_facts(self, record: StrongRecord, place: str, row: Mapping[str, str]) -> None:
        """Add what a row says beside its labels."""
        if "duration" in row:
            record.duration = parse_seconds(place, "duration", row["duration"], self.draft.problems)
            if record.duration is not None and not 0 < record.duration < math.inf:
                self.draft.problems.add("time", f"{place}: duration {row['duration']!r} must be above 0")
        if "split" in row:
            record.split = self.draft.split(place, row["split"])
        for name in ("fold", "group"):
            if name in row and not row[name].strip():
                self.draft.problems.add("empty", f"{place}: no {name}; fill the cell or remove the column")
            elif name in row:
                setattr(record, name, row[name])


def read_desed(path: Path, options: ReadOptions) -> Manifest:
    """Read tables of events, labels and facts; raises ``DataError`` with all problems."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    draft = Draft(path, "desed", options)
    root = path if path.is_dir() else path.parent
    reading = _Reading(draft, root, whole=path.is_dir())
    tables = _choose_tables(path, options)
    for table, kind in tables:
        reading.read(table, kind)
    if reading.unsure:
        draft.notes.append(f"{reading.unsure} rows with a confidence below {SURE:g} are no events")
    if reading.unlabelled:
        draft.notes.append(f"{reading.unlabelled} files with facts have no labels and are left out")
    add_records(draft, reading.records.values())
    holds_arrays = any(clip.is_array for clip in draft.clips)
    draft.flag_unlisted(AUDIO_EXTENSIONS | ({ARRAY_SUFFIX} if holds_arrays else frozenset()))
    arrays = (
        array_spec(tables[0][0].parent, draft.problems, sample_rate=options.sample_rate, frontend=options.frontend)
        if holds_arrays
        else None
    )
    return draft.finish(task="multi", arrays=arrays)


FORMATS.add("desed", Format(looks_like_desed, read_desed, order=40, names_labels=True))
