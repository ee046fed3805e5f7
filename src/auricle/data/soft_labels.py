# SPDX-License-Identifier: Apache-2.0
"""Soft labels in a table: ``filename`` and one column a class, values in [0, 1].

Classes are joined by *name* and files by *name*, never by position: two teachers need not agree on an order.
Nothing is renormalised. Columns named ``fold``, ``split``, ``group`` are those, and columns named as
negatives (``other``) carry the mass of *no class*: they count in a row's sum and are no class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from auricle.data.labels import Task, is_negative
from auricle.data.manifest import Manifest
from auricle.data.problems import Problems
from auricle.data.tables import PATH_COLUMNS, Table, pick_column, read_table
from auricle.errors import DataError
from auricle.registry import nearest, shorten
from auricle.results import FloatArray

#: How far the sum of a row may be from 1 where one class a clip is meant.
SUM_TOLERANCE = 1e-3
#: Rows that miss that are a fault in a table of distributions up to this share; beyond, the task is multi.
MAX_STRAY_SHARE = 0.1
EXTRA_COLUMNS = ("fold", "split", "group")


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """A checked table of soft labels.

    Attributes:
        path: where it was read from.
        names: the file of each row, as listed.
        lines: the line of each row.
        labels: the classes, sorted.
        values: in [0, 1], shape ``(row, label)``.
        sums: of each row, with the columns of negatives, shape ``(row,)``.
        task: ``single`` where all rows are distributions (or all zero), else ``multi``.
        extra: the columns ``fold``, ``split``, ``group`` where present.
        notes: what the user should be told about the reading.
    """

    path: Path
    names: tuple[str, ...]
    lines: tuple[int, ...]
    labels: tuple[str, ...]
    values: FloatArray
    sums: FloatArray
    task: Task
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def ordered(self, labels: Sequence[str]) -> FloatArray:
        """Return the values with the columns in the order of ``labels``; absent ones are zero."""
        matrix = np.zeros((len(self.names), len(labels)), np.float32)
        for column, label in enumerate(labels):
            if label in self.labels:
                matrix[:, column] = self.values[:, self.labels.index(label)]
        return matrix

    def stray_rows(self) -> list[str]:
        """Return a line for each row that is neither a distribution nor all zero."""
        return [
            f"line {self.lines[i]}: the values sum to {self.sums[i]:.6g}, not to 1 (tolerance {SUM_TOLERANCE:g}); "
            "normalise them where they are made, or set task: multi"
            for i in np.flatnonzero(_stray(self.sums))
        ]


def _stray(sums: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    # The tolerance is stated in decimals, so a sum of 1.001 in float32 must not fail by its last bit.
    return np.asarray((np.abs(sums - 1) > SUM_TOLERANCE + 1e-6) & (sums != 0))


def _parse_value(text: str) -> float | str:
    """Return a cell as a number in [0, 1], or why it is none."""
    try:
        value = float(text)
    except ValueError:
        return "is no number; write the decimal point as '.'" if "," in text else "is no number"
    return value if 0 <= value <= 1 else "is outside [0, 1]"


def _parse_values(table: Table, columns: Sequence[str], problems: Problems) -> FloatArray:
    """Return the cells of ``columns`` as numbers, shape ``(row, column)``; notes each bad one with its line."""
    indices = [table.columns.index(name) for name in columns]
    values = np.zeros((len(table.rows), len(columns)), np.float64)
    for i, (line, row) in enumerate(zip(table.lines, table.rows, strict=True)):
        for j, index in enumerate(indices):
            value = _parse_value(row[index])
            if isinstance(value, str):
                problems.add("value", f"line {line}: {columns[j]!r} = {row[index]!r} {value}")
            else:
                values[i, j] = value
    return values.astype(np.float32)


def _class_columns(table: Table, path_column: str | None, problems: Problems) -> list[str]:
    """Return the columns that hold values: all but the path and the known extras."""
    if "" in table.columns:
        problems.add("columns", "a column has no name; write the table without its index (pandas: index=False)")
    columns = [c for c in table.columns if c and c != path_column and c not in EXTRA_COLUMNS]
    if all(is_negative(c) for c in columns):
        problems.add("columns", f"no column of a class; found: {', '.join(map(repr, table.columns))}")
    return columns


def _decide_task(soft: SoftLabels, task: str, problems: Problems) -> Task:
    """Return the task of a table; rows that contradict it are problems, never normalised in silence."""
    stray = _stray(soft.sums)
    if task == "multi" or (task == "auto" and not stray.any()):
        return "multi" if task == "multi" else "single"
    hard_rows = np.isin(soft.values, (0, 1)).all(axis=1)
    several = bool((hard_rows & (soft.values.sum(axis=1) > 1)).any())
    if task == "auto" and (several or stray.mean() > MAX_STRAY_SHARE):
        return "multi"
    problems.extend("sum", soft.stray_rows())
    return "single"


def read_soft_labels(
    path: str | Path, *, task: str = "auto", encoding: str | None = None, delimiter: str | None = None
) -> SoftLabels:
    """Read a table of soft labels.

    Args:
        path: CSV or TSV.
        task: ``single`` demands rows that sum to 1 (or are all zero: no class), ``auto`` finds out.
        encoding: of the table; UTF-8 if None.
        delimiter: of the table; the header decides if None.

    Raises:
        DataError: with every bad value, row and column.
    """
    path = Path(path)
    table = read_table(path, encoding=encoding, delimiter=delimiter)
    problems = Problems()
    path_column = pick_column(table.columns, PATH_COLUMNS, problems)
    columns = _class_columns(table, path_column, problems)
    problems.stop_if_any(f"{path.name} cannot be used as soft labels")
    everything = _parse_values(table, columns, problems)
    labels = tuple(sorted(c for c in columns if not is_negative(c)))
    soft = SoftLabels(
        path,
        names=tuple(table.column(str(path_column))),
        lines=table.lines,
        labels=labels,
        values=everything[:, [columns.index(label) for label in labels]],
        sums=everything.sum(axis=1, dtype=np.float64).astype(np.float32),
        task="multi",
        extra={c: tuple(table.column(c)) for c in EXTRA_COLUMNS if c in table.columns},
        notes=table.notes,
    )
    if not problems:
        soft = replace(soft, task=_decide_task(soft, task, problems))
    problems.stop_if_any(f"{path.name} cannot be used as soft labels")
    return soft


def _names_to_rows(soft: SoftLabels, problems: Problems) -> dict[str, int]:
    """Return the row of each file name, by its plain path; a file that stands twice is a problem."""
    rows: dict[str, int] = {}
    for i, name in enumerate(soft.names):
        key = str(PurePosixPath(name.replace("\\", "/")))
        if key in rows:
            problems.add("repeat", f"lines {soft.lines[rows[key]]} and {soft.lines[i]}: {name!r} stands twice")
        rows[key] = i
    return rows


def _unique_stems(paths: Sequence[str]) -> dict[str, str]:
    """Return paths by their base name without ending, where that is unique."""
    stems: dict[str, list[str]] = {}
    for path in paths:
        stems.setdefault(PurePosixPath(path).stem, []).append(path)
    return {stem: found[0] for stem, found in stems.items() if len(found) == 1}


def _check_join(manifest: Manifest, soft: SoftLabels, problems: Problems) -> None:
    """Note classes that only one side has, rows that are no distributions, and segments."""
    for label in sorted(set(soft.labels) - set(manifest.labels)):
        problems.add("class", f"column {label!r} is no class of the data{nearest(label, manifest.labels)}")
    for label in sorted(set(manifest.labels) - set(soft.labels)):
        problems.add("class", f"class {label!r} has no column{nearest(label, soft.labels)}")
    if manifest.task == "single":
        problems.extend("sum", soft.stray_rows())
    if any(clip.onset is not None or clip.offset is not None for clip in manifest.clips):
        problems.add("segment", "the data has segments of files, and these soft labels are for whole files")


def attach_soft_labels(manifest: Manifest, soft: SoftLabels) -> Manifest:
    """Return the manifest with the soft labels of its files, joined by file name and by class name.

    A file is found by its path as listed, else by its base name without ending where that is
    unique on both sides (``audio/1-17.wav`` takes the row ``1-17.npy``). Clips without a row keep
    their hard labels alone; ``notes`` says how many.

    Raises:
        DataError: with classes that differ, files that stand twice, and rows that fit nothing.
    """
    problems = Problems()
    rows = _names_to_rows(soft, problems)
    _check_join(manifest, soft, problems)
    problems.stop_if_any(f"{soft.path.name} does not fit the data")
    values = soft.ordered(manifest.labels)
    row_stems, clip_stems = _unique_stems(list(rows)), _unique_stems([clip.key for clip in manifest.clips])
    clips, without = [], []
    for clip in manifest.clips:
        stem = PurePosixPath(clip.key).stem
        row = rows.get(clip.key)
        if row is None and stem in clip_stems and stem in row_stems:
            row = rows[row_stems[stem]]
        if row is None:
            without.append(clip.key)
            clips.append(clip)
        else:
            clips.append(replace(clip, targets=values[row], kind="soft" if clip.kind == "soft" else "both"))
    if len(without) == len(clips):
        text = f"no file of the data is listed; listed: {shorten(soft.names)}; data: {shorten(without)}"
        raise DataError(f"{soft.path.name} does not fit the data", [text])
    notes = [*manifest.notes, *soft.notes]
    if without:
        notes.append(f"{len(without)} of {len(clips)} clips have no soft label: {shorten(without)}")
    return replace(manifest, clips=tuple(clips), notes=tuple(notes))
