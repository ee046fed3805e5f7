# SPDX-License-Identifier: Apache-2.0
"""Labels as text: joined cells, the names that mean *no class*, and the task they make.

Labels stay text whatever they look like: ``NA``, ``007`` and ``null`` are classes like any other.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

Task = Literal["single", "multi"]

#: Joins several labels in one cell of a table.
LABEL_SEPARATOR = ";"

#: Labels that train a model to stay silent and are never output, in any letter case.
NEGATIVES = frozenset({"other", "background", "_negative_"})

#: Characters of the longest cell that is looked at as a list.
_LONGEST_LIST = 10_000

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


def named_part(name: str) -> str | None:
    """Return the part of the data that a name states, if it states exactly one.

    >>> named_part("ASVspoof2019.LA.cm.dev.trl"), named_part("validation"), named_part("train_or_test"), named_part("a")
    ('dev', 'dev', None, None)
    """
    words = re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    parts = {SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES}
    return parts.pop() if len(parts) == 1 else None


def parse_labels(cell: str, separator: str = LABEL_SEPARATOR) -> tuple[str, ...]:
    """Split a cell into its labels: stripped, without empties, sorted, each once. A list ``['a', 'b']`` is split too.

    >>> parse_labels("dog; cat;dog"), parse_labels("['dog', 'cat']")
    (('cat', 'dog'), ('cat', 'dog'))
    """
    listed = _literal_list(cell.strip())
    parts = cell.split(separator) if listed is None else listed
    return tuple(sorted({part.strip() for part in parts} - {""}))


def _literal_list(cell: str) -> list[str] | None:
    """Return the texts of a list as Python and JSON write it, or None for anything else."""
    if not (cell.startswith("[") and cell.endswith("]")) or len(cell) > _LONGEST_LIST:
        return None
    try:
        value = ast.literal_eval(cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def find_separator(cells: Sequence[str]) -> tuple[str, str | None]:
    """Return what joins labels in the cells of a column, and what to tell the user about it.

    A semicolon always does, and a bar. Commas do where they look like it: where none has a space after it, or where a
    label that they would part stands in other company, too.
    """
    for separator in (LABEL_SEPARATOR, "|"):
        if any(separator in cell for cell in cells):
            return separator, None if separator == LABEL_SEPARATOR else "labels are split at '|'"
    joined = sorted({cell for cell in cells if "," in cell and _literal_list(cell.strip()) is None})
    if not joined:
        return LABEL_SEPARATOR, None
    company = Counter(part for cell in set(cells) for part in parse_labels(cell, ","))
    shared = any(company[part] > 1 for cell in joined for part in parse_labels(cell, ","))
    count = sum("," in cell for cell in cells)
    if shared or not any(", " in cell for cell in joined):
        text = f"labels are split at ',' ({count} cells, such as {joined[0]!r}); where a comma belongs to a label, join"
        return ",", f"{text} several with ';'"
    text = f"{count} labels hold a comma, such as {joined[0]!r}, and are taken whole: several labels are joined with"
    return LABEL_SEPARATOR, f"{text} ';', or with ',' without a space"


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


def invisible_character(label: str) -> str | None:
    r"""Return the first character of a label that cannot be seen or printed, by code and name; None if there is none.

    >>> invisible_character("barn\u00a0owl"), invisible_character("barn owl")
    ('U+00A0 (no-break space)', None)
    """
    for character in label:
        if not character.isprintable():
            name = unicodedata.name(character, "control character").lower()
            return f"U+{ord(character):04X} ({name})"
    return None


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
