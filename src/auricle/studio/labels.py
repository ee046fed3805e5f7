# SPDX-License-Identifier: Apache-2.0
"""Labels of a project: what a person said about a part of a recording; who, when, before and after of every change."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, TypeAlias, get_args

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
class LabelRequest:
    """What is said of a part of a recording; also the body of a request, in which nothing else may stand.

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
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    recording: int
    onset: float
    offset: float
    label: str
    verdict: Verdict = "yes"
    source: LabelSource = "drawn"
    score: float | None = None
    low_hz: float | None = None
    high_hz: float | None = None


@dataclass(frozen=True)
class Label(LabelRequest):
    """A verdict on a part of a recording.

    Attributes:
        by: who.
        at: when, ISO 8601.
        id: number of the label; 0 for one that is not stored.
        path: of the recording, below the folder.
    """

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


def check_name(text: str) -> str:
    """Return the name of a class, trimmed.

    >>> check_name("  tawny   owl ")
    'tawny owl'

    Raises:
        UsageError: it is empty, very long, or has characters that are not printed.
    """
    name = " ".join(text.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise UsageError(f"a class needs a name of 1 to {LONGEST_NAME} printable characters")
    return name


def check_label(label: Label, duration_s: float | None) -> Label:
    """Return a label whose name is trimmed and whose end is not behind the recording's.

    Raises:
        UsageError: it makes no sense; says what would.
    """
    name = check_name(label.label)
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

    def add(self, label: Label, key: str | None = None) -> Label:
        """Store a label; it is on the disk when this returns.

        One of the same class on exactly the same part of the recording is changed instead.

        Args:
            label: what to store.
            key: of the request; a second one with the same key changes nothing and returns what the first one did.
        """
        label = self._own(label, label.recording)
        with self._database.transaction() as file:
            if key is not None and (known := _answered(file, key)) is not None:
                return known
            place = (label.recording, label.onset, label.offset, label.label)
            query = f"{_SELECT} WHERE recording = ? AND onset = ? AND offset = ? AND label = ?"
            row = file.execute(query, place).fetchone()
            old = None if row is None else _label(row)
            names = _COLUMNS if old is None else ("id", *_COLUMNS)
            new = label if old is None else replace(label, id=old.id)
            cursor = _write(file, names, new.row())
            new = replace(new, id=old.id if old is not None else _number(cursor))
            entry = self._note(file, "add" if old is None else "change", new.id, old, new)
            if key is not None:
                file.execute("INSERT INTO keys VALUES (?, ?)", (key, entry))
        return self._stored(new.id)

    def change(self, number: int, changes: Mapping[str, Any]) -> Label:
        """Change some of ``label``, ``onset``, ``offset``, ``verdict`` of a label.

        Raises:
            KeyError: there is none of this number.
            UsageError: it would make no sense.
        """
        old = self._stored(number)
        new = self._own(replace(old, **changes), old.recording)
        with self._database.transaction() as file:
            _write(file, ("id", *_COLUMNS), new.row())
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
                _write(file, ("id", *_COLUMNS), before)
            file.execute(
                "INSERT INTO journal (at, by, action, label, before, after, undoes) VALUES (?, ?, 'undo', ?, ?, ?, ?)",
                (now(), self.by, entry["label"], entry["after"], entry["before"], entry["id"]),
            )
            after = None if entry["after"] is None else json.loads(entry["after"])
            return {"action": entry["action"], "label": entry["label"], "before": before, "after": after}

    def last_change(self) -> int:
        """Return the number of the journal's last entry; 0 where it is empty."""
        return int(self._database.value("SELECT coalesce(max(id), 0) FROM journal"))

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
    ) -> int:
        """Enter a change into the journal; returns the number of the entry."""
        texts = [None if x is None else json.dumps(x.row(), ensure_ascii=False) for x in (before, after)]
        cursor = file.execute(
            "INSERT INTO journal (at, by, action, label, before, after) VALUES (?, ?, ?, ?, ?, ?)",
            (now(), self.by, action, number, *texts),
        )
        return _number(cursor)


def _number(cursor: sqlite3.Cursor) -> int:
    """Return the number of the row that was inserted."""
    return 0 if cursor.lastrowid is None else cursor.lastrowid


def now() -> str:
    """Return the moment as it is stored."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _label(row: sqlite3.Row) -> Label:
    return Label(**{name: row[name] for name in row.keys()})  # noqa: SIM118 (a row is no mapping)


def _answered(file: sqlite3.Connection, key: str) -> Label | None:
    """Return the label that a request of this key made, as it was then."""
    query = (
        "SELECT journal.after, recordings.path FROM keys JOIN journal ON journal.id = entry "
        "JOIN recordings ON recordings.id = json_extract(journal.after, '$.recording') WHERE key = ?"
    )
    row = file.execute(query, (key,)).fetchone()
    return None if row is None else Label(**json.loads(row["after"]), path=row["path"])


def _write(file: sqlite3.Connection, names: tuple[str, ...], row: Mapping[str, Any]) -> sqlite3.Cursor:
    """Put a label into its place, new or not."""
    marks = ", ".join("?" * len(names))
    return file.execute(
        f"INSERT OR REPLACE INTO labels ({', '.join(names)}) VALUES ({marks})", [row[name] for name in names]
    )
