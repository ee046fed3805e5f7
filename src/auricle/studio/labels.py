# SPDX-License-Identifier: Apache-2.0
"""Labels of a project: what a person said about a part of a recording; who, when, before and after of every change."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias, get_args

from auricle.errors import UsageError
from auricle.studio.database import Database

Verdict: TypeAlias = Literal["yes", "no", "unsure"]
LabelSource: TypeAlias = Literal["drawn", "search", "queue", "review"]
VERDICTS, SOURCES = get_args(Verdict), get_args(LabelSource)
#: Longest name of a class.
LONGEST_NAME = 200
_COLUMNS = ("recording", "onset", "offset", "label", "verdict", "source", "score", "low_hz", "high_hz", "by", "at")
_SELECT = "SELECT labels.*, recordings.path FROM labels JOIN recordings ON recordings.id = labels.recording"


@dataclass(frozen=True)
class Label:
    """A verdict on a part of a recording.

    Attributes:
        recording: number of the recording.
        onset: seconds from its start.
        offset: seconds, above ``onset``.
        label: the class.
        verdict: whether it is heard there: ``yes``, ``no`` or ``unsure``.
        source: where it was given: ``drawn``, ``search``, ``queue`` or ``review``.
        score: of the model or the search at the time, if there was one.
        low_hz: lower edge of a box, if one was drawn.
        high_hz: upper edge.
        by: who.
        at: when, ISO 8601.
        id: number of the label; 0 for one that is not stored.
        path: of the recording, below the folder.
    """

    recording: int
    onset: float
    offset: float
    label: str
    verdict: str = "yes"
    source: str = "drawn"
    score: float | None = None
    low_hz: float | None = None
    high_hz: float | None = None
    by: str = ""
    at: str = ""
    id: int = 0
    path: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    def row(self) -> dict[str, Any]:
        """Return its columns by name, as the journal keeps them."""
        found = asdict(self)
        del found["path"]
        return found


def check_label(label: Label, duration_s: float | None) -> Label:
    """Return a label whose name is trimmed and whose end is not behind the recording's.

    Raises:
        UsageError: it makes no sense; says what would.
    """
    name = " ".join(label.label.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"label: a class needs a name of 1 to {LONGEST_NAME} printable characters")
    if label.verdict not in VERDICTS:
        raise UsageError(f"verdict {label.verdict!r}: expected {', '.join(VERDICTS)}")
    if label.source not in SOURCES:
        raise UsageError(f"source {label.source!r}: expected {', '.join(SOURCES)}")
    offset = label.offset if duration_s is None else min(label.offset, duration_s)
    if not (math.isfinite(label.onset) and math.isfinite(offset) and 0 <= label.onset < offset):
        end = "" if duration_s is None else f" and the end of the recording, {duration_s:g} s"
        raise UsageError(f"onset {label.onset:g}, offset {label.offset:g}: expected 0 <= onset < offset{end}")
    for key in ("score", "low_hz", "high_hz"):
        value = getattr(label, key)
        if value is not None and not math.isfinite(value):
            raise UsageError(f"{key} {value}: expected a number")
    return replace(label, label=name, offset=offset)


class LabelStore:
    """The labels of a project and their journal.

    Args:
        database: of the project.
        by: who makes changes.
    """

    def __init__(self, database: Database, by: str) -> None:
        self._database = database
        self.by = by

    def all(self, label: str | None = None, verdict: str | None = None, recording: int | None = None) -> list[Label]:
        """Return labels in the order in which they were given, all or those of a class, verdict or recording."""
        wanted = {"label": label, "verdict": verdict, "recording": recording}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"labels.{name} = ?" for name in given)
        query = f"{_SELECT} {'WHERE ' + where if where else ''} ORDER BY labels.id"
        return [_label(row) for row in self._database.rows(query, list(given.values()))]

    def get(self, number: int) -> Label | None:
        """Return the label of this number."""
        found = self._database.rows(f"{_SELECT} WHERE labels.id = ?", (number,))
        return _label(found[0]) if found else None

    def add(self, label: Label) -> Label:
        """Store a new label; it is on the disk when this returns."""
        label = self._own(label, label.recording)
        with self._database.transaction() as file:
            marks = ", ".join("?" * len(_COLUMNS))
            values = [getattr(label, name) for name in _COLUMNS]
            cursor = file.execute(f"INSERT INTO labels ({', '.join(_COLUMNS)}) VALUES ({marks})", values)
            stored = replace(label, id=int(cursor.lastrowid or 0))
            self._note(file, "add", stored.id, None, stored)
        return self._stored(stored.id)

    def change(self, number: int, changes: Mapping[str, Any]) -> Label:
        """Change some of ``label``, ``onset``, ``offset``, ``verdict`` of a label.

        Raises:
            KeyError: there is none of this number.
            UsageError: it would make no sense.
        """
        old = self._stored(number)
        new = self._own(replace(old, **changes), old.recording)
        with self._database.transaction() as file:
            _write(file, new.row())
            self._note(file, "change", number, old, new)
        return self._stored(number)

    def delete(self, number: int) -> Label:
        """Take a label away; returns it. Raises ``KeyError`` if there is none of this number."""
        old = self._stored(number)
        with self._database.transaction() as file:
            file.execute("DELETE FROM labels WHERE id = ?", (number,))
            self._note(file, "delete", number, old, None)
        return old

    def undo(self) -> dict[str, Any] | None:
        """Take back the last change that was not taken back yet, whoever made it.

        Returns:
            What was taken back: ``action``, ``label`` (its number), ``before`` and ``after``; None if nothing is left.
        """
        with self._database.transaction() as file:
            entry = file.execute(
                "SELECT * FROM journal WHERE action != 'undo' AND id NOT IN "
                "(SELECT undoes FROM journal WHERE undoes IS NOT NULL) ORDER BY id DESC LIMIT 1"
            ).fetchone()
            if entry is None:
                return None
            before = None if entry["before"] is None else json.loads(entry["before"])
            file.execute("DELETE FROM labels WHERE id = ?", (entry["label"],))
            if before is not None:
                _write(file, before)
            file.execute(
                "INSERT INTO journal (at, by, action, label, before, after, undoes) VALUES (?, ?, 'undo', ?, ?, ?, ?)",
                (now(), self.by, entry["label"], entry["after"], entry["before"], entry["id"]),
            )
            after = None if entry["after"] is None else json.loads(entry["after"])
            return {"action": entry["action"], "label": entry["label"], "before": before, "after": after}

    def last_change(self) -> int:
        """Return the number of the journal's last entry; 0 where it is empty."""
        return int(self._database.value("SELECT coalesce(max(id), 0) FROM journal"))

    def changed_since(self, entry: int) -> set[int]:
        """Return the numbers of labels that were changed behind an entry of the journal."""
        return {row[0] for row in self._database.rows("SELECT label FROM journal WHERE id > ?", (entry,))}

    def _own(self, label: Label, recording: int) -> Label:
        found = self._database.rows("SELECT duration FROM recordings WHERE id = ?", (recording,))
        if not found:
            raise KeyError(recording)
        return check_label(replace(label, by=self.by, at=now()), found[0]["duration"])

    def _stored(self, number: int) -> Label:
        found = self.get(number)
        if found is None:
            raise KeyError(number)
        return found

    def _note(
        self, file: sqlite3.Connection, action: str, number: int, before: Label | None, after: Label | None
    ) -> None:
        texts = [None if x is None else json.dumps(x.row(), ensure_ascii=False) for x in (before, after)]
        file.execute(
            "INSERT INTO journal (at, by, action, label, before, after) VALUES (?, ?, ?, ?, ?, ?)",
            (now(), self.by, action, number, *texts),
        )


def now() -> str:
    """Return the moment as it is stored."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _label(row: sqlite3.Row) -> Label:
    return Label(**{name: row[name] for name in row.keys()})  # noqa: SIM118 (a row is no mapping)


def _write(file: sqlite3.Connection, row: Mapping[str, Any]) -> None:
    """Put a label into its place, new or not."""
    names = ("id", *_COLUMNS)
    marks = ", ".join("?" * len(names))
    values = [row[name] for name in names]
    file.execute(f"INSERT OR REPLACE INTO labels ({', '.join(names)}) VALUES ({marks})", values)
