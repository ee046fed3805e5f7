# SPDX-License-Identifier: Apache-2.0
"""The format ``folders``: one folder a class, nested as people like, below ``train/ dev/ test/`` if they are there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from auricle.data.formats.containers import container_names
from auricle.data.formats.draft import Draft
from auricle.data.formats.places import tables_in
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.labels import SPLIT_ALIASES, is_negative
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import Found, regular_size, suffixes_seen
from auricle.data.read_options import ReadOptions
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import Flag

#: Folders whose recordings hold none of the classes, beside those that are called so everywhere.
NEGATIVE_FOLDERS = frozenset({"noise", "silence", "_background_noise_"})


def _subfolders(folder: Path) -> list[Path]:
    """Return the visible folders in ``folder``, sorted; links to folders are not followed."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))


def _linked_folders(folder: Path) -> list[Path]:
    """Return the visible links in ``folder`` to folders elsewhere."""
    home = os.path.realpath(folder)
    links = (p for p in folder.iterdir() if p.is_symlink() and p.is_dir() and not p.name.startswith("."))
    return [link for link in links if _leads_outside(str(link), home)]


def _files(folder: Path) -> Iterator[str]:
    """Yield all visible files below ``folder``, in a stable order."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.join(place, name)  # noqa: PTH118


def _is_recording(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in AUDIO_EXTENSIONS  # noqa: PTH122


def _holds_recordings(folder: Path) -> bool:
    return any(map(_is_recording, _files(folder)))


def _loose(folder: Path) -> list[str]:
    """Return the recordings directly in a folder, sorted."""
    return [
        p.name for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".") and _is_recording(p.name)
    ]


def _split_folders(root: Path) -> dict[Path, str]:
    """Return the folders directly below ``root`` that are parts of the data: named so, with class folders in them."""
    named = {p: SPLIT_ALIASES[p.name.casefold()] for p in _subfolders(root) if p.name.casefold() in SPLIT_ALIASES}
    return {p: part for p, part in named.items() if any(map(_holds_recordings, _subfolders(p)))}


def class_folders(root: Path) -> list[tuple[Path, str | None]]:
    """Return the folders that stand for classes, each with its part of the data."""
    parts = _split_folders(root)
    if parts:
        return [(folder, part) for top, part in parts.items() for folder in _subfolders(top)]
    return [(folder, None) for folder in sorted([*_subfolders(root), *_linked_folders(root)])]


def looks_like_folders(path: Path, options: ReadOptions) -> bool:
    """Recognise class folders with recordings."""
    return path.is_dir() and any(_holds_recordings(folder) for folder, _ in class_folders(path))


def doubtful_folders(path: Path) -> str | None:
    """Return why folders are probably no classes, and what to type; None if nothing speaks against them."""
    folders = [folder for folder, _ in class_folders(path) if _holds_recordings(folder)]
    names = list(dict.fromkeys(folder.name for folder in folders))
    override = f"; if the folders are classes, type: auricle data check {shlex.quote(str(path))} --data-format folders"
    inner = {folder: {p.name for p in _subfolders(folder)} for folder in folders if not _loose(folder)}
    if len(folders) == 1 and len(inner) == 1 and len(next(iter(inner.values()))) > 1:
        below = shlex.quote(str(folders[0]))
        return f"there is one folder, {names[0]!r}, with folders in it: auricle data check {below}{override}"
    named = container_names(names)
    if named:
        text = f"the folder names {shorten(map(repr, named), 4)} say what lies in them, not what sounds"
        return f"{text}: class folders are named after sounds{override}"
    shared = set.intersection(*inner.values()) if len(inner) > 1 and len(inner) == len(folders) else set()
    if len(shared) > 1:
        text = (
            f"all of the folders {shorten(map(repr, names))} hold folders called {shorten(sorted(map(repr, shared)))}"
        )
        return f"{text}, which look like the classes: name one of them, or sort their recordings by class{override}"
    return None


def _leads_outside(path: str, real_root: str) -> bool:
    return os.path.islink(path) and not (os.path.realpath(path) + os.sep).startswith(real_root + os.sep)  # noqa: PTH114


def _add_class(draft: Draft, folder: Path, part: str | None, outside: list[str]) -> int:
    """Add the recordings of one class folder to the draft and return how many there were."""
    root = str(draft.root)
    real_root = os.path.realpath(root)
    negative = is_negative(folder.name) or (not draft.options.named and _is_negative_folder(folder.name))
    before = len(draft.clips)
    linked = _leads_outside(str(folder), real_root)
    for path in _files(folder):
        if not _is_recording(path):
            continue
        key = os.path.relpath(path, root).replace(os.sep, "/")
        if not draft.options.follow_links and (linked or _leads_outside(path, real_root)):
            outside.append(key)
            continue
        label = () if negative else (folder.name,)
        draft.add(key, Clip(key, path, label, negative, split=part), Found(path, key, regular_size(path)))
    return len(draft.clips) - before


def _is_negative_folder(name: str) -> bool:
    """Tell whether a folder holds no class in a tool of this field: ``noise``, ``silence``, ``-Name`` in BirdNET."""
    return name.casefold() in NEGATIVE_FOLDERS or (name.startswith("-") and len(name) > 1)


def _flag_unlisted(draft: Draft) -> None:
    """Flag recordings that lie in no class folder."""
    parts = _split_folders(draft.root)
    beside = [p for p in _subfolders(draft.root) if parts and p not in parts and p.name.casefold() in SPLIT_ALIASES]
    loose = [name for place in (draft.root, *parts, *beside) for name in _loose(place)]
    if beside:
        text = "hold recordings, but no class folders, and are not read"
        draft.notes.append(f"{shorten(p.name + '/' for p in beside)} {text}")
    if loose:
        draft.flags.append(Flag("unlisted_file", {"count": len(loose), "first": loose[0]}))


def _note_tables(draft: Draft) -> None:
    """Say of tables beside class folders that they are not read."""
    tables = tables_in(draft.root)
    if tables:
        names = shorten(str(table.relative_to(draft.root)) for table in tables)
        draft.notes.append(f"the classes are the names of the folders; not read: {names}")


def read_folders(path: Path, options: ReadOptions) -> Manifest:
    """Read class folders; raises ``DataError`` with all problems."""
    if not path.is_dir():
        raise DataError(f"{path} is no folder", ["expected a folder that holds one folder a class"])
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    draft = Draft(path, "folders", options)
    outside: list[str] = []
    folders = class_folders(path)
    empty = [str(f.relative_to(path)) for f, part in folders if _add_class(draft, f, part, outside) == 0]
    parts = _split_folders(path)
    others = [p for p in _subfolders(path) if parts and p not in parts and p.name.casefold() not in SPLIT_ALIASES]
    for name in (p.name for p in others if _holds_recordings(p)):
        draft.problems.add(
            "beside", f"folder {name!r} stands beside {next(iter(parts)).name}/; move it into one of the parts"
        )
    if empty:
        draft.notes.append(f"folders without a recording: {shorten(empty, 5)}")
    taken = sorted({f.name for f, _ in folders if not options.named and _is_negative_folder(f.name)} - set(empty))
    if taken:
        text = f"recordings in {shorten(map(repr, taken))} are negatives (none of the classes), as in BirdNET"
        draft.notes.append(f"{text}; --data-format folders makes classes of them")
    if outside:
        text = f"{len(outside)} recordings are linked from outside the folder and were left out: {shorten(outside)}"
        draft.notes.append(f"{text}; --follow-links takes them")
    if not draft.clips and outside:
        text = f"all {len(outside)} recordings are linked from outside the folder: {shorten(outside)}"
        draft.problems.add("empty", f"{text}; --follow-links takes them")
    elif not draft.clips:
        seen = suffixes_seen(_files(path)) or "nothing"
        draft.problems.add("empty", f"no recording in a class folder; seen: {seen}")
    _flag_unlisted(draft)
    _note_tables(draft)
    return draft.finish()


FORMATS.add("folders", Format(looks_like_folders, read_folders, order=90, hint=doubtful_folders))
