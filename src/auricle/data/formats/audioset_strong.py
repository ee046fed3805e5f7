# SPDX-License-Identifier: Apache-2.0
"""The format ``audioset_strong``: AudioSet's labels with times (Hershey et al. 2021) beside the sound of the videos.

    segment_id            start_time_seconds  end_time_seconds  label
    b0RFKhbpFJA_30000     0.000               4.753             /m/05zppz

A segment is called by its YTID and its start in milliseconds; times count from there, where its recording begins, too.
Classes have their names where ``mid_to_display_name.tsv`` or ``class_labels_indices.csv`` gives them.
"""

from __future__ import annotations

import os
from pathlib import Path

from auricle.data.columns import parse_seconds
from auricle.data.formats.audioset import Recordings, class_names, note_unnamed
from auricle.data.formats.draft import Draft
from auricle.data.formats.finder import FileIndex
from auricle.data.formats.places import columns_of, part_of_table, table_places
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.formats.strong_labels import StrongRecord, add_records
from auricle.data.manifest import Manifest
from auricle.data.paths import Found, regular_size
from auricle.data.read_options import ReadOptions
from auricle.data.tables import read_table
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import Event

COLUMNS = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
#: The column of tables that also list classes that are absent, frame by frame: their events stand in the others.
_PRESENT = "present"
_NAMES = "mid_to_display_name.tsv"


def _tables(path: Path, options: ReadOptions) -> list[Path]:
    """Return the tables with labels and times at ``path``: the file itself, or those of a folder, sorted."""
    if path.is_dir():
        files = [p for place in table_places(path) for p in place.iterdir() if p.suffix.lower() in (".tsv", ".csv")]
    else:
        files = [path] if path.suffix.lower() in (".tsv", ".csv") else []
    columns = {file: columns_of(file, options) or () for file in sorted(files) if file.is_file()}
    fitting = (f for f, names in columns.items() if all(name in names for name in COLUMNS) and _PRESENT not in names)
    return list(fitting)


def looks_like_audioset_strong(path: Path, options: ReadOptions) -> bool:
    """Recognise a table of AudioSet's labels with times, or a folder that holds one."""
    return bool(_tables(path, options))


def _names(root: Path, options: ReadOptions) -> dict[str, str]:
    """Return the name of each MID, as far as tables in the data set give them."""
    names = class_names(root, options)
    for file in sorted(p for place in table_places(root) for p in place.glob(_NAMES)):
        rows = (line.split("\t") for line in file.read_text(encoding="utf-8-sig").splitlines())
        names |= {cells[0].strip(): cells[1].strip() for cells in rows if len(cells) == 2}
    return names


def _read(
    draft: Draft, path: Path, names: dict[str, str], recordings: Recordings, records: dict[str, StrongRecord]
) -> set[str]:
    """Add the events of a table to records, and return the segments that have no recording."""
    table = read_table(path, encoding=draft.options.encoding, delimiter=draft.options.delimiter)
    part, absent = part_of_table(path, draft.root), set[str]()
    known: dict[str, StrongRecord | None] = {}
    for line, segment, start, end, mid in zip(table.lines, *map(table.column, COLUMNS), strict=True):
        place = f"{path.name}, line {line}"
        if segment not in known:
            known[segment] = _record(draft, place, segment, part, recordings)
        record = known[segment]
        if record is None:
            absent.add(segment)
            continue
        records.setdefault(record.found.path, record)
        onset, offset = (parse_seconds(place, n, c, draft.problems) for n, c in (("start", start), ("end", end)))
        if onset is None or offset is None:
            continue
        if offset <= onset:
            draft.problems.add("time", f"{place}: end {offset:g} is not after start {onset:g}")
            continue
        record.add_event(Event(names.get(mid.strip(), mid.strip()), onset, offset, 1.0), place)
    return absent


def _record(draft: Draft, place: str, segment: str, part: str | None, recordings: Recordings) -> StrongRecord | None:
    """Return a record of the recording of a segment; None where there is none, and a problem where it is not clear."""
    video, _, start = segment.rpartition("_")
    if not video or not start.isdecimal():
        draft.problems.add("segment", f"{place}: segment_id {segment!r} is no YTID with a start in milliseconds")
        return None
    found = recordings.find(video, str(int(start) / 1000))
    if len(found) > 1:
        draft.problems.add("path", f"{place}: {segment} fits {len(found)} files ({shorten(found)}); keep one")
    if len(found) != 1:
        return None
    absolute = os.path.join(draft.root, found[0])  # noqa: PTH118
    where = Found(absolute, found[0], regular_size(absolute))
    return StrongRecord(place, where, strong=True, split=part, group=video)


def read_audioset_strong(path: Path, options: ReadOptions) -> Manifest:
    """Read AudioSet's labels with times; raises ``DataError`` with all problems."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    tables = _tables(path, options)
    if not tables:
        raise DataError(f"{path} holds no table of AudioSet's events", [f"expected a .tsv with {', '.join(COLUMNS)}"])
    root = path if path.is_dir() else path.parent
    draft = Draft(root, "audioset_strong", options)
    names, recordings = _names(root, options), Recordings(FileIndex(str(root)))
    records: dict[str, StrongRecord] = {}
    absent = set[str]().union(*(_read(draft, table, names, recordings, records) for table in tables))
    if absent:
        text = f"{len(absent)} of {len(absent) + len(records)} segments have no recording here and are left out"
        draft.notes.append(text)
    note_unnamed(draft, {e.label for record in records.values() for e in record.events} - set(names.values()))
    if not records and not draft.problems:
        text = f"none of the {len(absent)} segments has a recording below {root}, named by its YTID"
        draft.problems.add("missing", text)
    add_records(draft, records.values())
    draft.flag_unlisted(AUDIO_EXTENSIONS)
    return draft.finish(task="multi")


FORMATS.add("audioset_strong", Format(looks_like_audioset_strong, read_audioset_strong, order=9))
