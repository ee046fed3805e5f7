# SPDX-License-Identifier: Apache-2.0
"""Reading CSV and TSV strictly and in bounded memory.

Everything stays text: no cell becomes a number, a date or "missing". What a table cannot mean
clearly (another encoding, ragged rows, a column twice) is refused with its line, never repaired in silence.
What says nothing is dropped: rows without a word, blank cells beyond the header, the line ``sep=;`` and comment
lines before it. Lines count from 1, as editors show them.
"""

from __future__ import annotations

import csv
import re
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal, TextIO

from auricle.cells import unescape_cell
from auricle.data.problems import Problems
from auricle.errors import DataError, UsageError
from auricle.registry import nearest

#: Longest line read; it stays under the csv module's own field limit, so that ours is the message.
MAX_LINE_CHARS = 100_000
#: Largest table read: about ten million rows.
MAX_TABLE_BYTES = 1 << 30
TABLE_SUFFIXES = frozenset({".csv", ".tsv"})
DELIMITERS = {",": "comma", "\t": "tab", ";": "semicolon"}
#: Columns that name the file of a row.
PATH_COLUMNS = ("path", "filename")

_HEAD_BYTES = 65_536
#: The line that spreadsheets understand as "this separates the cells".
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
COMMENT = "#"
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        path: where it was read from.
        columns: names from the header, stripped.
        rows: the cells, each row as long as ``columns``.
        lines: the line each row begins on.
        delimiter: what separates the cells.
        notes: what the user should be told about the reading.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    delimiter: str = ","
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """Return one column; raises ``DataError`` naming the columns there are (and the nearest)."""
        if name not in self.columns:
            raise DataError(f"{self.path.name} cannot be used", [missing_column(name, self.columns)])
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def where(self, name: str, *, without: Collection[str] = ("",)) -> Table:
        """Return the table of the rows whose cell in a column is none of some texts, in any case: says anything."""
        keep = [i for i, cell in enumerate(self.column(name)) if cell.strip().casefold() not in without]
        return replace(self, rows=tuple(self.rows[i] for i in keep), lines=tuple(self.lines[i] for i in keep))


def missing_column(name: str, columns: Sequence[str]) -> str:
    """Return the line that says a column is missing, which there are, and which is nearest."""
    return f"no column {name!r}{nearest(name, columns)}; found: {', '.join(map(repr, columns))}"


def pick_column(columns: Sequence[str], names: Sequence[str], problems: Problems) -> str | None:
    """Return which of the alternative ``names`` a table has; none, or more than one, is a problem."""
    present = [name for name in names if name in columns]
    if len(present) > 1:
        problems.add("columns", f"the columns {' and '.join(map(repr, present))} say the same; remove or rename one")
    elif not present:
        others = "".join(f" (or {name!r})" for name in names[1:])
        problems.add("columns", missing_column(names[0], columns).replace("; found", f"{others}; found", 1))
    return present[0] if present else None


def guess_encoding(head: bytes) -> str:
    """Guess the encoding of the beginning of a file: UTF-8 unless it cannot be."""
    for mark, name in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return name
    if head[:2000].count(0) * 3 > len(head[:2000]):
        return "utf-16-le" if head[1::2][:1000].count(0) >= head[::2][:1000].count(0) else "utf-16-be"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a character cut by the end of the head is no fault
            return "cp1252" if re.search(rb"[\x80-\x9f]", head) else "latin-1"
    return "utf-8"


