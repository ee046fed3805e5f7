# SPDX-License-Identifier: Apache-2.0
"""Events in the tables of other programs: BirdNET-Analyzer, Kaleidoscope, and RTTM of speech research.

BirdNET's labels are ``scientific name_common name``; a label of another form stands for both. RTTM separates by
spaces, so spaces in labels and names of files become ``_`` there, and reading gives what stands in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath

from auricle.cells import escape_cell
from auricle.errors import DataError
from auricle.events.event_rows import Table, event_of, grouped
from auricle.results import DetectResult, Event, rounded

BIRDNET = ("Start (s)", "End (s)", "Scientific name", "Common name", "Confidence", "File")
KALEIDOSCOPE = (
    *("INDIR", "FOLDER", "IN FILE", "OFFSET", "DURATION", "scientific_name", "common_name", "confidence"),
    *("lat", "lon", "week", "overlap", "sensitivity"),
)
_UNKNOWN = -1
_RTTM_FIELDS = 10


def names_of(label: str) -> tuple[str, str]:
    """Return the scientific and the common name of a label.

    >>> names_of("Turdus merula_Eurasian Blackbird"), names_of("Dog")
    (('Turdus merula', 'Eurasian Blackbird'), ('Dog', 'Dog'))
    """
    scientific, underscore, common = label.partition("_")
    return (scientific, common) if underscore and scientific and common else (label, label)


def label_of(scientific: str, common: str) -> str:
    """Return the label of two names."""
    return scientific if scientific == common or not common else f"{scientific}_{common}"


def dump_birdnet(results: Iterable[DetectResult]) -> Iterator[str]:
    """Yield BirdNET-Analyzer's combined CSV: seconds, names, confidence with four decimals, path."""
    yield _line(BIRDNET)
    for result in results:
        for event in result.events:
            times = (str(rounded(event.onset)), str(rounded(event.offset)))
            yield _line((*times, *names_of(event.label), f"{event.score:.4f}", result.path))


def parse_birdnet(lines: Iterable[str], where: str = "the table") -> list[DetectResult]:
    """Read BirdNET-Analyzer's CSV, with or without its byte order mark."""
    table = Table(lines, ",", BIRDNET, where)

    def read(row: dict[str, str]) -> tuple[str, Event]:
        label = label_of(row["Scientific name"], row["Common name"])
        return row["File"], event_of(row["Start (s)"], row["End (s)"], label, row["Confidence"], table.place, where)

    return grouped(map(read, table))


def dump_kaleidoscope(results: Iterable[DetectResult]) -> Iterator[str]:
    """Yield the CSV that Kaleidoscope opens: folder, file, offset and duration; what is not known is -1."""
    yield _line(KALEIDOSCOPE)
    for result in results:
        path = PurePath(result.path)
        folder, outer = path.parent.name, str(path.parent.parent) if path.parent.name else ""
        position = {} if result.origin is None else result.origin.position
        place = [position.get(name, _UNKNOWN) for name in ("latitude", "longitude")]
        for event in result.events:
            times = (str(rounded(event.onset)), str(rounded(event.offset - event.onset)))
            names = (*names_of(event.label), f"{event.score:.4f}")
            yield _line((outer, folder, path.name, *times, *names, *place, _UNKNOWN, _UNKNOWN, _UNKNOWN))


def parse_kaleidoscope(lines: Iterable[str], where: str = "the table") -> list[DetectResult]:
    """Read what ``dump_kaleidoscope`` and BirdNET-Analyzer write."""
    table = Table(lines, ",", KALEIDOSCOPE[:8], where)

    def read(row: dict[str, str]) -> tuple[str, Event]:
        label = label_of(row["scientific_name"], row["common_name"])
        offset = _sum(row["OFFSET"], row["DURATION"], table.place, where)
        path = str(PurePath(row["INDIR"], row["FOLDER"], row["IN FILE"]))
        return path, event_of(row["OFFSET"], offset, label, row["confidence"], table.place, where)

    return grouped(map(read, table))


def dump_rttm(results: Iterable[DetectResult]) -> Iterator[str]:
    """Yield RTTM (NIST, Rich Transcription): type, file, channel, onset, duration, two blanks, name, score, blank."""
    for result in results:
        name = _word(PurePath(result.path).stem or "-")
        for event in result.events:
            times = f"{event.onset:.3f} {event.offset - event.onset:.3f}"
            named = f"<NA> <NA> {_word(event.label)} {rounded(event.score)} <NA>"
            yield f"SPEAKER {name} {1 if result.channel is None else result.channel} {times} {named}\n"


def parse_rttm(lines: Iterable[str], where: str = "the RTTM") -> list[DetectResult]:
    """Read RTTM: its SPEAKER lines; a score of ``<NA>`` is 1."""
    return grouped(_rttm_rows(lines, where))


def _rttm_rows(lines: Iterable[str], where: str) -> Iterator[tuple[str, Event]]:
    for number, line in enumerate(lines, 1):
        fields, place = line.split(), f"line {number}"
        if not fields or fields[0] != "SPEAKER":
            continue
        if len(fields) < _RTTM_FIELDS - 1:
            problem = f"{place}: {len(fields)} fields where RTTM has {_RTTM_FIELDS}"
            raise DataError(f"{where} cannot be read", [problem])
        name, onset, length, label, score = (fields[i] for i in (1, 3, 4, 7, 8))
        offset = _sum(onset, length, place, where)
        yield name, event_of(onset, offset, label, "1" if score == "<NA>" else score, place, where)


def _sum(onset: str, length: str, place: str, where: str) -> str:
    """Return the end of what begins at ``onset`` and lasts ``length``."""
    try:
        return str(round(float(onset) + float(length), 9))
    except ValueError as error:
        raise DataError(f"{where} cannot be read", [f"{place}: {error}"]) from error


def _word(text: str) -> str:
    """Return text as one field of RTTM."""
    return re.sub(r"\s+", "_", text.strip()) or "-"


def _line(cells: Iterable[object]) -> str:
    """Return a CSV line: quotes only where they are needed; text that a spreadsheet would run gets a ``'`` in front."""
    texts = [escape_cell(cell) if isinstance(cell, str) else str(cell) for cell in cells]
    quoted = [f'"{text.replace(chr(34), chr(34) * 2)}"' if re.search(r'[",\r\n]', text) else text for text in texts]
    return ",".join(quoted) + "\n"
