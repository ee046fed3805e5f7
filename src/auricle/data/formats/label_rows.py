# SPDX-License-Identifier: Apache-2.0
"""Files of labels as tools write them, one reader each: which sound, from when to when, and of which recording.

Audacity's labels, Raven's selection tables, tables of BirdNET and Kaleidoscope, TextGrids of Praat, and tables with a
column for start, end and label. The content decides what a file is, never its name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from auricle.data.columns import (
    LABEL_ALIASES,
    LABEL_COLUMNS,
    OFFSET_ALIASES,
    ONSET_ALIASES,
    PATH_ALIASES,
    chosen_column,
    column_called,
    named_column,
    parse_seconds,
)
from auricle.data.problems import Problems
from auricle.data.tables import PATH_COLUMNS, Table, guess_encoding, read_table, sniff_delimiter
from auricle.errors import DataError
from auricle.events.raven import RAVEN_LABELS
from auricle.results import Event

LABEL_SUFFIXES = frozenset({".txt", ".tsv", ".csv", ".textgrid"})
_RAVEN_BEGIN = "Begin Time (s)"
#: Columns of Raven without a unit in their names, and columns that describe a selection rather than name its sound.
_RAVEN_OWN = frozenset(
    (
        *("selection", "view", "channel", "begin_file", "end_file", "begin_path", "end_path", "begin_date", "end_date"),
        *("begin_clock_time", "end_clock_time", "begin_date_time", "begin_hour", "occupancy", "score", "confidence"),
        *(
            "template",
            "detector",
            "notes",
            "note",
            "comments",
            "comment",
            "remarks",
            "observer",
            "annotator",
            "quality",
        ),
        *(
            "rating",
            "id",
            "scientific_name",
            "species_code",
            "site",
            "date",
            "time",
            "filename",
            "file",
            "path",
            "rank",
        ),
    )
)
#: Frequency lines of Audacity begin with a backslash.
_FREQUENCIES = "\\"
_HEAD_CHARS = 8_192
#: Sums of times are as exact as the tables they come from.
_DECIMALS = 9
_TEXTGRID = re.compile(r'"ooTextFile|^File type\s*=\s*"ooTextFile|"TextGrid"')
#: A text, the flag, or a number of a TextGrid; words and what stands in brackets only say what follows.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(<exists>)|\[[^\]]*\]|(?<![\w.])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)')


@dataclass
class Row:
    """One label: of a recording, if the file names it; an event without a length has none."""

    place: str
    file: str | None
    event: Event | None
    point: bool = False


@dataclass
class LabelFile:
    """What a file of labels says.

    Attributes:
        kind: what wrote it.
        rows: its labels.
        many: it names the recording of each row.
        notes: what was decided while reading.
    """

    kind: str
    rows: list[Row] = field(default_factory=list)
    many: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Layout:
    """Columns of tables that a tool writes, by what they mean; of several, the first that a table has."""

    kind: str
    begin: tuple[str, ...]
    end: tuple[str, ...]
    label: tuple[str, ...]
    file: tuple[str, ...]
    folder: tuple[str, ...] = ()
    file_offset: tuple[str, ...] = ()
    lasts: bool = False
    quoted: bool = True
    own_labels: bool = False


_FILES = (*PATH_COLUMNS, *PATH_ALIASES)
_KALEIDOSCOPE_LABELS = (
    *("manual_id", "manual_id*", "common_name", "top1match", "auto_id", "auto_id*", "scientific_name"),
)
#: What Kaleidoscope calls what it has not identified.
UNIDENTIFIED = frozenset({"", "noid", "no id"})
_SURE = ("confidence", "score", "probability")
_LAYOUTS = (
    _Layout(
        "raven", ("begin_time_(s)",), ("end_time_(s)",), tuple(n.casefold().replace(" ", "_") for n in RAVEN_LABELS),
        ("begin_path", "begin_file", *_FILES), file_offset=("file_offset_(s)",), quoted=False, own_labels=True,
    ),
    _Layout("birdnet", ("start_(s)",), ("end_(s)",), ("common_name", "scientific_name", "label"), ("file", *_FILES)),
    _Layout(
        "kaleidoscope", ("offset",), ("duration",), _KALEIDOSCOPE_LABELS, ("in_file", "in_file_name"),
        folder=("folder",), lasts=True,
    ),
    _Layout(
        "table", ("onset", *ONSET_ALIASES), ("offset", *OFFSET_ALIASES), (*LABEL_COLUMNS, *LABEL_ALIASES, "annotation"),
        _FILES,
    ),
)  # fmt: skip


def _head(path: Path) -> tuple[str, str] | None:
    """Return the encoding and the beginning of a text; None for what is no text."""
    try:
        with path.open("rb") as file:
            raw = file.read(_HEAD_CHARS)
    except OSError:
        return None
    encoding = guess_encoding(raw)
    text = raw.decode("utf-8-sig" if encoding == "utf-8" else encoding, errors="ignore")
    return None if "\0" in text else (encoding, text)


def kind_of(path: Path, label_column: str | None = None) -> str | None:
    """Return what a file of labels is: the name of a tool, ``empty``, or None for a text that is none."""
    head = _head(path)
    if head is None:
        return None
    text = head[1].lstrip("\ufeff")
    line = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), None)
    if line is None:
        return "empty"
    if _TEXTGRID.search(text[:200]):
        return "textgrid"
    cells = line.split("\t")
    if len(cells) >= 2 and _is_time(cells[0]) and _is_time(cells[1]):
        return "audacity"
    layout = _layout_of([cell.strip().strip('"') for cell in line.split(sniff_delimiter(line))], label_column)
    return None if layout is None else layout.kind


def _layout_of(columns: Sequence[str], label_column: str | None) -> _Layout | None:
    """Return the layout of a table with these columns; tables without a column of labels are only Raven's."""
    named = chosen_column(columns, label_column) is not None
    for layout in _LAYOUTS:
        if column_called(columns, layout.begin) is None or column_called(columns, layout.end) is None:
            continue
        if layout.own_labels or named or column_called(columns, layout.label) is not None:
            return layout
    return None


