# SPDX-License-Identifier: Apache-2.0
"""The format ``numpy``: a folder of ``.npy`` files and a table of soft labels, described by ``features.json``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from auricle.data.arrays import CONVERT_PT, FEATURES_FILE, array_spec, read_features_file
from auricle.data.columns import LABEL_COLUMNS
from auricle.data.formats.draft import Draft
from auricle.data.formats.finder import Finder
from auricle.data.formats.places import columns_of, tables_in
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.labels import Task
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import ARRAY_SUFFIX, Found, regular_size, search_roots
from auricle.data.problems import Problems
from auricle.data.read_options import ReadOptions
from auricle.data.soft_labels import SoftLabels, read_soft_labels
from auricle.data.tables import PATH_COLUMNS, TABLE_SUFFIXES
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import nearest, shorten
from auricle.results import FloatArray

PICKLE_SUFFIXES = frozenset({".pt", ".pth"})
#: From this value on, a soft label of a multi-label clip counts as "it is in there".
PRESENT = 0.5


def _is_soft_table(table: Path, options: ReadOptions) -> bool:
    columns = columns_of(table, options)
    if columns is None:
        return False
    return any(c in columns for c in PATH_COLUMNS) and not any(c in columns for c in LABEL_COLUMNS)


def _holds(folder: Path, suffixes: frozenset[str] | set[str]) -> bool:
    """Tell whether a file with one of the endings lies anywhere below ``folder``."""
    return any(
        os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122
        for _, _, names in os.walk(folder)
        for name in names
    )


def looks_like_numpy(path: Path, options: ReadOptions) -> bool:
    """Recognise arrays (or pickled tensors, to refuse them with advice) beside a table of soft labels."""
    if path.is_file():
        tables, folder = ([path] if path.suffix.lower() in TABLE_SUFFIXES else []), path.parent
    else:
        tables, folder = tables_in(path), path
    if not any(_is_soft_table(table, options) for table in tables):
        return False
    return (folder / FEATURES_FILE).is_file() or _holds(folder, {ARRAY_SUFFIX, *PICKLE_SUFFIXES})


def _find_table(path: Path, options: ReadOptions) -> Path:
    if path.is_file():
        return path
    tables = tables_in(path)
    fitting = [t for t in tables if _is_soft_table(t, options)] or tables
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = shorten((t.name for t in fitting), 5)
        raise DataError(f"{path} holds {len(fitting)} tables", [f"{names}: name the one with the soft labels"])
    raise DataError(
        f"{path} holds no table of soft labels", ["expected one .csv with the column filename and one column a class"]
    )


def _find_array(draft: Draft, place: str, listed: str, finder: Finder) -> Found | None:
    """Return where a listed file lies: as listed, or as the array of that name (``a.wav`` finds ``a.npy``)."""
    found = draft.find(place, listed, finder)
    if found is None:
        return None
    ending = PurePosixPath(found.key).suffix.lower()
    if ending == ARRAY_SUFFIX or (found.size_bytes is not None and ending not in PICKLE_SUFFIXES):
        return found
    known = ending in AUDIO_EXTENSIONS | PICKLE_SUFFIXES
    twin = draft.find(place, (listed[: listed.rindex(".")] if known else listed) + ARRAY_SUFFIX, finder)
    return found if twin is None else twin


def _dominant(values: FloatArray, labels: tuple[str, ...], task: Task) -> tuple[tuple[str, ...], bool]:
    """Return the classes that soft labels point to, and whether they point to none at all."""
    if task == "multi":
        return tuple(labels[i] for i in np.flatnonzero(values >= PRESENT)), not values.any()
    negative = bool(1 - values.sum() > values.max())
    return (() if negative else (labels[int(values.argmax())],)), negative


def _check_labels(soft: SoftLabels, draft: Draft, stated: Sequence[str] | None) -> tuple[str, ...]:
    """Return the classes in their order; the table's must agree by name with those stated and allowed."""
    allowed = draft.options.labels
    for names, where in ((stated, FEATURES_FILE), (allowed, "the model")):
        for label in sorted(set(soft.labels) - set(soft.labels if names is None else names)):
            text = f"column {label!r} is no class of {where}{nearest(label, names or ())}"
            draft.problems.add("class", text)
    for label in sorted(set(stated or ()) - set(soft.labels)):
        draft.problems.add("class", f"class {label!r} of {FEATURES_FILE} has no column{nearest(label, soft.labels)}")
    return soft.labels if allowed is None else allowed


def _read_row(
    draft: Draft, soft: SoftLabels, row: int, labels: tuple[str, ...], values: FloatArray, found: Found
) -> None:
    place = f"line {soft.lines[row]}"
    label, negative = _dominant(values, labels, soft.task)
    hard = bool(np.isin(values, (0, 1)).all())
    extra = {name: cells[row] for name, cells in soft.extra.items()}
    clip = Clip(
        found.key, found.path, tuple(sorted(label)), negative,
        kind="hard" if hard else "soft", targets=None if hard else values,
        fold=extra.get("fold") or None, group=extra.get("group") or None,
        split=draft.split(place, extra["split"]) if "split" in extra else None,
    )  # fmt: skip
    draft.add(place, clip, found)


def _refuse_pickles(draft: Draft) -> None:
    """Explain absent arrays by the pickled tensors that lie in their places."""
    pickles = [
        p
        for p in draft.missing
        if any(regular_size(str(draft.root / p).rpartition(".")[0] + s) is not None for s in PICKLE_SUFFIXES)
    ]
    if pickles:
        text = f"{len(pickles)} files are there as .pt or .pth, pickles that could run code; convert each: {CONVERT_PT}"
        draft.problems.add("pickle", text)
        draft.missing = [p for p in draft.missing if p not in set(pickles)]


def read_numpy(path: Path, options: ReadOptions) -> Manifest:
    """Read arrays with soft labels; raises ``DataError`` with all problems. No array is opened."""
    table = _find_table(path, options)
    folder = table.parent
    features = read_features_file(folder, Problems())
    task = options.task
    if task == "auto" and features is not None and features.task is not None:
        task = features.task
    soft = read_soft_labels(table, task=task, encoding=options.encoding, delimiter=options.delimiter)
    draft = Draft(folder, "numpy", options, notes=list(soft.notes))
    labels = _check_labels(soft, draft, None if features is None else features.labels)
    values = soft.ordered(labels)
    finder = draft.finder(search_roots(folder))
    for row, name in enumerate(soft.names):
        found = _find_array(draft, f"line {soft.lines[row]}", name, finder)
        if found is not None:
            _read_row(draft, soft, row, labels, values[row], found)
    _refuse_pickles(draft)
    arrays = array_spec(folder, draft.problems, sample_rate=options.sample_rate, frontend=options.frontend)
    draft.flag_unlisted(frozenset({ARRAY_SUFFIX}))
    return replace(draft.finish(task=soft.task, labels=labels, arrays=arrays), root=path)


FORMATS.add("numpy", Format(looks_like_numpy, read_numpy, order=70))
