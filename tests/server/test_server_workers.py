# SPDX-License-Identifier: Apache-2.0
"""Workers die, hang and are replaced."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from tinybundle import RATE

from auricle.audio.decode import Limits
from auricle.errors import InputError, UsageError
from auricle.runtime.session import open_network
from auricle.server.replies import Refusal
from auricle.server.workers import Job, RemoteNetwork, Source, WorkerDied, WorkerPool


@pytest.fixture(scope="module")
def pool(bundle):
    made = WorkerPool({"tiny": Source(str(bundle.path))}, 1, limits=Limits(max_duration_s=10), timeout_s=30)
    made.start()
    yield made
    made.close()


def test_windows_go_through_a_worker_unchanged(pool, bundle):
    windows = np.random.default_rng(0).uniform(-1, 1, (3, RATE)).astype(np.float32)
    wanted = frozenset({"frames", "embedding"})
    found, expected = RemoteNetwork(pool, "tiny").run(windows, wanted), open_network(bundle).run(windows, wanted)
    assert np.array_equal(found.clip, expected.clip)
    assert np.array_equal(found.frames, expected.frames)
    assert np.array_equal(found.embedding, expected.embedding)


def test_a_recording_as_bytes_and_as_a_file(pool, wav, tmp_path):
    (tmp_path / "x").write_bytes(wav)
    from_bytes = pool.run(Job("tag", "tiny", "a.wav", wav))
    with (tmp_path / "x").open("rb") as file:
        file.seek(0, os.SEEK_END)
        assert pool.run(Job("tag", "tiny", "a.wav"), file) == from_bytes
    assert from_bytes.path == "a.wav"


def test_errors_keep_their_kind(pool, wav):
    with pytest.raises(InputError, match="HTML") as caught:
        pool.run(Job("tag", "tiny", content=b"<html></html>"))
    assert caught.value.code == "not_audio"
    with pytest.raises(UsageError, match="the threshold of 'loud' is 2"):
        pool.run(Job("detect", "tiny", content=wav, threshold=2.0))
    with pytest.raises(Refusal, match="the server's log says why"):
        pool.run(Job("tag", "no such model", content=wav))
    assert pool.run(Job("tag", "tiny", content=wav)).error is None


def test_a_worker_that_dies_at_work_fails_that_job_alone(pool, wav):
    (pid,) = pool.pids
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    with pytest.raises(WorkerDied):
        pool.run(Job("tag", "tiny", content=wav))
    assert pool.pids != [pid]
    assert pool.run(Job("tag", "tiny", content=wav)).error is None


def test_a_worker_that_hangs_is_replaced(bundle, wav):
    restarts = []
    pool = WorkerPool(
        {"tiny": Source(str(bundle.path))},
        1,
        limits=Limits(),
        timeout_s=0.5,
        on_restart=lambda: restarts.append(time.monotonic()),
    )
    pool.start()
    os.kill(pool.pids[0], signal.SIGSTOP)
    with pytest.raises(Refusal, match=r"longer than 0\.5 s") as caught:
        pool.run(Job("tag", "tiny", content=wav))
    assert caught.value.code == "timeout"
    assert len(restarts) == 1
    pool.close()


def test_a_worker_that_is_told_to_leave_finishes_first(pool, wav):
    (pid,) = pool.pids
    os.kill(pid, signal.SIGTERM)
    with pytest.raises(WorkerDied):
        pool.run(Job("tag", "tiny", content=wav))
    assert pool.run(Job("tag", "tiny", content=wav)).error is None
