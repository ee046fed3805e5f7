# SPDX-License-Identifier: Apache-2.0
"""``auricle data import``: any readable data set into NumPy files with a table of soft labels.

What is written is the format ``numpy``: ``.npy`` files of waveforms ``(time,)`` or log-mels ``(mel, frame)``,
``labels.csv``, and ``features.json``, which says what the arrays hold. The table comes after the arrays and the
description last, so that an interrupted import is never taken for a whole one. Where labels say when, the tables are
those of the format ``desed`` instead of ``labels.csv``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from auricle.cells import escape_cell
from auricle.data.arrays import FEATURES_FILE
from auricle.data.clip_audio import read_clip
from auricle.data.formats.desed_tables import write_labels
from auricle.data.manifest import Clip, Manifest
from auricle.data.soft_labels import EXTRA_COLUMNS
from auricle.data.tables import PATH_COLUMNS
from auricle.errors import DataError, InputError
from auricle.files import atomic_write, write_json
from auricle.output_folder import OutputFolder
from auricle.registry import shorten
from auricle.results import Failure, FloatArray, failure_rows, rounded

LABELS_FILE = "labels.csv"
DEFAULT_SAMPLE_RATE = 16_000
#: Makes features of a waveform: ``(samples (time,), sample_rate) -> (mel, frame)``.
FeatureFunction = Callable[[FloatArray, int], FloatArray]


@dataclass(frozen=True)
class ImportReport:
    """What an import left behind.

    Attributes:
        path: the folder written.
        clips: how many clips it holds.
        failures: key of each clip that could not be read, with the reason.
    """

    path: str
    clips: int
    failures: Mapping[str, Failure]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle data import``."""
        return {"path": self.path, "clips": self.clips, "failures": failure_rows(self.failures)}


def import_dataset(
    manifest: Manifest,
    out_dir: str | Path,
    *,
    sample_rate: int = DEFAULT_SAMPLE_RATE,
    features: FeatureFunction | None = None,
    frontend: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Write a data set in the format ``numpy``.

    Args:
        manifest: what to convert; its labels, folds, splits and groups go along.
        out_dir: a new or empty folder.
        sample_rate: of the waveforms, or of the audio that ``features`` is given, in Hz.
        features: makes log-mels; None writes waveforms.
        frontend: the settings of ``features``, by the names of a recipe; needed with it.
        progress: called with (done, total).

    Raises:
        RunError: the folder is not empty.
        DataError: a class named like a column of the table, or not one clip that could be read.
        ValueError: ``features`` without ``frontend``, the other way round, or features that are no log-mel.
    """
    if (features is None) != (frontend is None):
        raise ValueError("features and frontend belong together: give both, or none for waveforms")
    _check_names(manifest)
    out = Path(out_dir)
    OutputFolder(out).require_new()
    out.mkdir(parents=True, exist_ok=True)
    names = _file_names(manifest.clips)
    failures: dict[str, Failure] = {}
    done: list[int] = []
    durations: list[float] = []
    for i, clip in enumerate(manifest.clips):
        try:
            values, duration = _values(clip, manifest, sample_rate, features)
            _write_array(out / names[i], values)
            done.append(i)
            durations.append(duration)
        except InputError as error:
            failures[clip.key] = Failure(error.code, error.message)
        if progress is not None:
            progress(i + 1, len(manifest))
    if not done:
        causes = (f"{key}: {failure.message}" for key, failure in failures.items())
        raise DataError(f"no clip of {manifest.root} could be read", [shorten(causes)])
    written = manifest.select(done)
    if written.strong:
        write_labels(out, written.clips, [names[i] for i in done], durations)
    else:
        _write_labels(out / LABELS_FILE, written, [names[i] for i in done])
    description = {
        "kind": "waveform" if features is None else "logmel",
        "sample_rate": sample_rate,
        "frontend": None if frontend is None else dict(frontend),
        "labels": list(manifest.labels),
        "task": manifest.task,
    }
    write_json(out / FEATURES_FILE, description)
    return ImportReport(str(out), len(done), failures)


def _check_names(manifest: Manifest) -> None:
    """Refuse classes that the table could not tell from its own columns."""
    reserved = {*PATH_COLUMNS, *EXTRA_COLUMNS, "label", "category"}
    unwritable = [ascii(label) for label in manifest.labels if label != label.encode(errors="replace").decode()]
    if unwritable:
        text = f"classes {', '.join(unwritable)} are not Unicode and cannot stand in {LABELS_FILE}; rename them"
        raise DataError(f"{manifest.root} cannot be imported", [text])
    clashes = [label for label in manifest.labels if label in reserved]
    if clashes:
        text = f"classes named {', '.join(map(repr, clashes))} would be taken for columns of {LABELS_FILE}; rename them"
        raise DataError(f"{manifest.root} cannot be imported", [text])


def _file_names(clips: Sequence[Clip]) -> list[str]:
    """Return a file name for each clip: its key made safe, with the segment if it is one, each name once."""
    names: list[str] = []
    taken: set[str] = set()
    for clip in clips:
        parts = [_safe(part) for part in PurePosixPath(clip.key).with_suffix("").parts if part not in ("..", "/")]
        stem = "/".join(parts)
        if clip.onset is not None or clip.offset is not None:
            end = "end" if clip.offset is None else f"{clip.offset:.3f}"
            stem += f"_{clip.segment[1]:.3f}-{end}"
        name, number = stem, 2
        while name.casefold() in taken:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name.casefold())
        names.append(f"{name}.npy")
    return names


def _safe(part: str) -> str:
    """Return a path part that no file system, table or shell takes for something else."""
    readable = part.encode("utf-8", "replace").decode("utf-8")
    cleaned = re.sub(r'[\x00-\x1f\x7f<>:"|?*\\;,\']', "_", readable)
    return re.sub(r"^[-=+@.]", "_", cleaned)


def _values(
    clip: Clip, manifest: Manifest, sample_rate: int, features: FeatureFunction | None
) -> tuple[FloatArray, float]:
    """Return what to store for a clip, and how long it is in seconds."""
    arrays = manifest.arrays
    if clip.is_array and arrays is not None and arrays.kind == "logmel":
        raise InputError("bad_array", f"{clip.key} is a log-mel already; import from the audio")
    audio = read_clip(clip, arrays, sample_rate=sample_rate)
    if features is None:
        return audio.samples, audio.duration
    logmel = np.ascontiguousarray(features(audio.samples, sample_rate), np.float32)
    if logmel.ndim != 2 or not np.isfinite(logmel).all():
        raise ValueError(f"features made shape {logmel.shape} of {clip.key}; expected finite (mel, frame)")
    return logmel, audio.duration


def _write_array(path: Path, values: FloatArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)

    def write(file: BinaryIO) -> None:
        np.save(file, values, allow_pickle=False)

    atomic_write(path, write)


def _write_labels(path: Path, manifest: Manifest, names: Sequence[str]) -> None:
    """Write the table: file, classes, and the columns that at least one clip fills."""
    targets = manifest.targets()
    extras = [c for c in EXTRA_COLUMNS if any(getattr(clip, c) is not None for clip in manifest.clips)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([escape_cell(cell) for cell in ("filename", *manifest.labels, *extras)])
    for clip, name, row in zip(manifest.clips, names, targets, strict=True):
        rest = [getattr(clip, column) for column in extras]
        values = [f"{rounded(float(value)):g}" for value in row]
        writer.writerow([escape_cell(name), *values, *("" if cell is None else escape_cell(cell) for cell in rest)])
    atomic_write(path, text.getvalue().encode())
