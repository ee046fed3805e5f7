# SPDX-License-Identifier: Apache-2.0
"""The forms a data set can have on disk, how each is recognised, and the one function that reads them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auricle.data.formats.asvspoof import looks_like_asvspoof, read_asvspoof_form
from auricle.data.formats.csv import looks_like_csv, read_csv_form, tables_in
from auricle.data.formats.desed import looks_like_desed, read_desed_form
from auricle.data.formats.draft import MAX_MISSING, ReadOptions
from auricle.data.formats.folders import looks_like_folders, read_folders_form
from auricle.data.formats.labelfiles import looks_like_labelfiles, read_labelfiles_form
from auricle.data.formats.numpy import looks_like_numpy, read_numpy_form
from auricle.data.manifest import Manifest
from auricle.data.paths import suffixes_seen
from auricle.errors import DataError, UsageError
from auricle.recipe.requests import DataSource
from auricle.registry import Registry


@dataclass(frozen=True)
class Form:
    """One way to lay out a data set.

    Attributes:
        recognise: tells from a path whether this form lies there.
        read: reads it, or raises ``DataError`` with all problems.
    """

    recognise: Callable[[Path, ReadOptions], bool]
    read: Callable[[Path, ReadOptions], Manifest]


FORMS: Registry[Form] = Registry("data format")
FORMS.add("asvspoof", Form(looks_like_asvspoof, read_asvspoof_form))
FORMS.add("csv", Form(looks_like_csv, read_csv_form))
FORMS.add("desed", Form(looks_like_desed, read_desed_form))
FORMS.add("labelfiles", Form(looks_like_labelfiles, read_labelfiles_form))
FORMS.add("numpy", Form(looks_like_numpy, read_numpy_form))
FORMS.add("folders", Form(looks_like_folders, read_folders_form))

#: The order in which forms are tried.
RECOGNITION_ORDER = ("asvspoof", "csv", "desed", "labelfiles", "numpy", "folders")


def recognise_form(path: Path, options: ReadOptions | None = None) -> str:
    """Return the name of the form that lies at ``path``.

    Raises:
        DataError: nothing lies there, or nothing that is known; says what was seen.
    """
    options = ReadOptions() if options is None else options
    if not path.exists():
        raise DataError(f"{path} cannot be read", ["no such file or folder"])
    for name in RECOGNITION_ORDER:
        if FORMS.get(name).recognise(path, options):
            return name
    if path.is_file() or tables_in(path):
        return "csv"  # a table that lacks something: reading it says what
    seen = suffixes_seen(str(p) for p in path.rglob("*") if p.is_file()) or "nothing"
    expected = (
        "expected class folders, or a .csv with path and label, or a .tsv with filename, onset, offset, event_label, "
        "or label files beside the audio, or .npy files with a table of soft labels"
    )
    raise DataError(f"{path} is no data set that auricle knows", [f"seen: {seen}; {expected}"])


def read_manifest(
    path: str | Path,
    *,
    data_format: str = "auto",
    task: str = "auto",
    labels: Sequence[str] | None = None,
    sample_rate: int | None = None,
    frontend: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    follow_links: bool = False,
    max_missing: float = MAX_MISSING,
) -> Manifest:
    """Read a data set of any form without decoding anything.

    Args:
        path: a folder or a table.
        data_format: name of a form; ``auto`` tries them in ``RECOGNITION_ORDER``.
        task: ``single``, ``multi`` or ``auto``.
        labels: the only classes allowed, in this order (a model's, when it is evaluated).
        sample_rate: of ``.npy`` waveforms without ``features.json``, in Hz.
        frontend: front end that stored log-mels must match.
        encoding: of tables; UTF-8 if None.
        delimiter: of tables; the header decides if None.
        follow_links: follow symbolic links that lead out of class folders.
        max_missing: share of listed files that may be absent.

    Raises:
        UsageError: an unknown form or task.
        DataError: with all problems at once.
    """
    if task not in ("auto", "single", "multi"):
        raise UsageError(f"unknown task {task!r}; known: auto, single, multi")
    options = ReadOptions(
        task=task,
        labels=None if labels is None else tuple(labels),
        encoding=encoding,
        delimiter=delimiter,
        sample_rate=sample_rate,
        frontend=frontend,
        follow_links=follow_links,
        max_missing=max_missing,
    )
    path = Path(path)
    if data_format != "auto":
        form = FORMS.get(data_format)
        if not path.exists():
            raise DataError(f"{path} cannot be read", ["no such file or folder"])
        return form.read(path, options)
    return FORMS.get(recognise_form(path, options)).read(path, options)


def read_source(source: DataSource, *, task: str = "auto", labels: Sequence[str] | None = None) -> Manifest:
    """Read a data set from where a request says it lies; see ``read_manifest``."""
    return read_manifest(
        source.path, data_format=source.format, sample_rate=source.sample_rate, task=task, labels=labels
    )
