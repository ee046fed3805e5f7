# SPDX-License-Identifier: Apache-2.0
"""The project's file: every change is in the journal, and the journal alone gives the labels."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess

import numpy as np
import pytest
from helpers.studios import replayed, stored

from auricle.errors import RunError, UsageError
from auricle.studio.database import Database
from auricle.studio.labels import Label, LabelStore


@pytest.fixture
def database(tmp_path):
    found = Database(tmp_path / "p.sqlite")
    with found.transaction() as file:
        file.execute(
            "INSERT INTO recordings (path, name, size, mtime_ns, duration) VALUES ('a.wav', x'61', 1, 1, 60.0)"
        )
    yield found
    found.close()


@pytest.fixture
def store(database):
    return LabelStore(database, "ann")


def test_a_change_says_who_when_before_and_after(store, database):
    label = store.add(Label(1, 1.0, 2.0, "  tawny  owl "))
    store.by = "ben"
    store.change(label.id, {"verdict": "no"})
    store.delete(label.id)
    rows = database.rows("SELECT * FROM journal ORDER BY id")
    assert [(row["action"], row["by"], row["label"]) for row in rows] == [
        ("add", "ann", 1),
        ("change", "ben", 1),
        ("delete", "ben", 1),
    ]
    assert (rows[0]["before"], rows[2]["after"]) == (None, None)
    assert rows[1]["before"] == rows[0]["after"]
    assert json.loads(rows[1]["after"])["verdict"] == "no"
    assert label.label == "tawny owl"
    assert label.at.startswith("20")
    assert label.at.endswith("+00:00")


def test_undo_walks_back_and_goes_round_what_it_took_back(store):
    first = store.add(Label(1, 1.0, 2.0, "owl"))
    store.change(first.id, {"verdict": "no"})
    assert store.undo()["action"] == "change"
    assert store.get(first.id).verdict == "yes"
    store.change(first.id, {"offset": 3.0})
    assert store.undo()["after"]["offset"] == 3.0
    assert store.undo() == {**store_add(first)}
    assert store.all() == []
    assert store.undo() is None
    again = store.add(Label(1, 4.0, 5.0, "owl"))
    assert again.id != first.id


def store_add(label) -> dict:
    return {"action": "add", "label": label.id, "before": None, "after": label.row()}


@pytest.mark.parametrize("seed", range(2))
def test_the_journal_alone_gives_the_labels(store, database, seed):
    """Law: after any changes, replaying the journal gives the table."""
    rng = np.random.default_rng(seed)
    for step in range(60):
        known = [label.id for label in store.all()]
        what = rng.integers(0, 5)
        if what <= 1 or not known:
            begin = float(rng.integers(0, 20))
            store.add(Label(1, begin, begin + 1, "owl"), key=f"k{step // 2}" if what else None)
        elif what == 2:
            store.change(int(rng.choice(known)), {"verdict": str(rng.choice(["yes", "no", "unsure"]))})
        elif what == 3:
            store.delete(int(rng.choice(known)))
        else:
            store.undo()
    assert replayed(database.path) == stored(database.path)


def test_sqlite3_alone_reads_it(store, database):
    if shutil.which("sqlite3") is None:
        pytest.skip("the program sqlite3 is not installed")
    store.add(Label(1, 1.0, 2.0, "owl"))
    query = "SELECT path, onset, label, verdict FROM labels JOIN recordings ON recordings.id = recording"
    found = subprocess.run(["sqlite3", str(database.path), query], capture_output=True, text=True, check=True)
    assert found.stdout == "a.wav|1.0|owl|yes\n"


def test_it_is_durable(database):
    assert database.value("PRAGMA journal_mode") == "wal"
    assert database.value("PRAGMA synchronous") == 2  # FULL


def test_a_block_that_fails_leaves_nothing(database):
    def work():
        with database.transaction() as file:
            file.execute("INSERT INTO facts VALUES ('a', 'b')")
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert database.fact("a") is None


def test_a_newer_file_is_refused(tmp_path):
    Database(tmp_path / "p.sqlite").close()
    connection = sqlite3.connect(tmp_path / "p.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    with pytest.raises(RunError, match=r"written by a newer auricle \(format 99, this one reads up to 2\); update"):
        Database(tmp_path / "p.sqlite")


def test_a_file_of_something_else_is_refused(tmp_path):
    connection = sqlite3.connect(tmp_path / "p.sqlite")
    connection.execute("CREATE TABLE birds (name)")
    connection.commit()
    with pytest.raises(RunError, match="is an SQLite file of something else; name another with --database FILE"):
        Database(tmp_path / "p.sqlite")
    (tmp_path / "q.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(RunError, match="cannot be used as a project of `auricle studio`: file is not a database"):
        Database(tmp_path / "q.sqlite")


def test_a_label_outside_of_its_recording_is_cut_or_refused(store):
    assert store.add(Label(1, 59.0, 61.0, "owl")).offset == 60.0
    with pytest.raises(UsageError, match="expected 0 <= onset < offset and the end of the recording, 60 s"):
        store.add(Label(1, 60.5, 61.0, "owl"))
    with pytest.raises(UsageError, match="score nan: expected a number"):
        store.add(Label(1, 1.0, 2.0, "owl", score=float("nan")))
    with pytest.raises(UsageError, match=r"verdict 'maybe': expected yes, no, unsure"):
        store.add(Label(1, 1.0, 2.0, "owl", "maybe"))
    with pytest.raises(UsageError, match=r"source 'dream': expected drawn, search, queue, review"):
        store.add(Label(1, 1.0, 2.0, "owl", source="dream"))