def sniff_delimiter(header: str) -> str:
    """Return the delimiter that stands most often in the header, outside quotes; a comma if none does."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=bare.count)


def _checked_head(path: Path) -> bytes:
    """Return the beginning of a table after checking that it is a regular file of a sane size."""
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):
            raise DataError(f"{path} cannot be read", ["it is not a regular file"])
        if info.st_size > MAX_TABLE_BYTES:
            raise DataError(
                f"{path} cannot be read", [f"it has {info.st_size} bytes; a table has at most {MAX_TABLE_BYTES}"]
            )
        with path.open("rb") as handle:
            return handle.read(_HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read", [error.strerror or str(error)]) from error


def _pick_encoding(path: Path, head: bytes, encoding: str | None) -> str:
    """Return the encoding to read with; anything but UTF-8 must have been asked for."""
    if encoding is not None:
        try:
            "".encode(encoding)
        except LookupError as error:
            raise UsageError(f"unknown encoding {encoding!r}; examples: utf-8, utf-16, latin-1, cp1252") from error
        return "utf-8-sig" if encoding.lower() in {"utf-8", "utf8"} else encoding
    guess = guess_encoding(head)
    if guess != "utf-8":
        raise DataError(
            f"{path.name} is not UTF-8", [f"it looks like {guess}: save it as UTF-8, or say --encoding {guess}"]
        )
    return "utf-8-sig"


def _bounded_lines(handle: TextIO) -> Iterator[str]:
    """Yield lines; raises ``ValueError`` at a NUL or at a line beyond the limit, before reading on."""
    number = 0
    while line := handle.readline(MAX_LINE_CHARS + 1):
        number += 1
        if len(line) > MAX_LINE_CHARS:
            raise ValueError(f"line {number} is longer than {MAX_LINE_CHARS} characters")
        if "\0" in line:
            raise ValueError(f"line {number} holds a NUL byte; the file is damaged or no text")
        yield line


def _bad_line(path: Path, encoding: str) -> str:
    """Return where the bytes stop being text, for an error message."""
    with path.open("rb") as handle:
        for number, line in enumerate(iter(lambda: handle.readline(MAX_LINE_CHARS), b""), 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                return f"line {number}: byte 0x{line[error.start]:02x} is not {encoding}"
    return f"the file is not {encoding}"


def _body(lines: Iterator[str]) -> tuple[int, str, str | None]:
    """Return the header's line number, the header, and the delimiter that a line ``sep=`` names.

    Blank lines and comment lines before the header are passed over.
    """
    number, delimiter = 0, None
    for line in lines:
        number += 1
        named = _SEPARATOR_LINE.fullmatch(line.rstrip("\r\n"))
        if named is not None:
            delimiter = named[1]
        elif line.strip() and not line.startswith(COMMENT):
            return number, line, delimiter
    return number, "", delimiter


def _raw_rows(
    path: Path, encoding: str, delimiter: str | None, *, quoted: bool = True
) -> Iterator[tuple[int, list[str], str]]:
    """Yield ``(line, cells, delimiter)`` of every row that says anything; raises ``DataError`` where text ends."""
    start = 1
    try:
        with path.open(encoding=encoding, newline="") as handle:
            lines = _bounded_lines(handle)
            start, header, named = _body(lines)
            if delimiter is None:
                delimiter = sniff_delimiter(header) if named is None else named
            quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted or header.startswith('"') else csv.QUOTE_NONE
            before = start - 1
            reader = csv.reader(chain([header], lines), delimiter=delimiter, strict=True, quoting=quoting)
            for cells in reader:
                if any(cell.strip() for cell in cells):
                    yield start, [unescape_cell(cell) for cell in cells], delimiter
                start = before + reader.line_num + 1
    except UnicodeError as error:
        plain = encoding.removesuffix("-sig")
        where = _bad_line(path, plain)
        hint = "save it as UTF-8, or say --encoding latin-1 (or what it is)"
        raise DataError(f"{path.name} cannot be read", [f"{where}; {hint}"]) from error
    except csv.Error as error:
        text = f"line {start}: a quote is not closed, or stands inside a cell ({error})"
        raise DataError(f"{path.name} cannot be read", [text]) from error
    except ValueError as error:
        raise DataError(f"{path.name} cannot be read", [str(error)]) from error


def _note_delimiter(path: Path, delimiter: str) -> tuple[str, ...]:
    expected = "\t" if path.suffix.lower() in (".tsv", ".txt") else ","
    if delimiter == expected:
        return ()
    return (f"{path.name}: the delimiter is a {DELIMITERS.get(delimiter, repr(delimiter))}, taken from the header",)


def read_columns(path: Path, *, encoding: str | None = None, delimiter: str | None = None) -> tuple[str, ...]:
    """Return the column names of a table without reading on; raises ``DataError``."""
    encoding = _pick_encoding(path, _checked_head(path), encoding)
    for _, cells, _ in _raw_rows(path, encoding, delimiter):
        return tuple(cell.strip() for cell in cells)
    return ()


def read_table(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    quoted: bool = True,
    may_be_empty: bool = False,
) -> Table:
    """Read a whole table.

    Args:
        path: a CSV or TSV file; a byte order mark is fine.
        encoding: how the text is encoded; UTF-8 if None, and anything else must be asked for.
        delimiter: one character; the header decides if None.
        quoted: quotation marks may enclose cells; else they are characters like any other, unless the header has them.
        may_be_empty: a header without rows is an answer, too.

    Raises:
        DataError: with all duplicate columns and ragged rows, or with the line where reading had to end.
    """
    encoding = _pick_encoding(path, _checked_head(path), encoding)
    problems = Problems()
    columns: tuple[str, ...] = ()
    rows, lines, used = [], [], ","
    for line, cells, found in _raw_rows(path, encoding, delimiter, quoted=quoted):
        if not columns:
            used = found
            columns = _named(cells)
            twice = sorted({name for name in columns if name and columns.count(name) > 1})
            problems.extend("column", (f"column {name!r} stands twice; remove or rename one" for name in twice))
            continue
        extra = [cell for cell in cells[len(columns) :] if cell.strip()]
        if len(cells) < len(columns) or extra:
            problems.add("ragged", f"line {line}: {len(cells)} cells, but the header has {len(columns)}")
        else:
            rows.append(tuple(cells[: len(columns)]))
            lines.append(line)
    if not columns:
        problems.add("empty", "the table is empty: expected a header and rows")
    elif not lines and not problems and not may_be_empty:
        problems.add("empty", "the table has a header and no rows")
    problems.stop_if_any(f"{path.name} cannot be used")
    return Table(path, columns, tuple(rows), tuple(lines), used, _note_delimiter(path, used))


def _named(header: Sequence[str]) -> tuple[str, ...]:
    """Return the column names of a header, without the nameless ones at its end."""
    names = [cell.strip() for cell in header]
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def read_fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the fields of each line that is not blank, of a text whose fields white space separates.

    Raises:
        DataError: the file cannot be read, or is no UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig") as handle:
            number = 0
            while line := handle.readline(MAX_LINE_CHARS):
                number += 1
                if line.split():
                    yield number, line.split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path.name} cannot be read", [str(error)]) from error
