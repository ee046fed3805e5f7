# SPDX-License-Identifier: Apache-2.0
"""Each piece once, recorded once, whatever happens in between."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from auricle import journal as module
from auricle.errors import AuricleError, RunError, UsageError
from auricle.journal import has_journal, open_journal, start_journal

PLAN = {"model": "yard", "top": 5}


@pytest.fixture
def folder(tmp_path):
    start_journal(tmp_path / "journal", PLAN, ["a", {"path": "b\nc"}, "\udce9"])
    return tmp_path / "journal"


def claimed(folder):
    with open_journal(folder, PLAN) as journal:
        return list(journal.pending())


def record(folder, *values):
    with open_journal(folder, PLAN) as journal:
        for index, value in values:
            journal.record(index, value)


def test_items_are_claimed_until_they_are_recorded(folder):
    assert claimed(folder) == [(0, "a"), (1, {"path": "b\nc"}), (2, "\udce9")]
    record(folder, (1, {"score": 0.5}))
    assert claimed(folder) == [(0, "a"), (2, "\udce9")]


def test_what_is_recorded_while_claiming_is_not_claimed_again(folder):
    with open_journal(folder, PLAN) as journal:
        pending = journal.pending()
        assert next(pending)[0] == 0
        journal.record(1, None)
        assert [index for index, _ in pending] == [2]


def test_results_come_in_the_order_of_the_items_with_exact_numbers(folder):
    record(folder, (2, [1 / 3]), (0, "new\nline"), (1, None))
    with open_journal(folder, PLAN) as journal:
        assert (journal.total, journal.done) == (3, 3)
        assert list(journal.results()) == [(0, "a", "new\nline"), (1, {"path": "b\nc"}, None), (2, "\udce9", [1 / 3])]
        assert list(journal.results()) == list(journal.results())


def test_the_first_record_of_an_item_counts(folder):
    with open_journal(folder, PLAN) as journal:
        assert journal.record(0, "first")
        assert not journal.record(0, "second")
        assert journal.done == 1
        assert [value for _, _, value in journal.results()] == ["first"]
    assert (folder / "records").read_bytes().count(b"\n") == 1


def test_no_items(tmp_path):
    start_journal(tmp_path, PLAN, [])
    with open_journal(tmp_path, PLAN) as journal:
        assert (journal.total, list(journal.pending()), list(journal.results())) == (0, [], [])


def test_a_start_that_was_cut_short_is_no_journal(tmp_path):
    def items():
        yield "a"
        raise UsageError("nothing here")

    start_journal(tmp_path, PLAN, ["old"])
    with pytest.raises(UsageError):
        start_journal(tmp_path, PLAN, items())
    assert not has_journal(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inputs", "records"]


def test_another_plan_is_refused_with_the_differences(folder):
    with pytest.raises(
        RunError, match=r"started differently: model was 'yard', is 'barn'; new was None, is True; give"
    ):
        open_journal(folder, {"model": "barn", "top": 5, "new": True})


def test_a_journal_of_another_format_is_refused(folder):
    text = (folder / "plan.json").read_text()
    (folder / "plan.json").write_text(text.replace('"journal": 1', '"journal": 2'))
    with pytest.raises(RunError, match=r"has format 2, this auricle reads 1; start anew"):
        open_journal(folder, PLAN)


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("[1]", "plan.json is damaged; start anew"),
        ('{"journal": 1, "items": 3}', "plan.json is damaged, or not of the inputs beside it; start anew"),
        ('{"journal": 1, "plan": {}, "items": "3"}', "plan.json is damaged, or not of the inputs"),
        ('{"journal": 1, "plan": {}, "items": 999999999999}', "plan.json is damaged, or not of the inputs"),
        ('{"journal": 1, "plan": {}, "items": -1}', "plan.json is damaged, or not of the inputs"),
    ],
)
def test_a_damaged_plan_is_refused(folder, stored, text):
    (folder / "plan.json").write_text(stored)
    with pytest.raises(RunError, match=text):
        open_journal(folder, PLAN)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (b'"a"\n{"pa\n"c"\n', "inputs is damaged in line 2; start anew"),
        (b'"a"\n"\xff"\n"c"\n', "inputs is damaged in line 2"),
        (b'"a"\n"b"\n', "inputs is damaged: 2 items of 3"),
        (b'"a"\n"b"\n"c"\n"d"\n', "inputs is damaged: 4 items of 3"),
    ],
)
def test_damaged_inputs_are_refused(folder, inputs, text):
    (folder / "inputs").write_bytes(inputs)
    with pytest.raises(RunError, match=text):
        claimed(folder)


def test_a_tail_torn_at_any_byte_costs_the_last_record_only(folder):
    record(folder, (0, "x" * 10), (1, "y"))
    whole = (folder / "records").read_bytes()
    first = whole.index(b"\n") + 1
    for size in range(first, len(whole)):
        (folder / "records").write_bytes(whole[:size])
        with open_journal(folder, PLAN) as journal:
            assert (journal.done, journal.damaged) == (1, int(size > first))
            assert journal.record(1, "again")
            assert [value for _, _, value in journal.results()] == ["x" * 10, "again"]


@pytest.mark.parametrize("damage", [b"\0" * 5000, b"\n", b"0000abcd [1,2]\n", b"zz\n", b"00000000 \n"])
def test_rubbish_at_the_end_is_dropped(folder, damage):
    record(folder, (0, 1), (1, 2))
    with (folder / "records").open("ab") as file:
        file.write(damage)
    with open_journal(folder, PLAN) as journal:
        assert (journal.done, journal.damaged) == (2, 1)
        journal.record(2, 3)
    with open_journal(folder, PLAN) as journal:
        assert (journal.done, journal.damaged) == (3, 0)


def test_any_flipped_bit_is_found_and_costs_its_record_only(folder):
    record(folder, (0, 1.5), (1, "two"), (2, 3))
    whole = (folder / "records").read_bytes()
    lines = whole.splitlines(keepends=True)
    for place in range(len(lines[0]), len(lines[0]) + len(lines[1]) - 1):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            (folder / "records").write_bytes(damaged)
            with open_journal(folder, PLAN) as journal:
                values = {index: value for index, _, value in journal.results()}
            assert values == {0: 1.5, 2: 3}


def test_a_record_for_no_item_is_damage(folder):
    record(folder, (2, 1))
    start_journal(folder.parent / "short", PLAN, ["a"])
    (folder.parent / "short" / "records").write_bytes((folder / "records").read_bytes())
    with open_journal(folder.parent / "short", PLAN) as journal:
        assert (journal.done, journal.damaged) == (0, 1)


def test_a_full_disk_keeps_what_is_there_and_says_so(folder, monkeypatch):
    real = os.write
    with open_journal(folder, PLAN) as journal:
        journal.record(0, "kept")
        calls = iter([3])

        def write(handle, data):
            size = next(calls, None)
            if size is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(handle, data[:size])

        monkeypatch.setattr(module.os, "write", write)
        with pytest.raises(
            AuricleError, match=r"No space left on device after 1 of 3, which are kept; free some space"
        ):
            journal.record(1, "lost")
        monkeypatch.undo()
        assert journal.record(1, "after all")
    with open_journal(folder, PLAN) as journal:
        assert [value for _, _, value in journal.results()] == ["kept", "after all"]
        assert journal.damaged == 0


def test_a_failing_disk_gets_other_advice(folder, monkeypatch):
    with open_journal(folder, PLAN) as journal:
        monkeypatch.setattr(module.os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
        with pytest.raises(AuricleError, match=r"I/O error after 0 of 3, which are kept; check the disk"):
            journal.record(0, "lost")


def test_records_reach_the_disk_in_batches(folder, monkeypatch):
    now, synced = [0.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with open_journal(folder, PLAN) as journal:
        real = os.fsync
        monkeypatch.setattr(module.os, "fsync", lambda handle: synced.append(now[0]) or real(handle))
        journal.record(0, 1)
        assert synced == []
        now[0] = module.SYNC_EVERY_S
        journal.record(1, 2)
        assert synced == [2.0]
        journal.record(2, 3)
    assert synced == [2.0, 2.0]


WRITER = """
import sys, time
from pathlib import Path
from auricle.journal import open_journal
with open_journal(Path(sys.argv[1]), {}) as journal:
    print("open", flush=True)
    for index, item in journal.pending():
        journal.record(index, [item] * (1 + index % 50))
        time.sleep(0.0005)
"""


def test_killed_again_and_again_it_ends_as_if_it_had_never_been_killed(tmp_path):
    count = 400
    start_journal(tmp_path, {}, (f"item {i}" for i in range(count)))
    chance = random.Random(0)
    done = kills = 0
    while done < count:
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(chance.uniform(0.01, 0.12))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        with open_journal(tmp_path, {}) as journal:
            assert journal.done >= done, "nothing that was recorded is lost"
            done = journal.done
    assert kills >= 3
    with open_journal(tmp_path, {}) as journal:
        found = list(journal.results())
    assert found == [(i, f"item {i}", [f"item {i}"] * (1 + i % 50)) for i in range(count)]
    assert len((tmp_path / "records").read_bytes().splitlines()) == count
