# SPDX-License-Identifier: Apache-2.0
"""Finding the same recording under two names, and whether it stands on two sides of a split."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping

from auricle.data.manifest import Manifest
from auricle.files import sha256_file

_MIDDLE_BYTES = 16_384


def _middle_hash(path: str) -> bytes:
    """Return a hash of the middle of a file: cheap, and enough to tell nearly all files of one size apart."""
    with open(path, "rb") as handle:  # noqa: PTH123
        handle.seek(max(0, os.fstat(handle.fileno()).st_size // 2 - _MIDDLE_BYTES // 2))
        return hashlib.sha256(handle.read(_MIDDLE_BYTES)).digest()


def _refine(groups: Iterable[list[str]], key: Callable[[str], Hashable]) -> list[list[str]]:
    """Split groups of paths by ``key`` and keep those with more than one path; unreadable files drop out."""
    result: list[list[str]] = []
    for group in groups:
        by_key: dict[Hashable, list[str]] = defaultdict(list)
        for path in group:
            try:
                by_key[key(path)].append(path)
            except OSError:
                continue
        result.extend(found for found in by_key.values() if len(found) > 1)
    return result


def find_duplicates(manifest: Manifest) -> list[tuple[str, ...]]:
    """Return the groups of files with equal content, as absolute paths.

    Only files of equal size are opened, and only those with an equal middle are read whole.
    """
    sizes = {clip.path: clip.size_bytes for clip in manifest.clips}
    groups = _refine([list(sizes)], sizes.__getitem__)
    groups = _refine(groups, _middle_hash)
    return sorted(tuple(sorted(group)) for group in _refine(groups, sha256_file))


def crossing(manifest: Manifest, duplicates: Iterable[tuple[str, ...]]) -> list[str]:
    """Return a line for each group of equal files that stands in more than one part or fold."""
    sides: Mapping[str, set[str]] = defaultdict(set)
    keys = {}
    for clip in manifest.clips:
        keys[clip.path] = clip.key
        sides[clip.path] |= {clip.split} if clip.split is not None else set()
        sides[clip.path] |= {f"fold {clip.fold}"} if clip.fold is not None and clip.split is None else set()
    lines = []
    for group in duplicates:
        names = sorted(set().union(*(sides[path] for path in group)))
        if len(names) > 1:
            files = " = ".join(keys[path] for path in group)
            lines.append(f"the same audio stands in {' and '.join(names)}: {files}; keep one")
    return lines
