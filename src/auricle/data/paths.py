# SPDX-License-Identifier: Apache-2.0
"""From a path as a table lists it to a file below the data folder, and never to one outside."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ARRAY_SUFFIX = ".npy"


@dataclass(frozen=True)
class Found:
    """Where a listed path leads.

    Attributes:
        path: absolute path; the first place looked at if the file is absent.
        key: the listed path in its plain form: relative, with forward slashes.
        size_bytes: None if there is no such regular file.
    """

    path: str
    key: str
    size_bytes: int | None


def search_roots(folder: Path) -> tuple[str, ...]:
    """Return where the paths of a table in ``folder`` may lie: there, in its ``audio/``, in the parent's ``audio/``."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 (Path.absolute keeps "..")
    candidates = (folder, folder / "audio", folder.parent / "audio")
    return tuple(str(c) for c in candidates if c.is_dir())


def regular_size(path: str) -> int | None:
    """Return the size of a regular file in bytes, or None if there is none."""
    try:
        info = os.stat(path)  # noqa: PTH116 (a million paths: no objects)
    except (OSError, ValueError):
        return None
    return info.st_size if stat.S_ISREG(info.st_mode) else None


def _inside(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def _spellings(listed: str) -> list[str]:
    """Return the path as listed, and with Windows separators turned, if it has any."""
    turned = listed.replace("\\", "/")
    return [listed] if turned == listed else [listed, turned]


def resolve_listed(listed: str, roots: Sequence[str], *, within: str | None = None) -> Found:
    """Find a listed path under one of ``roots``.

    Args:
        listed: the path as the table has it.
        roots: the folders that it may be relative to.
        within: the data set's folder: a path may also lead from a root to elsewhere in it.

    Raises:
        ValueError: the path is empty or leads outside all roots.
    """
    if not listed.strip():
        raise ValueError("the path is empty")
    if re.match(r"[A-Za-z]:[\\/]", listed):
        raise ValueError(f"path {listed!r} is absolute; write it relative to the table")
    first: Found | None = None
    for spelling in _spellings(listed):
        first = None  # where nothing is found, the last spelling, with turned separators, decides
        for root in roots:
            path = os.path.normpath(os.path.join(root, spelling))  # noqa: PTH118
            if not any(_inside(path, allowed) for allowed in roots):
                if within is None or not _inside(path, within):
                    continue
                key = os.path.relpath(path, within)
            else:
                key = os.path.relpath(path, root) if os.path.isabs(spelling) else os.path.normpath(spelling)  # noqa: PTH117
            found = Found(path, key.replace(os.sep, "/"), regular_size(path))
            if found.size_bytes is not None:
                return found
            first = found if first is None else first
    if first is None:
        raise ValueError(f"path {listed!r} leads outside the data folder {roots[0]}; write it relative to the table")
    return first


def unlisted(listed: Collection[str], suffixes: Collection[str]) -> list[str]:
    """Return the files with ``suffixes`` that lie beside ``listed`` absolute paths but are not among them."""
    known = set(listed)
    names: list[str] = []
    for folder in sorted({os.path.dirname(path) for path in known}):  # noqa: PTH120
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
            if ending in suffixes and not entry.name.startswith(".") and entry.path not in known:
                names.append(entry.path)
    return sorted(names)


def suffixes_seen(paths: Iterable[str]) -> str:
    """Return a short inventory of file name endings, such as ``.txt: 3, .wav: 1``."""
    counts: dict[str, int] = {}
    for path in paths:
        ending = os.path.splitext(path)[1].lower() or "without ending"  # noqa: PTH122
        counts[ending] = counts.get(ending, 0) + 1
    return ", ".join(f"{k}: {n}" for k, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:8])
