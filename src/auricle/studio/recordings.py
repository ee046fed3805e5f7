# SPDX-License-Identifier: Apache-2.0
"""The recordings of a project: what lies in the folder, with numbers that stay the same from one day to the next."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auricle.audio.decode import probe
from auricle.audio.listing import Listing
from auricle.audio.origin.reader import read_origin
from auricle.errors import InputError, RunError, UsageError
from auricle.results import spell_moment
from auricle.studio.database import Database, shown_name

#: Recordings that are written down at once.
_AT_ONCE = 500


@dataclass(frozen=True)
class Recording:
    """A recording.

    Attributes:
        id: its number.
        path: below the folder, as text.
        file: where it lies.
        size: bytes.
        mtime_ns: when it was last written.
        duration: seconds; None where only decoding can tell.
        sample_rate: in Hz.
        start: when it began, ISO 8601, if its name or header say so.
    """

    id: int
    path: str
    file: str
    size: int
    mtime_ns: int
    duration: float | None
    sample_rate: int | None
    start: str | None

    @property
    def version(self) -> str:
        """What its content is told from another one by."""
        return f"{self.size}-{self.mtime_ns}"


class RecordingStore:
    """The recordings of a folder.

    Args:
        database: of the project.
        folder: that holds them.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self.folder = folder

    def refresh(self) -> None:
        """Look what lies in the folder: new recordings get numbers, those that vanished or changed are marked.

        Raises:
            RunError: it is no folder, or holds no recording.
        """
        if not self.folder.is_dir():
            raise RunError(f"{self.folder} is not a folder; give one with recordings")
        known = {row["name"]: row for row in self._database.rows("SELECT * FROM recordings")}
        seen: set[bytes] = set()
        changes: list[tuple[str, tuple[Any, ...]]] = []
        try:
            for entry in Listing([str(self.folder)]):
                name = os.fsencode(os.path.relpath(entry.path, self.folder))
                seen.add(name)
                changes += _look(name, entry.path, known.get(name))
                if len(changes) >= _AT_ONCE:
                    self._write(changes)
                    changes = []
        except UsageError as error:
            if not known:
                raise RunError(error.message) from error
        gone = [row["id"] for name, row in known.items() if name not in seen and not row["missing"]]
        self._write([*changes, *(("UPDATE recordings SET missing = 1 WHERE id = ?", (number,)) for number in gone)])

    def _write(self, changes: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
        if changes:
            with self._database.transaction() as file:
                for statement, values in changes:
                    file.execute(statement, values)

    def readable(self) -> list[Recording]:
        """Return what can be listened to, in the order of their paths."""
        rows = self._database.rows("SELECT * FROM recordings WHERE NOT missing AND error_code IS NULL ORDER BY name")
        return [self.made(row) for row in rows]

    def find(self, which: int | str) -> sqlite3.Row | None:
        """Return the row of a recording by its number or path, whatever became of it; None if there was never one."""
        column = "id" if isinstance(which, int) else "path"
        rows = self._database.rows(f"SELECT * FROM recordings WHERE {column} = ? ORDER BY missing", (which,))
        return rows[0] if rows else None

    def path_of(self, number: int) -> str:
        """Return the path of a recording below the folder."""
        return str(self._database.value("SELECT path FROM recordings WHERE id = ?", (number,)))

    def problems(self) -> list[dict[str, Any]]:
        """Return recordings that cannot be used, and those that changed: ``path``, ``code``, ``message``."""
        rows = self._database.rows(
            "SELECT * FROM recordings WHERE error_code IS NOT NULL OR changed OR (missing AND id IN "
            "(SELECT recording FROM labels)) ORDER BY name"
        )
        found = []
        for row in rows:
            if row["missing"]:
                code, message = "vanished", "not in the folder any more; its labels are kept"
            elif row["error_code"] is not None:
                code, message = row["error_code"], row["error_message"]
            else:
                code, message = "changed", "its content is another one than when it was first seen; look at its labels"
            found.append({"path": row["path"], "code": code, "message": message})
        return found

    def fail(self, number: int, error: InputError) -> None:
        """Note that a recording turned out to be unreadable, or is gone."""
        gone = error.code in ("not_found", "vanished", "broken_link")
        with self._database.transaction() as file:
            if gone:
                file.execute("UPDATE recordings SET missing = 1 WHERE id = ?", (number,))
            else:
                file.execute(
                    "UPDATE recordings SET error_code = ?, error_message = ? WHERE id = ?",
                    (error.code, error.message, number),
                )

    def found_duration(self, number: int, duration_s: float) -> None:
        """Note the length of a recording whose header did not say it."""
        with self._database.transaction() as file:
            file.execute("UPDATE recordings SET duration = ? WHERE id = ? AND duration IS NULL", (duration_s, number))

    def made(self, row: sqlite3.Row) -> Recording:
        """Return the recording of a row."""
        file = str(self.folder / os.fsdecode(row["name"]))
        return Recording(
            row["id"],
            row["path"],
            file,
            row["size"],
            row["mtime_ns"],
            row["duration"],
            row["sample_rate"],
            row["start"],
        )


def _look(name: bytes, path: str, known: sqlite3.Row | None) -> list[tuple[str, tuple[Any, ...]]]:
    """Return what is to be written about a file: nothing where it is known and the same."""
    try:
        status = Path(path).stat()
        size, mtime_ns = status.st_size, status.st_mtime_ns
    except OSError:
        size = mtime_ns = 0
    same = known is not None and (known["size"], known["mtime_ns"]) == (size, mtime_ns)
    if known is not None and same and not known["missing"]:
        return []
    duration = rate = start = code = message = None
    try:
        info = probe(path)
        duration, rate = info.duration, info.sample_rate
        origin, _ = read_origin(path)
        start = None if origin.start is None else spell_moment(origin.start)
    except InputError as error:
        code, message = error.code, error.message
    found = (size, mtime_ns, duration, rate, start, code, message)
    if known is None:
        columns = "path, name, size, mtime_ns, duration, sample_rate, start, error_code, error_message"
        statement = f"INSERT INTO recordings ({columns}) VALUES ({', '.join('?' * 9)})"
        return [(statement, (shown_name(name), name, *found))]
    statement = (
        "UPDATE recordings SET missing = 0, changed = changed + ?, size = ?, mtime_ns = ?, duration = ?, "
        "sample_rate = ?, start = ?, error_code = ?, error_message = ? WHERE id = ?"
    )
    changes: list[tuple[str, tuple[Any, ...]]] = [(statement, (int(not same), *found, known["id"]))]
    if not same:  # what was computed of the old content says nothing of the new one
        changes += [(f"DELETE FROM {table} WHERE recording = ?", (known["id"],)) for table in ("indexed", "detections")]
    return changes
