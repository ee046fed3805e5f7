# SPDX-License-Identifier: Apache-2.0
"""What formats share whose labels are one JSON document: which files are looked at, and reading them in bounds."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from auricle.data.formats.places import table_places
from auricle.data.problems import Problems
from auricle.errors import DataError
from auricle.registry import shorten

#: Largest document read.
MAX_BYTES = 1 << 29
_HEAD_BYTES = 16_384
_MOST_FILES = 50


def json_files(path: Path) -> list[Path]:
    """Return the JSON documents at ``path``: the file itself, or those where a folder's tables lie, sorted."""
    found = [p for place in table_places(path) for p in place.iterdir()] if path.is_dir() else [path]
    fitting = (p for p in found if p.suffix.lower() == ".json" and not p.name.startswith(".") and p.is_file())
    return sorted(fitting)[:_MOST_FILES]


def head_of(path: Path) -> str:
    """Return how a document begins, without white space; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(_HEAD_BYTES)
    except OSError:
        return ""
    return "".join(raw.decode("utf-8-sig", errors="replace").split())


def load_json(path: Path) -> Any:
    """Read a document.

    Raises:
        DataError: it is too large, cannot be read, or is no JSON.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path.name} cannot be read", [f"it is larger than {MAX_BYTES >> 20} MiB"])
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path.name} cannot be read", [f"{path.name} is no JSON document: {error}"]) from error


def seconds(place: str, name: str, value: Any, problems: Problems) -> float | None:
    """Return a time of a document in seconds; notes what is none."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    if known and math.isfinite(value) and value >= 0:
        return float(value)
    problems.add("time", f"{place}: {name} {value!r} is no number of seconds from 0 on")
    return None


def choose_key(names: Sequence[str], chosen: str | None, what: str, problems: Problems) -> str | None:
    """Return which of the names under which a document has labels is meant; several are a question.

    Args:
        names: those that occur.
        chosen: what the user named; None takes the only one.
        what: what such a name is, for messages.
        problems: notes what is wrong.
    """
    if chosen is not None and chosen in names:
        return chosen
    if chosen is not None:
        problems.add("columns", f"no {what} {chosen!r}; found: {', '.join(map(repr, names)) or 'none'}")
    elif len(names) > 1:
        text = (
            f"labels stand under {len(names)} names ({shorten(map(repr, names), 8)}); take one of them: --label-column"
        )
        problems.add("columns", f"{text} {names[0]!r}")
    elif not names:
        problems.add("columns", f"no {what} has labels")
    else:
        return names[0]
    return None
