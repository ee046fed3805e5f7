# SPDX-License-Identifier: Apache-2.0
"""Selection tables of Raven (Cornell Lab of Ornithology): written as Raven writes them, read as it and others do.

Tab-separated, with a header and no quoting; a row is a selection. Of several recordings there is one table, as of a
sequence of files that Raven opens together: begin and end times run on over the files, ``Begin File`` and
``Begin Path`` name the one in which a selection begins, ``File Offset (s)`` is its time in that one. Frequencies are
the band in which something was found: all of the recording's, as far as its header says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePath

import soundfile

from auricle.cells import escape_cell
from auricle.errors import DataError
from auricle.events.event_rows import Table, grouped
from auricle.results import DetectResult, Event, rounded

COLUMNS = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"),
    *("Begin File", "File Offset (s)", "Begin Path", "Label", "Score"),
)
#: The first of these that a selection table has names the sound; Raven leaves the name to its user.
RAVEN_LABELS = ("Label", "label", "Annotation", "annotation", "Common Name", "Species", "species", "Class", "class")
_SCORES = ("Score", "Confidence")
_VIEW = "Spectrogram 1"
#: The height of a selection where the recording's rate is not known, in Hz.
_USUAL_BAND_HZ = 8_000.0


def dump_raven(results: Iterable[DetectResult]) -> Iterator[str]:
    """Yield a selection table, its selections numbered from 1; results of one recording that follow share its time."""
    yield _line(COLUMNS)
    number, before_s, last = 0, 0.0, None
    for result in results:
        if result.error is not None:
            continue
        needed = result.events or result.part is not None
        band_hz, length_s = _header(result.path) if needed else (_USUAL_BAND_HZ, None)
        if last is not None and last[0] != result.path:
            before_s += last[1]
        for event in result.events:
            number += 1
            times = (f"{before_s + event.onset:.6f}", f"{before_s + event.offset:.6f}", "0", f"{band_hz:g}")
            place = (PurePath(result.path).name, f"{event.onset:.6f}", result.path)
            channel = str(1 if result.channel is None else result.channel)
            yield _line((str(number), _VIEW, channel, *times, *place, event.label, str(rounded(event.score))))
        taken_s = result.duration or 0.0
        last = (result.path, taken_s if result.part is None or length_s is None else length_s)


def _header(path: str) -> tuple[float, float | None]:
    """Return half the sample rate of a recording in Hz, and its seconds; usual ones where no header can be read."""
    try:
        info = soundfile.info(path)
    except (OSError, RuntimeError, TypeError, ValueError):
        return _USUAL_BAND_HZ, None
    return float(info.samplerate) / 2, float(info.frames) / info.samplerate


def _line(cells: Iterable[str]) -> str:
    """Return a line of a table that knows no quoting: tabs and line ends in cells would shift columns."""
    return "\t".join(escape_cell(re.sub(r"[\t\r\n]+", " ", cell)) for cell in cells) + "\n"


def parse_raven(lines: Iterable[str], where: str = "the selection table") -> list[DetectResult]:
    """Read a selection table, of auricle, Raven or a program that writes for it.

    The label is the first column of ``RAVEN_LABELS``; a score may be absent. The recording is ``Begin Path``, else
    ``Begin File``, else what the table is called. With ``File Offset (s)``, events begin there: begin times run on over
    the files. Raven writes a selection once for each view, which is one event here.
    """
    table = Table(lines, "\t", ("Begin Time (s)", "End Time (s)"), where, quoted=False)
    label = next((name for name in RAVEN_LABELS if name in table.columns), None)
    if label is None:
        found, known = ", ".join(table.columns), ", ".join(RAVEN_LABELS)
        raise DataError(f"{where} cannot be read", [f"no column of labels ({known}); found {found}"])
    score = next((name for name in _SCORES if name in table.columns), _SCORES[0])
    return grouped(_events(table, label, score, where))


def _events(table: Table, label: str, score: str, where: str) -> Iterator[tuple[str, Event]]:
    """Yield recordings with their events; a selection that comes again, in another view, is left out."""
    seen: set[tuple[str, str, str, Event]] = set()
    for row in table:
        event = _in_its_file(table, row, label, score, where)
        path = row.get("Begin Path", "").strip() or row.get("Begin File", "").strip() or where
        selection = row.get("Selection", "").strip()
        key = (path, selection, row.get("Channel", "").strip(), event)
        if selection and key in seen:
            continue
        seen.add(key)
        yield path, event


def _in_its_file(table: Table, row: dict[str, str], label: str, score: str, where: str) -> Event:
    """Return the event of a row, in the time of its recording."""
    event = table.event(row, "Begin Time (s)", "End Time (s)", label, score)
    offset = row.get("File Offset (s)", "").strip()
    if not offset:
        return event
    try:
        onset = float(offset)
    except ValueError as error:
        raise DataError(f"{where} cannot be read", [f"{table.place}: {error}"]) from error
    if not 0 <= onset < math.inf:
        raise DataError(f"{where} cannot be read", [f"{table.place}: File Offset (s) {offset} must be 0 or more"])
    return replace(event, onset=onset, offset=round(onset + event.offset - event.onset, 9))
