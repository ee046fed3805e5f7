# SPDX-License-Identifier: Apache-2.0
"""Labels as text: joined cells, the names that mean *no class*, and the task they make.

Labels stay text whatever they look like: ``NA``, ``007`` and ``null`` are classes like any other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import Literal

Task = Literal["single", "multi"]

#: Joins several labels in one cell of a table.
LABEL_SEPARATOR = ";"

#: Labels that train a model to stay silent and are never output, in any letter case.
NEGATIVES = frozenset({"other", "background", "_negative_"})

#: Names of the parts of a data set, and what people call them.
SPLIT_ALIASES = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "development": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}


def is_negative(label: str) -> bool:
    """Tell whether a label means *no class*.

    >>> is_negative("Background"), is_negative("dog")
    (True, False)
    """
    return label.casefold() in NEGATIVES


def parse_labels(cell: str) -> tuple[str, ...]:
    """Split a cell into its labels: stripped, without empties, sorted, each once.

    >>> parse_labels("dog; cat;dog")
    ('cat', 'dog')
    """
    return tuple(sorted({part.strip() for part in cell.split(LABEL_SEPARATOR)} - {""}))


def separate_negatives(labels: Collection[str]) -> tuple[tuple[str, ...], bool]:
    """Return the classes among ``labels``, and whether a negative stood among them.

    Raises:
        ValueError: a negative stands beside a class, which contradicts itself.
    """
    classes = tuple(label for label in labels if not is_negative(label))
    negative = len(classes) < len(labels)
    if negative and classes:
        name = next(label for label in labels if is_negative(label))
        raise ValueError(f"{name!r} means no class and cannot stand beside {classes[0]!r}; keep one of them")
    return classes, negative


def task_of(label_sets: Iterable[Collection[str]]) -> Task:
    """Return ``single`` when no clip has several labels, else ``multi``."""
    return "multi" if any(len(labels) > 1 for labels in label_sets) else "single"


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that differ only in case, white space or Unicode form."""
    groups: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        folded = " ".join(unicodedata.normalize("NFC", name).casefold().split())
        groups.setdefault(folded, []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sorting key under which ``fold10`` comes after ``fold9``."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts if part)
