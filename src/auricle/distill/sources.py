# SPDX-License-Identifier: Apache-2.0
"""The recordings that a teacher labels: a data set or plain audio, and a pool of unlabelled sound behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auricle.audio.listing import Listing
from auricle.data.formats.registry import read_source
from auricle.data.manifest import Clip, Manifest
from auricle.data.paths import regular_size, resolve_listed, search_roots
from auricle.data.tables import TABLE_SUFFIXES, read_table
from auricle.errors import FAILURE_CODES, DataError, UsageError
from auricle.recipe.requests import DataSource

#: Where a pool's table names its files: the first of these that it has.
POOL_COLUMNS = ("filename", "path")


@dataclass(frozen=True)
class Sources:
    """What there is to label.

    Attributes:
        clips: the recordings of the data, then those of the pool.
        pool: how many of them, at the end, are of the pool.
        manifest: of the data where it is labelled, else None.
        root: where the pool lies; None without one.
    """

    clips: tuple[Clip, ...]
    pool: int = 0
    manifest: Manifest | None = None
    root: Path | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The part of each recording that is not of the pool: its fold, or one for all."""
        return tuple("" if clip.fold is None else clip.fold for clip in self.clips[: len(self.clips) - self.pool])


def read_sources(
    audio: DataSource,
    pool: Path | None,
    *,
    unlabelled: bool = False,
    leave_out: Sequence[str] = (),
) -> Sources:
    """Find the recordings; decodes nothing.

    Args:
        audio: a data set of any format, or with ``unlabelled`` any audio.
        pool: a folder or a table of unlabelled audio, to go behind it.
        unlabelled: take ``audio`` for a pool: no labels are looked for.
        leave_out: ``COLUMN=VALUE``: rows of the pool's table that are not taken.

    Raises:
        DataError, UsageError: it cannot be read.
    """
    pooled: tuple[Clip, ...] = () if pool is None else read_pool(pool, leave_out)
    if unlabelled:
        if pool is not None:
            raise UsageError(f"with --unlabelled {audio.path} is the pool itself; leave --pool out")
        found = read_pool(audio.path, leave_out)
        return Sources(found, len(found), None, audio.path)
    if leave_out and pool is None:
        raise UsageError(f"--leave-out {leave_out[0]} needs a --pool whose table has that column")
    manifest = read_source(audio)
    return Sources((*manifest.clips, *pooled), len(pooled), manifest, pool)


def read_pool(path: Path, leave_out: Sequence[str] = (), absent: dict[str, str] | None = None) -> tuple[Clip, ...]:
    """Return the recordings of a folder, or of a table with the column ``filename`` or ``path``.

    Files of a table that are not there are left out; ``absent`` gets the name and reason of each.
    """
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        return _read_table(path, leave_out, {} if absent is None else absent)
    if leave_out:
        raise UsageError(
            f"--leave-out {leave_out[0]}: {path} is no table; name the table of the pool, such as pool.csv"
        )
    if not path.is_dir():
        raise DataError(f"{path} cannot be read as a pool", ["expected a folder of audio, or a table of files"])
    root = str(path)
    found = ((entry.path, regular_size(entry.path)) for entry in Listing([root]))
    return tuple(
        Clip(name.removeprefix(root).lstrip("/"), name, size_bytes=0 if size is None else size) for name, size in found
    )


def _read_table(path: Path, leave_out: Sequence[str], absent: dict[str, str]) -> tuple[Clip, ...]:
    table = read_table(path)
    column = next((c for c in POOL_COLUMNS if c in table.columns), None)
    if column is None:
        raise DataError(f"{path.name} cannot be read as a pool", [f"no column {' or '.join(POOL_COLUMNS)}"])
    skip = [_condition(text, table.columns) for text in leave_out]
    clips = []
    for row, listed in zip(table.rows, table.column(column), strict=True):
        if any(row[table.columns.index(name)] == value for name, value in skip):
            continue
        try:
            found = resolve_listed(listed, search_roots(path.parent))
        except ValueError as error:
            raise DataError(f"{path.name} cannot be read as a pool", [str(error)]) from error
        if found.size_bytes is None:
            absent[found.key] = FAILURE_CODES["not_found"]
        else:
            clips.append(Clip(found.key, found.path, size_bytes=found.size_bytes))
    if not clips:
        raise DataError(f"{path.name} cannot be read as a pool", [f"not one of its {len(table.rows)} files is there"])
    return tuple(clips)


def _condition(text: str, columns: Sequence[str]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in columns:
        raise UsageError(f"--leave-out {text}: expected COLUMN=VALUE with one of {', '.join(columns)}")
    return name, value
