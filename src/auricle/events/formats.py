# SPDX-License-Identifier: Apache-2.0
"""Events to and from the files that people open: CSV, Audacity labels, JSON lines, Raven selection tables.

Every format writes lines lazily from any number of results and reads its own output back. Times are
seconds. Cells that a spreadsheet would run as a formula get a leading quote, which reading takes off again.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from auricle.cells import as_text, escape_cell
from auricle.errors import DataError, UsageError
from auricle.events.event_rows import Table, event_of, grouped
from auricle.events.exchange import (
    dump_birdnet,
    dump_kaleidoscope,
    dump_rttm,
    parse_birdnet,
    parse_kaleidoscope,
    parse_rttm,
)
from auricle.events.raven import dump_raven, parse_raven
from auricle.files import json_line
from auricle.registry import Registry
from auricle.results import DetectResult, Event, Failure, Flag, rounded

_CSV_COLUMNS = ("path", "onset", "offset", "label", "score")


def dump_csv(
    results: Iterable[DetectResult],
    more_columns: Sequence[str] = (),
    more_cells: Callable[[DetectResult, Event], Iterable[object]] = lambda result, event: (),
) -> Iterator[str]:
    """Yield ``path,onset,offset,label,score`` and a row an event, with further columns behind these."""
    yield _row((*_CSV_COLUMNS, *more_columns), ",")
    for result in results:
        for e in result.events:
            cells = (result.path, *_numbers(e.onset, e.offset), e.label, *_numbers(e.score))
            yield _row((*cells, *more_cells(result, e)), ",")


def parse_csv(lines: Iterable[str], where: str = "the CSV") -> list[DetectResult]:
    """Read what ``dump_csv`` writes; recordings in the order in which they first appear."""
    reader = Table(lines, ",", _CSV_COLUMNS, where)
    return grouped((row["path"], reader.event(row, *_CSV_COLUMNS[1:])) for row in reader)


def dump_audacity(results: Iterable[DetectResult]) -> Iterator[str]:
    """Yield Audacity labels ``start<TAB>end<TAB>label`` of one recording."""
    path = None
    for result in results:
        if path is not None and result.path != path:
            raise UsageError(
                f"Audacity labels are for one recording, got {path!r} and {result.path!r}: write a file for each"
            )
        path = result.path
        for e in result.events:
            yield f"{e.onset:.6f}\t{e.offset:.6f}\t{_one_line(e.label)}\n"


def parse_audacity(lines: Iterable[str], where: str = "the labels") -> list[DetectResult]:
    """Read Audacity labels; frequency lines, which begin with a backslash, are skipped, scores are 1."""
    events = []
    for number, line in enumerate(lines, 1):
        cells = line.rstrip("\r\n").split("\t")
        if cells == [""] or cells[0] == "\\":
            continue
        if len(cells) != 3:
            raise DataError(f"{where} cannot be read", [f"line {number}: expected start, end, label; got {cells}"])
        events.append(event_of(cells[0], cells[1], cells[2], "1", f"line {number}", where))
    return [DetectResult(where, None, events=tuple(events))]


def dump_jsonl(results: Iterable[DetectResult]) -> Iterator[str]:
    """Yield one JSON object a recording, as ``auricle detect --format json`` prints it."""
    for result in results:
        yield json_line(result.to_dict())


def parse_jsonl(lines: Iterable[str], where: str = "the JSON lines") -> list[DetectResult]:
    """Read what ``dump_jsonl`` writes."""
    results = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            results.append(_from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{where} cannot be read", [f"line {number}: not a result of auricle detect ({error})"]
            ) from error
    return results


@dataclass(frozen=True)
class EventFormat:
    """One way to write events.

    Attributes:
        suffix: usual end of the file name.
        dump: results to text, line by line.
        parse: lines and the name for errors to results.
    """

    suffix: str
    dump: Callable[[Iterable[DetectResult]], Iterator[str]]
    parse: Callable[[Iterable[str], str], list[DetectResult]]


EVENT_FORMATS: Registry[EventFormat] = Registry("event format")
EVENT_FORMATS.add("csv", EventFormat(".csv", dump_csv, parse_csv))
EVENT_FORMATS.add("json", EventFormat(".jsonl", dump_jsonl, parse_jsonl))
EVENT_FORMATS.add("audacity", EventFormat(".txt", dump_audacity, parse_audacity))
EVENT_FORMATS.add("birdnet", EventFormat(".birdnet.csv", dump_birdnet, parse_birdnet))
EVENT_FORMATS.add("kaleidoscope", EventFormat(".kaleidoscope.csv", dump_kaleidoscope, parse_kaleidoscope))
EVENT_FORMATS.add("rttm", EventFormat(".rttm", dump_rttm, parse_rttm))
EVENT_FORMATS.add("raven", EventFormat(".selections.txt", dump_raven, parse_raven))


def _from_dict(value: dict[str, object]) -> DetectResult:
    """Build a result from its JSON object."""
    flags, events, error, duration = value["flags"], value["events"], value["error"], value["duration"]
    if not isinstance(flags, list) or not isinstance(events, list):
        raise TypeError("flags and events must be lists")
    return DetectResult(
        path=str(value["path"]),
        duration=None if duration is None else float(str(duration)),
        flags=tuple(Flag(f["code"], {k: v for k, v in f.items() if k != "code"}) for f in flags),
        events=tuple(Event(e["label"], float(e["onset"]), float(e["offset"]), float(e["score"])) for e in events),
        error=Failure(str(error["code"]), str(error["message"])) if isinstance(error, dict) else None,
    )


def _row(cells: Iterable[object], delimiter: str) -> str:
    """Return one table line; only tables with tabs lose line breaks and tabs inside cells. Numbers are no formulas."""
    texts = [
        escape_cell(cell if delimiter == "," else _one_line(cell)) if isinstance(cell, str) else as_text(cell)
        for cell in cells
    ]
    buffer = io.StringIO()
    # The csv module quotes the characters of its line end: with both, cells with either of them are safe.
    csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n").writerow(texts)
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def _one_line(text: str) -> str:
    """Return text without tabs and line breaks, which would shift columns."""
    return re.sub(r"[\t\r\n]+", " ", text)


def _numbers(*values: float) -> tuple[str, ...]:
    return tuple(str(rounded(value)) for value in values)
