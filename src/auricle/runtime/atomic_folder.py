# SPDX-License-Identifier: Apache-2.0
"""Replace several files of a folder as one: a reader finds all the old ones, or all the new ones.

    stage    the new files are written into a temporary folder beside the old ones, and forced to the disk
    commit   that folder is renamed to ``.incoming``: from here on the new files count
    settle   each is moved over its old one; after a kill, whoever writes next finishes this

So one rename publishes all of them, and a kill, a full disk or a power cut at any moment leaves one set or the other.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from auricle.files import atomic_write, sweep_orphans, sync_folder, temporary_beside

INCOMING = ".incoming"


def replace_files(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files into ``folder``, all or none; others in it stay.

    Args:
        folder: must exist.
        files: names and contents, made one at a time.
    """
    sweep_orphans(folder)
    settle(folder)
    staged = temporary_beside(folder / INCOMING)
    staged.mkdir()
    try:
        for name, data in files:
            atomic_write(staged / name, data)
        staged.rename(folder / INCOMING)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    sync_folder(folder)
    settle(folder)


def settle(folder: Path) -> None:
    """Move files that were committed to their places, if there are any left."""
    incoming = folder / INCOMING
    if incoming.is_symlink() or not incoming.is_dir():
        return
    for path in sorted(incoming.iterdir()):
        os.replace(path, folder / path.name)  # noqa: PTH105 - Path.replace would do the same
    sync_folder(folder)
    incoming.rmdir()
    sync_folder(folder)


def find_file(folder: Path, name: str) -> Path:
    """Return where a file of ``folder`` lies: in its place, or committed and not moved there yet."""
    incoming = folder / INCOMING
    if not incoming.is_symlink() and os.path.lexists(incoming / name):
        return incoming / name
    return folder / name
