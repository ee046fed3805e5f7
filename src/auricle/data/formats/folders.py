# SPDX-License-Identifier: Apache-2.0
"""The form ``folders``: one folder a class, nested as people like, below ``train/ dev/ test/`` if they are there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from auricle.data.formats.draft import Draft, ReadOptions
from auricle.data.labels import SPLIT_ALIASES, is_negative
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import Found, regular_size, suffixes_seen
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import Flag


def _subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in ``folder``, sorted; links to folders are not followed."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))


def _files(folder: Path) -> Iterator[str]:
    """Yield all visible files below ``folder``, in a stable order."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.join(place, name)  # noqa: PTH118


def _is_recording(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in AUDIO_EXTENSIONS  # noqa: PTH122


def _split_folders(root: Path) -> dict[Path, str]:
    """Return the folders directly below ``root`` that are parts of the data, with the part."""
    return {p: SPLIT_ALIASES[p.name.casefold()] for p in _subfolders(root) if p.name.casefold() in SPLIT_ALIASES}


def class_folders(root: Path) -> list[tuple[Path, str | None]]:
    """Return the folders that stand for classes, each with its part of the data."""
    parts = _split_folders(root)
    if parts:
        return [(folder, part) for top, part in parts.items() for folder in _subfolders(top)]
    return [(folder, None) for folder in _subfolders(root)]


def looks_like_folders(path: Path, options: ReadOptions) -> bool:
    """Recognise at least two class folders with recordings, or one within ``train/ dev/ test/``."""
    if not path.is_dir():
        return False
    enough = 1 if _split_folders(path) else 2
    for folder, _ in class_folders(path):
        enough -= any(_is_recording(file) for file in _files(folder))
        if enough == 0:
            return True
    return False


def _leads_outside(path: str, real_root: str) -> bool:
    return os.path.islink(path) and not os.path.realpath(path).startswith(real_root + os.sep)  # noqa: PTH114


def _add_class(draft: Draft, folder: Path, part: str | None, outside: list[str]) -> int:
    """Add the recordings of one class folder to the draft and return how many there were."""
    root = str(draft.root)
    real_root = os.path.realpath(root)
    negative = is_negative(folder.name)
    before = len(draft.clips)
    for path in _files(folder):
        if not _is_recording(path):
            continue
        key = os.path.relpath(path, root).replace(os.sep, "/")
        if not draft.options.follow_links and _leads_outside(path, real_root):
            outside.append(key)
            continue
        label = () if negative else (folder.name,)
        draft.add(key, Clip(key, path, label, negative, split=part), Found(path, key, regular_size(path)))
    return len(draft.clips) - before


def _flag_unlisted(draft: Draft) -> None:
    """Flag recordings that lie in no class folder."""
    places = [draft.root, *_split_folders(draft.root)]
    loose = [p.name for place in places for p in sorted(place.iterdir()) if p.is_file() and _is_recording(str(p))]
    if loose:
        draft.flags.append(Flag("unlisted_file", {"count": len(loose), "first": loose[0]}))


def read_folders_form(path: Path, options: ReadOptions) -> Manifest:
    """Read class folders; raises ``DataError`` with all problems."""
    if not path.is_dir():
        raise DataError(f"{path} is no folder", ["expected a folder that holds one folder a class"])
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    draft = Draft(path, "folders", options)
    outside: list[str] = []
    folders = class_folders(path)
    empty = [str(f.relative_to(path)) for f, part in folders if _add_class(draft, f, part, outside) == 0]
    parts = _split_folders(path)
    beside = [p.name for p in _subfolders(path) if parts and p not in parts and any(map(_is_recording, _files(p)))]
    for name in beside:
        draft.problems.add(
            "beside", f"folder {name!r} stands beside {next(iter(parts)).name}/; move it into one of the parts"
        )
    if empty:
        draft.notes.append(f"folders without a recording: {shorten(empty, 5)}")
    if outside:
        text = f"{len(outside)} symbolic links lead out of the folder and were left out: {shorten(outside)}"
        draft.notes.append(text)
    if not draft.clips:
        seen = suffixes_seen(_files(path)) or "nothing"
        draft.problems.add("empty", f"no recording in a class folder; seen: {seen}")
    _flag_unlisted(draft)
    return draft.finish()
