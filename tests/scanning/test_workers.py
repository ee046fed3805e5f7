# SPDX-License-Identifier: Apache-2.0
"""Worker processes that hang, die, refuse and do not start."""

from __future__ import annotations

import os
import time
from functools import partial

import pytest
from helpers.deadly_work import open_work

from auricle.audio.listing import Entry
from auricle.errors import AuricleError, UsageError
from auricle.scanning.task import failed_record
from auricle.scanning.workers import work_in_processes


def cannot_start():
    os._exit(3)


def results(names, tmp_path, jobs=2, timeout_s=30.0):
    pieces = ((i, Entry(name)) for i, name in enumerate(names))
    return dict(work_in_processes(partial(open_work, str(tmp_path)), pieces, jobs=jobs, timeout_s=timeout_s))


def codes(found):
    return {record["path"]: record["error"] and record["error"]["code"] for record in found.values()}


def test_every_piece_has_its_record_once_and_the_workers_share_them(tmp_path):
    pieces = ((i, Entry(f"a{i}")) for i in range(50))
    found = list(work_in_processes(partial(open_work, str(tmp_path)), pieces, jobs=2, timeout_s=30))
    assert sorted(index for index, _ in found) == list(range(50))
    assert all(record["path"] == f"a{index}" for index, record in found)
    assert os.getpid() not in {record["pid"] for _, record in found}


def test_a_recording_that_hangs_fails_alone(tmp_path):
    start = time.monotonic()
    found = results(["a", "hang", "b", "c"], tmp_path, jobs=1, timeout_s=1.0)
    assert codes(found) == {"a": None, "hang": "timeout", "b": None, "c": None}
    assert found[1]["error"]["message"] == "not done after 1 s; look at the file, or allow more with --timeout"
    assert time.monotonic() - start < 50


def test_a_recording_that_kills_its_worker_twice_fails_and_one_that_does_it_once_does_not(tmp_path):
    found = results(["a", "crash", "b", "die once", "c"], tmp_path, jobs=1)
    assert codes(found) == {"a": None, "crash": "internal", "b": None, "die once": None, "c": None}
    assert "its worker process died 2 times (SIGSEGV)" in found[1]["error"]["message"]


def test_work_that_refuses_stops_everything(tmp_path):
    with pytest.raises(UsageError, match="the model is broken"):
        results(["a", "refuse", "b"], tmp_path)


def test_workers_that_die_when_they_start_are_not_started_for_ever():
    with pytest.raises(AuricleError, match=r"die when they start \(exit code 3\); fewer --jobs take less memory"):
        list(work_in_processes(cannot_start, iter([(0, Entry("a"))]), jobs=1, timeout_s=30))


def test_nothing_to_do_starts_nothing():
    assert list(work_in_processes(cannot_start, iter([]), jobs=4, timeout_s=30)) == []


def test_a_caller_that_stops_leaves_no_process(tmp_path):
    running = work_in_processes(
        partial(open_work, str(tmp_path)), ((i, Entry(f"a{i}")) for i in range(9)), jobs=2, timeout_s=30
    )
    pid = next(running)[1]["pid"]
    running.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_record_of_a_failure_escapes_its_path():
    from auricle.results import Failure

    record = failed_record(Entry("caf\udce9.wav"), Failure("timeout", "late"))
    assert record == {
        "path": "caf\\udce9.wav",
        "duration": None,
        "flags": [],
        "error": {"code": "timeout", "message": "late"},
    }
