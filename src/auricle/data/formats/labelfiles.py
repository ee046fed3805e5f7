# SPDX-License-Identifier: Apache-2.0
"""The form ``labelfiles``: recordings with a file of labels beside each, as Audacity and Raven write them.

``night.wav`` belongs with ``night.txt`` (Audacity: start, end, label, separated by tabs) or with
``night.Table.1.selections.txt`` (Raven: a selection table). The content decides which it is. An empty file says that
nothing can be heard; a recording without a file says nothing and is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePath

from auricle.data.columns import parse_seconds
from auricle.data.formats.draft import Draft
from auricle.data.formats.registry import FORMS, Format
from auricle.data.formats.strong_labels import StrongRecord, add_records
from auricle.data.labels import SPLIT_ALIASES
from auricle.data.manifest import Manifest
from auricle.data.paths import Found, regular_size
from auricle.data.problems import Problems
from auricle.data.read_options import ReadOptions
from auricle.data.tables import read_table
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.results import Event, Flag

LABEL_SUFFIX = ".txt"
RAVEN_BEGIN, RAVEN_END = "Begin Time (s)", "End Time (s)"
#: Where a table over several recordings says how far into its own each selection begins.
RAVEN_FILE_OFFSET = "File Offset (s)"
RAVEN_FILES = ("Begin Path", "Begin File")
#: The first of these that a selection table has names the sound; Raven leaves the name to its user.
RAVEN_LABELS = ("Label", "label", "Annotation", "annotation", "Common Name", "Species", "species", "Class", "class")
#: Frequency lines of Audacity begin with a backslash.
_FREQUENCIES = "\\"
_LOOKED_AT = 20
_HEAD_CHARS = 4_096


def _pairs(root: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each recording below ``root`` with the label files beside it, in a stable order."""
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        texts = sorted(name for name in names if name.lower().endswith(LABEL_SUFFIX) and not name.startswith("."))
        for name in sorted(names):
            stem, ending = os.path.splitext(name)  # noqa: PTH122
            if ending.lower() in AUDIO_EXTENSIONS and not name.startswith("."):
                beside = [text for text in texts if text.startswith(f"{stem}.")]
                yield os.path.join(place, name), [os.path.join(place, text) for text in beside]  # noqa: PTH118


def _kind(path: str) -> str | None:
    """Return ``raven``, ``audacity``, ``empty``, or None for a text that is neither."""
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            head = file.read(_HEAD_CHARS)
    except (OSError, UnicodeDecodeError):
        return None
    line = next((line for line in head.splitlines() if line.strip()), None)
    if line is None:
        return "empty"
    cells = line.split("\t")
    if RAVEN_BEGIN in cells:
        return "raven"
    return "audacity" if len(cells) >= 2 and _is_number(cells[0]) and _is_number(cells[1]) else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def looks_like_labelfiles(path: Path, options: ReadOptions) -> bool:
    """Recognise a folder in which a recording has an Audacity or Raven file beside it."""
    if not path.is_dir():
        return False
    looked_at = 0
    for _, texts in _pairs(str(path)):
        for text in texts:
            if _kind(text) in ("audacity", "raven"):
                return True
            looked_at += 1
            if looked_at >= _LOOKED_AT:
                return False
    return False


def _read_audacity(path: str, place: str, problems: Problems) -> Iterator[tuple[str, Event]]:
    """Yield the labels of an Audacity file, each with its place."""
    with Path(path).open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            cells = line.rstrip("\r\n").split("\t")
            if cells == [""] or cells[0] == _FREQUENCIES:
                continue
            where = f"{place}, line {number}"
            if len(cells) != 3:
                problems.add("ragged", f"{where}: {len(cells)} cells; expected start, end and label, between tabs")
                continue
            event = _event(where, *cells, problems=problems)
            if event is not None:
                yield where, event


def _read_raven(path: str, place: str, recording: str, problems: Problems) -> Iterator[tuple[str, Event]]:
    """Yield the selections of a Raven table, each with its place; views of one selection come out equal."""
    try:
        table = read_table(Path(path), delimiter="\t")
        column = next((name for name in RAVEN_LABELS if name in table.columns), None)
        if column is None:
            known = ", ".join(map(repr, RAVEN_LABELS))
            text = f"{place}: no column names the sounds; found: {', '.join(map(repr, table.columns))}; known: {known}"
            problems.add("columns", text)
            return
        begins, ends, labels = table.column(RAVEN_BEGIN), table.column(RAVEN_END), table.column(column)
    except DataError as error:
        problems.extend("table", (f"{place}: {text}" for text in error.problems))
        return
    file_column = next((name for name in RAVEN_FILES if name in table.columns), None)
    files = None if file_column is None else table.column(file_column)
    offsets = table.column(RAVEN_FILE_OFFSET) if RAVEN_FILE_OFFSET in table.columns else None
    for i, line in enumerate(table.lines):
        where = f"{place}, line {line}"
        other = "" if files is None else PurePath(files[i].replace("\\", "/")).name
        if other and other != PurePath(recording).name:
            problems.add("file", f"{where}: the selection is of {other!r}; put each recording's table beside it")
            continue
        event = _event(where, begins[i], ends[i], labels[i], problems=problems)
        if event is None:
            continue
        shift = None if offsets is None else parse_seconds(where, RAVEN_FILE_OFFSET, offsets[i], problems)
        if shift is not None:
            event = Event(event.label, shift, shift + event.offset - event.onset, 1.0)
        yield where, event


def _event(place: str, begin: str, end: str, label: str, *, problems: Problems) -> Event | None:
    """Return the event of a line, or None and a problem."""
    onset, offset = (parse_seconds(place, name, cell, problems) for name, cell in (("start", begin), ("end", end)))
    label = label.strip()
    if not label:
        problems.add("label", f"{place}: no label; name the sound, or 'other' for one that is no class")
    if onset is None or offset is None or not label:
        return None
    if offset <= onset:
        problems.add("time", f"{place}: end {offset:g} is not after start {onset:g}; a sound has a length")
        return None
    return Event(label, onset, offset, 1.0)


def _part_of(key: str) -> str | None:
    """Return the part of the data that the outermost folder of a recording names."""
    first, slash, _ = key.partition("/")
    return SPLIT_ALIASES.get(first.casefold()) if slash else None


def read_labelfiles_form(path: Path, options: ReadOptions) -> Manifest:
    """Read recordings with label files beside them; raises ``DataError`` with all problems."""
    if not path.is_dir():
        raise DataError(f"{path} is no folder", ["expected a folder of recordings with a label file beside each"])
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    draft = Draft(path, "labelfiles", options)
    records, without = [], []
    for recording, texts in _pairs(str(path)):
        key = os.path.relpath(recording, path).replace(os.sep, "/")
        kinds = {text: kind for text in texts if (kind := _kind(text)) is not None}
        if not kinds:
            without.append(key)
            continue
        size = regular_size(recording)
        record = StrongRecord(key, Found(recording, key, size), strong=True, split=_part_of(key))
        for text, kind in kinds.items():
            place = os.path.relpath(text, path).replace(os.sep, "/")
            if kind == "audacity":
                for where, event in _read_audacity(text, place, draft.problems):
                    record.add_event(event, where)
            elif kind == "raven":
                for where, event in _read_raven(text, place, recording, draft.problems):
                    record.events.setdefault(event, where)
        records.append(record)
    add_records(draft, records)
    if without:
        draft.flags.append(Flag("unlisted_file", {"count": len(without), "first": without[0]}))
    return draft.finish(task="multi")


FORMS.add("labelfiles", Format(looks_like_labelfiles, read_labelfiles_form, order=60))
