# SPDX-License-Identifier: Apache-2.0
"""What leaves a project: labels in the formats of other programs, confirmed sounds as files, a table to train on."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from auricle.audio.cutouts import CutoutOptions, write_cutouts
from auricle.errors import InputError, UsageError
from auricle.events.formats import dump_audacity, dump_csv
from auricle.events.raven import dump_raven
from auricle.files import atomic_write, printable
from auricle.results import DetectResult, Event, rounded
from auricle.studio.labels import Label
from auricle.studio.recordings import Recording
from auricle.studio.teaching import TooFewError, regions_of

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


def cut_out_labels(
    labels: Sequence[Label], recording_of: Callable[[int], Recording], options: CutoutOptions
) -> dict[str, Any]:
    """Write the sound of each label as a file.

    Args:
        labels: confirmed ones.
        recording_of: returns a recording by its number, or raises ``InputError``.
        options: where to and how.

    Returns:
        ``folder``, ``files`` and ``skipped``: recordings that could not be read.

    Raises:
        TooFewError: there is no label.
    """
    if not labels:
        raise TooFewError("nothing was confirmed yet: there is nothing to cut out")
    files, skipped = 0, []
    for number in dict.fromkeys(item.recording for item in labels):
        own = [item for item in labels if item.recording == number]
        try:
            recording = recording_of(number)
            files += len(write_cutouts(recording.file, recording.path, [_event(x) for x in own], options))
        except InputError as error:
            skipped.append({"path": own[0].path, "code": error.code, "message": error.message})
    return {"folder": str(Path(options.folder).resolve()), "files": files, "skipped": skipped}


def write_training_table(path: Path, labels: Sequence[Label], recordings: Mapping[int, Recording]) -> int:
    """Write verdicts as a table for ``auricle train``; returns the number of rows.

    Raises:
        TooFewError: nothing was confirmed yet.
    """
    regions = [region for region in regions_of(labels) if region.recording in recordings]
    if not any(region.classes for region in regions):
        raise TooFewError("no example yet: confirm a sound of a class (verdict yes) before training")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("path", "label", "onset", "offset", "group"))
    for region in regions:
        recording = recordings[region.recording]
        file, label = str(Path(recording.file).resolve()), ";".join(region.classes) or "_negative_"
        writer.writerow((file, label, rounded(region.onset), rounded(region.offset), recording.path))
    atomic_write(path, buffer.getvalue().encode("utf-8", "surrogateescape"))
    return len(regions)
