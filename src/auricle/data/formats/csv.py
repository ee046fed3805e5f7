# SPDX-License-Identifier: Apache-2.0
"""The format ``csv``: tables with a path and labels a row, as ESC-50, UrbanSound8K, FSD50K and audiofolders have them.

Columns: ``path`` or ``filename``, ``label`` or ``category`` (several joined with ``;``), or what data sets call them;
optional ``fold``, ``split``, ``group``, ``onset``, ``offset`` (seconds: a segment of the file; for events see
``desed``). All other columns are left alone. Several tables are read together if each names its part of the data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from auricle.data.arrays import array_spec
from auricle.data.columns import (
    LABEL_ALIASES,
    LABEL_COLUMNS,
    OFFSET_ALIASES,
    ONSET_ALIASES,
    PATH_ALIASES,
    column_called,
    has_labels,
    named_column,
    parse_seconds,
)
from auricle.data.formats.draft import Draft, data_folder
from auricle.data.formats.finder import Finder
from auricle.data.formats.jsonl import JSONL_SUFFIX, read_jsonl
from auricle.data.formats.label_rows import UNIDENTIFIED
from auricle.data.formats.places import TABLES, columns_of, part_of_table, tables_in
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.labels import SPLIT_ALIASES
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import ARRAY_SUFFIX, search_roots
from auricle.data.problems import Problems
from auricle.data.read_options import ReadOptions
from auricle.data.tables import PATH_COLUMNS, Table, pick_column, read_table
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import SPOOF_LABELS

SPLIT_COLUMNS = ("subset", "partition", "part", "set")
#: The first of these that a table has is its group.
GROUP_COLUMNS = ("group", "src_file", "freesound_id", "speaker", "fsid", "speaker_id", "client_id")
#: Columns that say how sure a row is.
SURE_COLUMNS = ("confidence", "probability", "score")
#: Columns of what else sounds in a recording.
MORE_LABELS = ("secondary_labels", "background", "background_species", "other_labels")
#: Its times are those of the recording that a slice was cut from, not of the slice.
_SLICE_COLUMN = "slice_file_name"
_FOLD_FOLDER = re.compile(r"fold[_ -]?(\d+)", re.IGNORECASE)
_BONA_FIDE = frozenset({"bona-fide", "bona fide"})

SEGMENTS_NOTE = (
    "onset and offset cut segments out of the files; where they say when an event is in a file, call the column of "
    "labels event_label or pass --data-format desed"
)


def _names_parts(table: Path, options: ReadOptions) -> bool:
    return column_called(columns_of(table, options) or (), ("split",)) is not None


def looks_like_csv(path: Path, options: ReadOptions) -> bool:
    """Recognise a table with paths and labels, or a folder that holds one."""
    is_table = path.is_file() and path.suffix.lower() in TABLES
    tables = [path] if is_table else tables_in(path)
    return any(has_labels(columns_of(table, options), options.label_column) for table in tables)


def _find_tables(path: Path, options: ReadOptions, notes: list[str]) -> list[tuple[Path, str | None]]:
    """Return the tables meant by ``path``, each with the part of the data that it is, if there are several.

    Raises:
        DataError: there is none, or one of several names no part.
    """
    if path.is_file():
        return [(path, None)]
    tables = tables_in(path)
    fitting = [t for t in tables if has_labels(columns_of(t, options), options.label_column)] or tables
    if not fitting:
        raise DataError(f"{path} holds no table", ["expected one .csv or .tsv with the columns path and label"])
    others = [t for t in tables if t not in fitting and part_of_table(t, path) is not None]
    if len(fitting) == 1:
        notes += [f"{t.relative_to(path)} has no labels and is not read" for t in others]
        return [(fitting[0], None)]
    parts = {table: part_of_table(table, path) for table in fitting}
    if None in parts.values():
        names = shorten((str(t.relative_to(path)) for t in fitting), 5)
        raise DataError(f"{path} holds {len(fitting)} tables", [f"{names}: name the one that is meant"])
    if set(parts.values()) == {"dev", "test"} and not any(_names_parts(t, options) for t in fitting):
        notes.append("development is trained on: there is no train beside it (a column 'split' would say otherwise)")
        parts = {table: "train" if part == "dev" else part for table, part in parts.items()}
    listed = (f"{table.relative_to(path)} ({part})" for table, part in parts.items())
    notes.append(f"{len(parts)} tables are read: {shorten(listed, 5)}")
    return list(parts.items())


def _read_row(draft: Draft, place: str, row: Mapping[str, str], part: str | None, finder: Finder) -> None:
    """Turn one row, its cells named by their meaning, into a clip of the draft."""
    found = draft.find(place, "/".join(filter(None, (row.get("folder", "").strip(), row["path"]))), finder)
    if row["label"].lstrip().startswith(("[{", "{")):
        text = f"{place}: the label is JSON, as in tables of Label Studio; export as JSON, and name that file"
        draft.problems.add("label", text)
        return
    label, negative = draft.labels(place, row["label"])
    onset = parse_seconds(place, "onset", row.get("onset", ""), draft.problems)
    offset = parse_seconds(place, "offset", row.get("offset", ""), draft.problems)
    start = 0.0 if onset is None else onset
    if offset is not None and offset <= start:
        draft.problems.add("time", f"{place}: offset {offset:g} is not after onset {start:g}")
    for name in ("fold", "group"):
        if name in row and not row[name].strip():
            draft.problems.add("empty", f"{place}: no {name}; fill the cell or remove the column")
    if found is not None:
        clip = Clip(
            found.key, found.path, label, negative, fold=row.get("fold"), group=row.get("group"), onset=onset,
            split=draft.split(place, row["split"]) if "split" in row else part, offset=offset,
        )  # fmt: skip
        draft.add(place, clip, found)


def _named_columns(table: Table, draft: Draft) -> dict[str, str]:
    """Return which column carries which meaning; what is missing becomes a problem of the draft."""
    columns = table.columns
    meanings = {
        "path": _pick(columns, PATH_COLUMNS, PATH_ALIASES, draft.problems),
        "label": _pick(columns, LABEL_COLUMNS, LABEL_ALIASES, draft.problems, draft.options.label_column),
        "group": column_called(columns, GROUP_COLUMNS),
        "fold": column_called(columns, ("fold",)),
        "split": _split_column(table),
    }
    draft.problems.stop_if_any(f"{table.path.name} cannot be used")
    meanings |= _time_columns(columns)
    for meaning, said in (("path", "paths"), ("label", "classes"), ("group", "groups"), ("split", "parts")):
        column = meanings[meaning]
        if column is not None and column not in (meaning, *PATH_COLUMNS, *LABEL_COLUMNS):
            draft.notes.append(f"{said} are taken from the column {column!r}{_others(meaning, column, table)}")
    more = column_called(columns, MORE_LABELS)
    if more is not None and meanings["label"] != more and any(cell.strip("[]'\" ") for cell in table.column(more)):
        draft.notes.append(f"the column {more!r} is not used: what else sounds in a recording is not learnt from it")
    if meanings["path"] is not None and column_called(columns, ("in_file",)) == meanings["path"]:
        meanings["folder"] = column_called(columns, ("folder",))
    unsure = column_called(columns, SURE_COLUMNS)
    if unsure is not None:
        draft.notes.append(f"the column {unsure!r} is not used: every row counts as certain")
    return {meaning: column for meaning, column in meanings.items() if column is not None}


def _others(meaning: str, column: str, table: Table) -> str:
    """Return which other columns could name the classes, for a note."""
    names = (*LABEL_COLUMNS, *LABEL_ALIASES) if meaning == "label" else ()
    found = dict.fromkeys(c for name in names if (c := column_called(table.columns, (name,))) not in (None, column))
    return f" (also there: {', '.join(map(repr, found))}; --label-column takes another)" if found else ""


def _pick(
    columns: Sequence[str], names: Sequence[str], aliases: Sequence[str], problems: Problems, chosen: str | None = None
) -> str | None:
    """Return the column that a user chose, else one of ``names``, else the first of ``aliases``, or note a problem."""
    if chosen is not None:
        return named_column(columns, chosen, problems)
    if any(name in columns for name in names):
        return pick_column(columns, names, problems)
    return column_called(columns, (*names, *aliases)) or pick_column(columns, names, problems)


def _split_column(table: Table) -> str | None:
    """Return the column of parts: ``split``, or another that names nothing but parts of the data."""
    named = column_called(table.columns, ("split",))
    if named is not None:
        return named
    for name in SPLIT_COLUMNS:
        column = column_called(table.columns, (name,))
        if column is not None and all(cell.strip().casefold() in SPLIT_ALIASES for cell in table.column(column)):
            return column
    return None


def _time_columns(columns: Sequence[str]) -> dict[str, str]:
    """Return the columns of onset and offset. Other names than these two count in pairs, and not for cut slices."""
    times = {name: column for name in ("onset", "offset") if (column := column_called(columns, (name,))) is not None}
    if times or column_called(columns, (_SLICE_COLUMN,)) is not None:
        return times
    begin, end = column_called(columns, ONSET_ALIASES), column_called(columns, OFFSET_ALIASES)
    return {} if begin is None or end is None else {"onset": begin, "offset": end}


def _parts_from_folders(draft: Draft) -> None:
    """Give clips the parts and folds that the folders of their paths name, where that holds for all of them."""
    clips = draft.clips
    if clips and all(clip.split is None for clip in clips):
        named = [next((SPLIT_ALIASES[f] for f in _folders(clip) if f in SPLIT_ALIASES), None) for clip in clips]
        if None not in named and "train" in named and len(set(named)) > 1:
            draft.clips = clips = [replace(clip, split=part) for clip, part in zip(clips, named, strict=True)]
            draft.notes.append("parts are taken from the folders of the paths")
    if clips and all(clip.fold is None and clip.split is None for clip in clips):
        folds = [next((m[1] for f in _folders(clip) if (m := _FOLD_FOLDER.fullmatch(f))), None) for clip in clips]
        if None not in folds and len(set(folds)) > 1:
            draft.clips = [replace(clip, fold=fold) for clip, fold in zip(clips, folds, strict=True)]
            draft.notes.append("folds are taken from the folders of the paths")


def _folders(clip: Clip) -> list[str]:
    return clip.key.casefold().split("/")[:-1]


def _spell_bona_fide(draft: Draft) -> None:
    """Call bona fide speech as the models do, where the classes are that and ``spoof``."""
    found = {label for clip in draft.clips for label in clip.label}
    if found & _BONA_FIDE and found <= {*_BONA_FIDE, *SPOOF_LABELS}:
        new = dict.fromkeys(_BONA_FIDE, (SPOOF_LABELS[0],))
        draft.clips = [replace(c, label=new.get(c.label[0], c.label)) if len(c.label) == 1 else c for c in draft.clips]
        draft.notes.append(f"the class {min(found & _BONA_FIDE)!r} is called {SPOOF_LABELS[0]!r} here")


def _read_one(path: Path, part: str | None, draft: Draft, prefix: str) -> None:
    """Read one table into the draft."""
    options = draft.options
    if path.suffix.lower() == JSONL_SUFFIX:
        table = read_jsonl(path)
    else:
        table = read_table(path, encoding=options.encoding, delimiter=options.delimiter)
    draft.notes += table.notes
    columns = _named_columns(table, draft)
    if "folder" in columns:  # of Kaleidoscope, which lists what nobody has identified, too
        before = len(table.rows)
        table = table.where(columns["label"], without=UNIDENTIFIED)
        if len(table.rows) < before:
            draft.notes.append(f"{before - len(table.rows)} rows have no {columns['label']!r} and are left out")
    draft.join_labels(table.column(columns["label"]))
    named = part_of_table(path, data_folder(draft.root))
    finder = draft.finder(search_roots(path.parent), part=named, strict=part is not None)
    cells = [table.column(column) for column in columns.values()]
    for line, *values in zip(table.lines, *cells, strict=True):
        _read_row(draft, f"{prefix}line {line}", dict(zip(columns, values, strict=True)), part, finder)


def read_csv(path: Path, options: ReadOptions) -> Manifest:
    """Read tables with paths and labels; raises ``DataError`` with all problems."""
    draft = Draft(path, "csv", options)
    tables = _find_tables(path, options, draft.notes)
    for table, part in tables:
        _read_one(table, part, draft, f"{table.name}, " if len(tables) > 1 else "")
    draft.notes = list(dict.fromkeys(draft.notes))
    _parts_from_folders(draft)
    _spell_bona_fide(draft)
    if any(clip.onset is not None or clip.offset is not None for clip in draft.clips):
        draft.notes.append(SEGMENTS_NOTE)
    holds_arrays = any(clip.is_array for clip in draft.clips)
    draft.flag_unlisted(AUDIO_EXTENSIONS | ({ARRAY_SUFFIX} if holds_arrays else frozenset()))
    arrays = (
        array_spec(tables[0][0].parent, draft.problems, sample_rate=options.sample_rate, frontend=options.frontend)
        if holds_arrays
        else None
    )
    return draft.finish(arrays=arrays)


FORMATS.add("csv", Format(looks_like_csv, read_csv, order=30, names_labels=True))
