# SPDX-License-Identifier: Apache-2.0
"""The file of a project: SQLite, one writer, every change of a label in a journal beside the labels themselves.

A commit is on the disk when it returns (WAL, ``synchronous=FULL``): what was acknowledged survives SIGKILL and a power
cut. Any program that reads SQLite reads it; times are seconds, names of files are text.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from auricle.errors import RunError

#: Of the tables below; a file of a newer one is refused.
VERSION = 2
#: "auri" in ASCII: SQLite's own place for saying whose file it is.
APPLICATION_ID = 0x61757269

_TABLES = """
CREATE TABLE recordings (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,                 -- below the folder; bytes that are no UTF-8 are escaped
    name BLOB NOT NULL UNIQUE,          -- the same as the file system has it
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    duration REAL,                      -- seconds; NULL where only decoding can tell
    sample_rate INTEGER,
    start TEXT,                         -- when it began, ISO 8601
    error_code TEXT, error_message TEXT,-- why it cannot be read
    missing INTEGER NOT NULL DEFAULT 0, -- 1: not in the folder any more
    changed INTEGER NOT NULL DEFAULT 0  -- how often its content was seen to be another
);
CREATE TABLE labels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    recording INTEGER NOT NULL REFERENCES recordings(id),
    onset REAL NOT NULL,
    offset REAL NOT NULL,
    label TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('yes', 'no', 'unsure')),
    source TEXT NOT NULL CHECK (source IN ('drawn', 'search', 'queue', 'review')),
    score REAL,
    low_hz REAL,
    high_hz REAL,
    by TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE INDEX labels_by_recording ON labels(recording);
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('add', 'change', 'delete', 'undo')),
    label INTEGER NOT NULL,             -- id of the label
    before TEXT,                        -- JSON of its row; NULL where there was none
    after TEXT,                         -- JSON of its row; NULL where there is none any more
    undoes INTEGER REFERENCES journal(id)
);
CREATE TABLE models (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    by TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    labels TEXT NOT NULL,               -- JSON
    journal INTEGER NOT NULL,           -- last change that it was taught on
    seconds REAL NOT NULL
);
CREATE TABLE keys (                     -- of requests that were acknowledged: a second one makes no second label
    key TEXT PRIMARY KEY,
    entry INTEGER NOT NULL REFERENCES journal(id)
);
CREATE TABLE classes (                  -- what was said about a class as a whole
    name TEXT PRIMARY KEY,
    threshold REAL,                     -- of detections; NULL: the model's own
    wanted REAL NOT NULL,               -- precision that is wanted
    by TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE detections (
    recording INTEGER NOT NULL REFERENCES recordings(id),
    onset REAL NOT NULL,
    offset REAL NOT NULL,
    label TEXT NOT NULL,
    score REAL NOT NULL,
    model INTEGER REFERENCES models(id), -- NULL: the model that the studio began with
    use TEXT NOT NULL DEFAULT 'both' CHECK (use IN ('both', 'shown', 'measured'))
                                        -- near what was taught, the model's own are shown, and those of fits
                                        -- without it are measured
);
CREATE INDEX detections_by_recording ON detections(recording);
CREATE INDEX detections_by_label ON detections(label, score);
CREATE TABLE indexed (
    recording INTEGER NOT NULL REFERENCES recordings(id),
    first INTEGER NOT NULL,             -- row of vectors.f16 that holds its first window here
    number INTEGER NOT NULL,            -- which window of the recording that is
    count INTEGER NOT NULL,
    PRIMARY KEY (recording, number)
);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Database:
    """An open project file; one process at a time, any number of its threads.

    Args:
        path: of the file; made if absent.

    Raises:
        RunError: it is something else, damaged, of a newer auricle, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._connection.row_factory = sqlite3.Row
            self._open()
        except sqlite3.DatabaseError as error:
            raise RunError(f"{path} cannot be used as a project of `auricle studio`: {error}") from error
        except OSError as error:
            raise RunError(
                f"{path} cannot be written ({error.strerror}); put it elsewhere with --database FILE"
            ) from error

    def _open(self) -> None:
        run = self._connection.execute
        application, version = (run(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and application != APPLICATION_ID:
            raise RunError(f"{self.path} is an SQLite file of something else; name another with --database FILE")
        if version > VERSION:
            raise RunError(
                f"{self.path} was written by a newer auricle (format {version}, this one reads up to {VERSION}); "
                "update auricle"
            )
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=FULL")
        run("PRAGMA foreign_keys=ON")
        if not tables:
            script = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={VERSION};"
            self._connection.executescript(f"BEGIN; {_TABLES} {script} COMMIT;")
        elif version < VERSION:  # 1: detections were of one kind; they are made again by detecting
            column = "ALTER TABLE detections ADD COLUMN use TEXT NOT NULL DEFAULT 'both'"
            self._connection.executescript(f"BEGIN; {column}; PRAGMA user_version={VERSION}; COMMIT;")

    def close(self) -> None:
        """Close the file; everything is in it already."""
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write several things as one: all of them are on the disk when the block ends, or none."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return what a query finds."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def value(self, query: str, values: Sequence[Any] = ()) -> Any:
        """Return the first column of the first row that a query finds; None without one."""
        found = self.rows(query, values)
        return found[0][0] if found else None

    def fact(self, name: str) -> str | None:
        """Return a fact about the project that was kept."""
        found = self.value("SELECT value FROM facts WHERE name = ?", (name,))
        return None if found is None else str(found)

    def keep_fact(self, name: str, value: str) -> None:
        """Keep a fact about the project."""
        with self.transaction() as file:
            file.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))


def shown_name(name: bytes) -> str:
    r"""Return the name of a file as text: bytes that are no UTF-8 are escaped.

    >>> shown_name(b"night \xff.wav")
    'night \\xff.wav'
    """
    return name.decode("utf-8", "backslashreplace")


def file_name(name: bytes) -> str:
    """Return the name of a file as Python's file functions take it."""
    return os.fsdecode(name)
