# SPDX-License-Identifier: Apache-2.0
"""Columns of tables by their meaning, whatever a data set calls them, and the times in their cells."""

from __future__ import annotations

import math
from collections.abc import Sequence

from auricle.data.problems import Problems
from auricle.data.tables import PATH_COLUMNS, missing_column

LABEL_COLUMNS = ("label", "category")
#: What data sets call these columns, in any case and with spaces for underscores; the first that a table has counts.
PATH_ALIASES = (
    *("file_name", "fname", "slice_file_name", "file", "filepath", "file_path", "audio_path", "audio_file", "audio"),
    *("wav", "wav_file", "wav_path", "wav_filename", "sound_file", "clip_name", "clip_path", "recording", "audio_name"),
    *("audiofile", "in_file"),
)
LABEL_ALIASES = (
    *(
        "labels",
        "primary_label",
        "class",
        "class_name",
        "classname",
        "class_label",
        "species",
        "common_name",
        "scientific_name",
    ),
    *("manual_id", "manual_id*", "auto_id", "auto_id*", "scene_label", "ebird_code", "label_name", "category_name"),
)
ONSET_ALIASES = ("start", "begin", "start_time", "begin_time", "start_s", "onset_s", "start_seconds", "start_sec")
OFFSET_ALIASES = ("end", "stop", "end_time", "stop_time", "end_s", "offset_s", "end_seconds", "end_sec")


#: Columns of tables that say when; they are read by other formats.
_OF_EVENTS = ("event_label", "event_labels", "start_(s)", "begin_time_(s)")

_OF_KALEIDOSCOPE = ("in_file", "offset", "duration")


def _plain(column: str) -> str:
    return "_".join(column.casefold().split())


def column_called(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column that has the first of ``names``, whatever its case; None if there is none."""
    plain = {_plain(column): column for column in reversed(columns)}
    return next((plain[name] for name in names if name in plain), None)


def chosen_column(columns: Sequence[str], name: str | None) -> str | None:
    """Return the column that a user named: exactly so, else whatever its case and spaces; None if there is none."""
    if name is None or name in columns:
        return name
    return column_called(columns, (_plain(name),))


def named_column(columns: Sequence[str], name: str, problems: Problems) -> str | None:
    """Return the column that a user named; none is a problem, with the list of those there are."""
    column = chosen_column(columns, name)
    if column is None:
        problems.add("columns", missing_column(name, columns))
    return column


def has_labels(columns: Sequence[str] | None, label_column: str | None = None) -> bool:
    """Tell whether columns are those of this format, whose labels may stand in a column that the user named."""
    if columns is None or column_called(columns, (*PATH_COLUMNS, *PATH_ALIASES)) is None:
        return False
    if column_called(columns, _OF_EVENTS) is not None or all(column_called(columns, (n,)) for n in _OF_KALEIDOSCOPE):
        return False
    named = chosen_column(columns, label_column)
    return named is not None or column_called(columns, (*LABEL_COLUMNS, *LABEL_ALIASES)) is not None


def parse_seconds(place: str, name: str, cell: str, problems: Problems) -> float | None:
    """Return a time in seconds, or None for an empty cell; notes what is no time."""
    text = cell.strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        hint = "; write the decimal point as '.'" if "," in text else ""
        problems.add("time", f"{place}: {name} {cell!r} is no number of seconds{hint}")
        return None
    if not math.isfinite(value) or value < 0:
        problems.add("time", f"{place}: {name} {cell!r} must be finite and not negative")
        return None
    return value