def _is_time(text: str) -> bool:
    """Tell whether a cell is meant as a time, also one with a decimal comma, which reading refuses with its line."""
    try:
        float(text.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def read_labels(
    path: Path, place: str, problems: Problems, encoding: str | None = None, label_column: str | None = None
) -> LabelFile | None:
    """Read a file of labels; its problems are noted. None for a file that is none."""
    kind, head = kind_of(path, label_column), _head(path)
    if kind is None or head is None:
        return None
    found = LabelFile(kind)
    if encoding is None and head[0] != "utf-8":
        encoding = head[0]
        found.notes.append(f"{place} is no UTF-8 and is read as {encoding}")
    try:
        if kind == "audacity":
            found.rows += _read_audacity(path, place, problems, encoding or "utf-8-sig")
        elif kind == "textgrid":
            found.rows += _read_textgrid(path, place, encoding or "utf-8-sig", found.notes)
        elif kind != "empty":
            _read_table(path, place, problems, encoding, label_column, found)
    except DataError as error:
        problems.extend("table", (f"{place}: {text}" for text in error.problems))
    except UnicodeError as error:
        problems.add("encoding", f"{place}: not all of it is {encoding or 'utf-8'} ({error}); save it as UTF-8")
    return found


def _row(place: str, file: str | None, begin: str, end: str, label: str, problems: Problems) -> Row | None:
    """Return the label of a line, or None and a problem."""
    onset, offset = (parse_seconds(place, name, cell, problems) for name, cell in (("start", begin), ("end", end)))
    label = label.strip()
    if not label:
        problems.add("label", f"{place}: no label; name the sound, or 'other' for one that is no class")
    if onset is None or offset is None or not label:
        return None
    if offset < onset:
        problems.add("time", f"{place}: end {offset:g} is not after start {onset:g}; a sound has a length")
        return None
    point = offset == onset
    return Row(place, file, None if point else Event(label, onset, offset, 1.0), point)


def _read_audacity(path: Path, place: str, problems: Problems, encoding: str) -> Iterator[Row]:
    """Yield the labels of an Audacity file; a fourth cell that is a number is BirdNET's confidence."""
    with path.open(encoding=encoding) as file:
        for number, line in enumerate(file, 1):
            cells = line.rstrip("\r\n").split("\t")
            while len(cells) > 3 and not cells[-1].strip():
                cells.pop()
            if not any(cell.strip() for cell in cells) or cells[0] == _FREQUENCIES:
                continue
            where = f"{place}, line {number}"
            if len(cells) != 3 and not (len(cells) == 4 and _is_time(cells[3])):
                problems.add("ragged", f"{where}: {len(cells)} cells; expected start, end and label, between tabs")
                continue
            row = _row(where, None, cells[0], cells[1], cells[2], problems)
            if row is not None:
                yield row


def _read_table(
    path: Path, place: str, problems: Problems, encoding: str | None, chosen: str | None, found: LabelFile
) -> None:
    """Add the rows of a table; views of one selection come out equal."""
    head = _head(path)
    raven = found.kind == "raven"
    table = read_table(
        path, encoding=encoding, quoted=not raven, may_be_empty=True,
        delimiter="\t" if raven and head is not None and "\t" in head[1] else None,
    )  # fmt: skip
    layout = _layout_of(table.columns, chosen)
    if layout is None:
        raise DataError(f"{path.name} cannot be used", ["its header is not that of its beginning"])
    file = column_called(table.columns, layout.file)
    found.many = file is not None and any(cell.strip() for cell in table.column(file))
    if not table.rows:
        return
    label = _label_column(table, layout, chosen, found.notes, problems, place)
    if label is None:
        return
    sure = column_called(table.columns, _SURE)
    if sure is not None:
        found.notes.append(f"the column {sure!r} is not used: every label counts as certain")
    before = len(table.rows)
    if layout.lasts:  # Kaleidoscope lists what nobody has identified, too
        table = table.where(label, without=UNIDENTIFIED)
    if len(table.rows) < before:
        found.notes.append(f"{place}: {before - len(table.rows)} rows have no {label!r} and are left out")
    found.rows += _rows(table, layout, label, place, problems)


def _label_column(
    table: Table, layout: _Layout, chosen: str | None, notes: list[str], problems: Problems, place: str
) -> str | None:
    """Return the column that names the sounds: the chosen one, a known one, or the only one its user can have added."""
    if chosen is not None:
        found = Problems()
        column = named_column(table.columns, chosen, found)
        problems.extend("columns", (f"{place}: {line}" for line in found.lines()))
        return column
    named = dict.fromkeys(column_called(table.columns, (name,)) for name in layout.label)
    known = [column for column in named if column is not None]
    own = [c for c in table.columns if _may_name_sounds(table, c) and c not in known] if layout.own_labels else []
    if known:
        filled = [column for column in known if any(cell.strip() for cell in table.column(column))] or known
        if layout.own_labels and (others := [*filled[1:], *own]):
            notes.append(f"the sounds are named in the column {filled[0]!r}; --label-column takes {_either(others)}")
        return filled[0]
    if len(own) == 1:
        notes.append(f"the sounds are named in the column {own[0]!r}")
        return own[0]
    problems.add("columns", f"{place}: {_no_label_column(table, own)}")
    return None


def _no_label_column(table: Table, own: Sequence[str]) -> str:
    """Return what to do about a table whose column of labels is not known."""
    if own:
        return f"several columns may name the sounds; take one of them: --label-column {_either(own)}"
    known = ", ".join(map(repr, RAVEN_LABELS))
    return f"no column names the sounds; found: {', '.join(map(repr, table.columns))}; known: {known}"


def _either(columns: Sequence[str]) -> str:
    return " or ".join(map(shlex.quote, columns))


def _may_name_sounds(table: Table, column: str) -> bool:
    """Tell whether a column is none of Raven's own, nor measurements: those have a unit, or are numbers."""
    if "(" in column or "_".join(column.casefold().split()) in _RAVEN_OWN:
        return False
    return not all(_is_time(cell) or not cell.strip() for cell in table.column(column))


def _rows(table: Table, layout: _Layout, label: str, place: str, problems: Problems) -> Iterator[Row]:
    def cells(names: Sequence[str]) -> list[str]:
        column = column_called(table.columns, names)
        return [""] * len(table.rows) if column is None else table.column(column)

    begins, ends, labels = cells(layout.begin), cells(layout.end), table.column(label)
    files, folders, shifts = cells(layout.file), cells(layout.folder), cells(layout.file_offset)
    for i, line in enumerate(table.lines):
        where, end = f"{place}, line {line}", ends[i]
        if layout.lasts:
            begin_s, length_s = (parse_seconds(where, "time", cell, problems) for cell in (begins[i], ends[i]))
            if begin_s is None or length_s is None:
                continue
            end = repr(round(begin_s + length_s, _DECIMALS))
        file = "/".join(filter(None, (folders[i].strip(), files[i].strip())))
        row = _row(where, file, begins[i], end, labels[i], problems)
        if row is None:
            continue
        shift = parse_seconds(where, "File Offset (s)", shifts[i], problems)
        if shift is not None and row.event is not None:
            length = row.event.offset - row.event.onset
            row.event = Event(row.event.label, shift, round(shift + length, _DECIMALS), 1.0)
        yield row


def _read_textgrid(path: Path, place: str, encoding: str, notes: list[str]) -> Iterator[Row]:
    """Yield the intervals with a text of all tiers of a TextGrid, long or short; points have no length."""
    tokens = _tokens(path.read_text(encoding=encoding))
    tiers: list[str] = []
    try:
        while next(tokens) != "<exists>":
            pass
        for _ in range(int(next(tokens))):
            kind, name = next(tokens), next(tokens)
            tiers.append(name)
            next(tokens), next(tokens)
            for item in range(int(next(tokens))):
                begin = float(next(tokens))
                end = float(next(tokens)) if kind == "IntervalTier" else begin
                text = next(tokens).strip()
                if text:
                    where = f"{place}, tier {name!r}, interval {item + 1}"
                    yield Row(where, None, None if end <= begin else Event(text, begin, end, 1.0), end <= begin)
    except (StopIteration, ValueError) as error:
        raise DataError(f"{path.name} cannot be read", ["the TextGrid ends or breaks off in a tier"]) from error
    if len(tiers) > 1:
        notes.append(f"{place}: the labels of {len(tiers)} tiers are taken together: {', '.join(map(repr, tiers))}")


def _tokens(text: str) -> Iterator[str]:
    """Yield the texts and numbers of a TextGrid in their order, the same of its long and its short form."""
    for match in _TOKEN.finditer(text.lstrip("\ufeff")):
        quoted, exists, number = match.groups()
        if quoted is not None:
            yield quoted.replace('""', '"')
        elif exists or number:
            yield exists or number
