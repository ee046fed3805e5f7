# SPDX-License-Identifier: Apache-2.0
"""Labels of a project in the formats of other programs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from auricle.errors import UsageError
from auricle.events.formats import dump_audacity, dump_csv
from auricle.events.raven import dump_raven
from auricle.files import printable
from auricle.results import DetectResult, Event
from auricle.studio.labels import Label
from auricle.studio.recordings import Recording

ExportFormat: TypeAlias = Literal["csv", "raven", "audacity", "json"]
FORMATS = get_args(ExportFormat)
#: Name and media type of each download.
DOWNLOADS = {
    "csv": ("labels.csv", "text/csv; charset=utf-8"),
    "json": ("labels.json", "application/json"),
    "raven": ("labels-raven.zip", "application/zip"),
    "audacity": ("labels-audacity.zip", "application/zip"),
}
_SUFFIX = {"raven": ".selections.txt", "audacity": ".txt"}
_MORE = ("verdict", "source", "by", "at", "low_hz", "high_hz")


def export_labels(labels: Sequence[Label], recordings: Mapping[int, Recording], format: str) -> bytes:
    """Return labels as a file.

    ``csv`` and ``json`` have every verdict. ``raven`` and ``audacity`` have what was confirmed, a file for each
    recording in a zip whose tree is that of the folder.

    Args:
        labels: of the project.
        recordings: by number; paths of others are as they were.
        format: ``csv``, ``json``, ``raven`` or ``audacity``.

    Raises:
        UsageError: another format.
    """
    if format not in FORMATS:
        raise UsageError(f"format {format!r}: expected {', '.join(FORMATS)}")
    if format == "json":
        return (json.dumps({"labels": [label.to_dict() for label in labels]}, ensure_ascii=False) + "\n").encode()
    ordered = sorted(labels, key=lambda label: (label.path, label.onset, label.offset, label.id))
    if format == "csv":
        results = [DetectResult(label.path, None, events=(_event(label),)) for label in ordered]
        cells = dict(zip(map(id, results), ordered, strict=True))
        rows = dump_csv(results, _MORE, lambda result, _event: [_cell(cells[id(result)], name) for name in _MORE])
        return "".join(rows).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in dict.fromkeys(label.recording for label in ordered):
            own = [label for label in ordered if label.recording == number and label.verdict == "yes"]
            if not own:
                continue
            known = recordings.get(number)
            result = DetectResult(own[0].path if known is None else known.file, None, events=tuple(map(_event, own)))
            lines = dump_raven([result]) if format == "raven" else dump_audacity([result])
            archive.writestr(
                printable(own[0].path) + _SUFFIX[format], "".join(lines).encode("utf-8", "backslashreplace")
            )
    return buffer.getvalue()


def _event(label: Label) -> Event:
    return Event(label.label, label.onset, label.offset, 1.0 if label.score is None else label.score)


def _cell(label: Label, name: str) -> object:
    value = getattr(label, name)
    return "" if value is None else value
