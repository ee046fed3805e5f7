# SPDX-License-Identifier: Apache-2.0
"""Which of a teacher's classes mean which of the user's: a table ``label,teacher``, one pair a line.

    label,teacher
    dog,Dog
    dog,Bark
    sea_waves,"Waves, surf"

A class with several lines takes the highest of their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from auricle.data.problems import Problems
from auricle.data.tables import read_table
from auricle.registry import nearest

COLUMNS = ("label", "teacher")


def read_label_map(path: Path, teacher: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Read a map and check it against the teacher's classes.

    Args:
        path: CSV or TSV with the columns ``label`` and ``teacher``.
        teacher: classes of the teacher; names are compared without regard to case.

    Returns:
        The user's classes, sorted, each with the teacher's classes that mean it.

    Raises:
        DataError: with every line that names no class of the teacher.
    """
    table = read_table(path)
    problems = Problems()
    for name in COLUMNS:
        if name not in table.columns:
            problems.add("columns", f"no column {name!r}; found: {', '.join(map(repr, table.columns))}")
    problems.stop_if_any(f"{path.name} cannot be used as a label map")
    known = {name.casefold(): name for name in teacher}
    found: dict[str, list[str]] = {}
    for line, label, name in zip(table.lines, table.column("label"), table.column("teacher"), strict=True):
        if name.casefold() in known:
            found.setdefault(label, []).append(known[name.casefold()])
        else:
            problems.add("class", f"line {line}: {name!r} is no class of the teacher{nearest(name, teacher)}")
    problems.stop_if_any(f"{path.name} cannot be used as a label map")
    return {label: tuple(dict.fromkeys(found[label])) for label in sorted(found)}


def same_names(labels: Sequence[str], teacher: Sequence[str]) -> dict[str, tuple[str, ...]] | None:
    """Return the map of classes that the teacher knows by the same names (case aside), or None if it lacks one."""
    known = {name.casefold(): name for name in teacher}
    if not all(label.casefold() in known for label in labels):
        return None
    return {label: (known[label.casefold()],) for label in labels}
