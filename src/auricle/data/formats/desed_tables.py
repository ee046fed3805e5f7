# SPDX-License-Identifier: Apache-2.0
"""Writing the format ``desed``: events, weak labels, durations and other facts as tables with tabs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from auricle.cells import escape_cell
from auricle.data.manifest import Clip
from auricle.errors import DataError
from auricle.files import atomic_write
from auricle.results import Event

EVENTS_FILE, WEAK_FILE, DURATIONS_FILE = "events.tsv", "weak.tsv", "durations.tsv"
_FACTS = ("split", "fold", "group")
_NEGATIVE = "other"


def plain_seconds(value: float) -> str:
    """Return a time with up to six decimals and no more than it needs.

    >>> plain_seconds(1234.5), plain_seconds(3.0)
    ('1234.5', '3')
    """
    return f"{value:.6f}".rstrip("0").rstrip(".")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    """Write a table whose cells tabs separate; a formula or a quote in a cell stays text. Returns its path."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([escape_cell(cell) for cell in row] for row in rows)
    atomic_write(path, text.getvalue().encode())
    return path


def write_events(path: Path, events: Mapping[str, Sequence[Event]]) -> Path:
    """Write the strong labels of recordings by name; one without events has a row that says so. Returns its path."""
    rows: list[tuple[str, ...]] = []
    for name, found in events.items():
        rows += [(name, plain_seconds(e.onset), plain_seconds(e.offset), e.label) for e in found]
        rows += [] if found else [(name, "", "", "")]
    return write_table(path, ("filename", "onset", "offset", "event_label"), rows)


def write_labels(folder: Path, clips: Sequence[Clip], names: Sequence[str], durations: Sequence[float]) -> None:
    """Write all that is known of clips whose files are called ``names``.

    Raises:
        DataError: a weak label holds the comma that joins labels.
    """
    commas = sorted({label for clip in clips if not clip.strong for label in clip.label if "," in label})
    if commas:
        text = f"classes {', '.join(map(repr, commas))} hold a comma, which joins labels in {WEAK_FILE}; rename them"
        raise DataError(f"{folder} cannot be written", [text])
    named = list(zip(clips, names, strict=True))
    weak = [(name, ",".join(clip.label) if clip.label else _NEGATIVE) for clip, name in named if not clip.strong]
    if weak:
        write_table(folder / WEAK_FILE, ("filename", "event_labels"), weak)
    facts = [fact for fact in _FACTS if all(getattr(clip, fact) is not None for clip in clips)]
    rows = [
        (name, plain_seconds(duration), *(getattr(clip, fact) for fact in facts))
        for (clip, name), duration in zip(named, durations, strict=True)
    ]
    write_table(folder / DURATIONS_FILE, ("filename", "duration", *facts), rows)
    write_events(folder / EVENTS_FILE, {name: clip.events for clip, name in named if clip.events is not None})
