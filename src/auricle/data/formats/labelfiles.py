# SPDX-License-Identifier: Apache-2.0
"""The format ``labelfiles``: recordings with files of labels, one beside each, or one for many of them.

``night.wav`` belongs with ``night.txt``, ``night.Table.1.selections.txt``, ``night.BirdNET.results.csv`` or
``night.TextGrid``: the file whose name begins with that of the recording, and with that of no other whose name is
longer. Label files in a folder of their own belong to the recording of that name wherever it lies. A table that names
the recording of each row may lie anywhere. A file without labels says that nothing is audible; a recording without a
file says nothing and is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from auricle.data.formats.draft import Draft
from auricle.data.formats.finder import Finder, folded
from auricle.data.formats.label_rows import LABEL_SUFFIXES, LabelFile, kind_of, read_labels
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.formats.strong_labels import StrongRecord, add_records
from auricle.data.labels import SPLIT_ALIASES
from auricle.data.manifest import Manifest
from auricle.data.paths import Found, regular_size
from auricle.data.read_options import ReadOptions
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import Flag

_LOOKED_AT = 40
#: Kinds of label files that may name the recording of each row.
_TABLES = ("raven", "birdnet", "kaleidoscope")


@dataclass
class _Folder:
    """What lies in one folder: recordings and texts by name."""

    path: str
    recordings: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def owner(self, text: str) -> tuple[str, ...]:
        """Return the recordings that a text belongs to: those with the longest name that it begins with."""
        best: dict[int, list[str]] = {}
        name = folded(text)
        for recording in self.recordings:
            stem = folded(os.path.splitext(recording)[0])  # noqa: PTH122
            for start in (folded(recording), stem):
                if name.startswith(f"{start}."):
                    best.setdefault(len(start), []).append(recording)
                    break
        return tuple(best[max(best)]) if best else ()


def _folders(root: str) -> Iterator[_Folder]:
    """Yield what lies in each folder below ``root``, in a stable order."""
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        folder = _Folder(place)
        for name in sorted(name for name in names if not name.startswith(".")):
            ending = os.path.splitext(name)[1].lower()  # noqa: PTH122
            if ending in AUDIO_EXTENSIONS:
                folder.recordings.append(name)
            elif ending in LABEL_SUFFIXES:
                folder.texts.append(name)
        yield folder


def looks_like_labelfiles(path: Path, options: ReadOptions) -> bool:
    """Recognise a folder in which a recording has a file of labels beside it, or a table of labels for many."""
    column = options.label_column
    if path.is_file():
        return path.suffix.lower() in LABEL_SUFFIXES and kind_of(path, column) in _TABLES
    looked_at = 0
    for folder in _folders(str(path)):
        for text in folder.texts:
            kind = kind_of(Path(folder.path, text), column)
            if kind in (*_TABLES, "textgrid"):
                return True
            if kind in ("audacity", "table") and folder.owner(text):
                return True
            looked_at += 1
            if looked_at >= _LOOKED_AT:
                return False
    return False


def _part_of(key: str) -> str | None:
    """Return the part of the data that the outermost folder of a recording names."""
    first, slash, _ = key.partition("/")
    return SPLIT_ALIASES.get(first.casefold()) if slash else None


@dataclass
class _Reading:
    """What the label files have said so far, by the path of the recording."""

    draft: Draft
    root: str
    finder: Finder
    records: dict[str, StrongRecord] = field(default_factory=dict)
    points: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    recordings: list[str] = field(default_factory=list)

    def key(self, path: str) -> str:
        return os.path.relpath(path, self.root).replace(os.sep, "/")

    def record(self, path: str) -> StrongRecord:
        """Return what is known of a recording, to be added to."""
        key = self.key(path)
        new = StrongRecord(key, Found(path, key, regular_size(path)), strong=True, split=_part_of(key))
        return self.records.setdefault(path, new)

    def read(self, folder: _Folder) -> None:
        """Read the label files of a folder."""
        self.recordings += [os.path.join(folder.path, name) for name in folder.recordings]  # noqa: PTH118
        for name in folder.texts:
            path = Path(folder.path, name)
            owners = folder.owner(name)
            options = self.draft.options
            if path.suffix.lower() == ".csv" and not owners and kind_of(path, options.label_column) == "table":
                continue
            place = self.key(str(path))
            found = read_labels(path, place, self.draft.problems, options.encoding, options.label_column)
            if found is None:
                self.unread += [place] if owners else []
                continue
            self.draft.notes += [note for note in found.notes if note not in self.draft.notes]
            if found.many:
                self._add_many(found, place, owners)
            elif found.kind != "empty" or owners:
                self._add_one(found, place, self._paths(folder, name, owners, found.kind, place))

    def _paths(self, folder: _Folder, name: str, owners: tuple[str, ...], kind: str, place: str) -> list[str]:
        """Return the recording that a label file belongs to, beside it or, from a folder of its own, elsewhere."""
        if len(owners) > 1:
            text = f"{place} fits {len(owners)} recordings ({shorten(owners)}): name it {owners[0]}{Path(name).suffix}"
            self.draft.problems.add("owner", f"{text}, or so")
            return []
        if owners:
            return [os.path.join(folder.path, owners[0])]  # noqa: PTH118
        if folder.recordings or kind == "table":
            return []
        stem = name
        while "." in stem:
            stem = stem.rpartition(".")[0]
            paths = self.finder.index.ending_like(stem)
            if len(paths) == 1:
                return [os.path.join(self.finder.index.root, paths[0])]  # noqa: PTH118
        return []

    def _add_one(self, found: LabelFile, place: str, paths: list[str]) -> None:
        for path in paths:
            record = self.record(path)
            self._add(record, found, place)

    def _add(self, record: StrongRecord, found: LabelFile, place: str) -> None:
        for row in found.rows:
            if row.point:
                self.points.setdefault(record.found.path, row.place)
            elif row.event is not None and found.kind == "raven":
                record.events.setdefault(row.event, row.place)
            elif row.event is not None:
                record.add_event(row.event, row.place)

    def _add_many(self, found: LabelFile, place: str, owners: tuple[str, ...]) -> None:
        """Add the rows of a table to the recordings that they name."""
        absent: list[str] = []
        for row in found.rows:
            listed = (row.file or "").replace("\\", "/")
            path = self._named(listed, place, owners)
            if path is None and owners:
                name = listed.rpartition("/")[2]
                text = f"{row.place}: the selection is of {name!r}; put each recording's table beside it"
                self.draft.problems.add("file", text)
            if path is None:
                absent.append(listed)
                continue
            self._add(self.record(path), LabelFile(found.kind, [row]), place)
        if absent and not owners:
            names = list(dict.fromkeys(absent))
            text = f"{place}: {len(absent)} of {len(found.rows)} labels are of recordings that are not here: "
            if len(absent) == len(found.rows):
                self.draft.problems.add("file", f"{text}{shorten(map(repr, names))}")
            else:
                self.draft.notes.append(f"{text}{shorten(map(repr, names))}")

    def _named(self, listed: str, place: str, owners: tuple[str, ...]) -> str | None:
        """Return the recording that a row names: by the longest end of its path that is one file here."""
        if not listed:
            beside = [path for path in self.recordings if os.path.basename(path) in owners]  # noqa: PTH119
            return beside[0] if len(beside) == 1 else None
        paths = self.finder.index.fitting(listed)
        if len(paths) > 1:
            text = f"{place}: {listed!r} fits {len(paths)} files ({shorten(paths)}); keep one, or list its folder"
            self.draft.problems.add("path", text)
        return os.path.join(self.finder.index.root, paths[0]) if len(paths) == 1 else None  # noqa: PTH118


def _leave_out_points(reading: _Reading) -> list[StrongRecord]:
    """Return the records to use: a recording with labels of points alone says nothing of when."""
    only = [path for path in reading.points if not reading.records[path].events]
    if reading.points:
        first = next(iter(reading.points.values()))
        text = f"labels without a length in {len(reading.points)} recordings are left out (first: {first})"
        text += f"; {len(only)} recordings have no others and are left out" if only else ""
        reading.draft.notes.append(text)
    return [record for path, record in reading.records.items() if path not in only]


def read_labelfiles(path: Path, options: ReadOptions) -> Manifest:
    """Read recordings with files of labels; raises ``DataError`` with all problems."""
    named = path if path.is_file() and kind_of(path, options.label_column) in _TABLES else None
    if not path.is_dir() and named is None:
        raise DataError(f"{path} is no folder", ["expected a folder of recordings with a label file beside each"])
    path = Path(os.path.abspath(path if named is None else path.parent))  # noqa: PTH100 (Path.absolute keeps "..")
    draft = Draft(path, "labelfiles", options)
    reading = _Reading(draft, str(path), draft.finder((str(path),)))
    for folder in _folders(str(path)):
        if named is not None:
            folder.texts = [name for name in folder.texts if Path(folder.path, name) == path / named.name]
        reading.read(folder)
    add_records(draft, _leave_out_points(reading))
    if reading.unread:
        text = "files beside recordings are no labels that are known and are not read"
        draft.notes.append(f"{len(reading.unread)} {text}: {shorten(reading.unread)}")
    used = set(reading.records)
    without = [reading.key(p) for p in sorted(reading.recordings) if p not in used]
    if without:
        draft.flags.append(Flag("unlisted_file", {"count": len(without), "first": without[0]}))
    return draft.finish(task="multi")


FORMATS.add("labelfiles", Format(looks_like_labelfiles, read_labelfiles, order=60, names_labels=True))
