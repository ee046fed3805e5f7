# SPDX-License-Identifier: Apache-2.0
"""Workers die, hang and are replaced."""

from __future__ import annotations

import os
import signal
import struct
import threading
import time

import numpy as np
import pytest
from helpers.tinybundle import RATE, make_causal_bundle

from auricle.audio.decode import Limits
from auricle.errors import InputError, UsageError
from auricle.results import Scores
from auricle.runtime.detector import load
from auricle.runtime.onnx_session import open_network
from auricle.runtime.stream import Stream
from auricle.server.responses import Refusal
from auricle.server.workers import _STOP, AbandonedError, Job, RemoteNetwork, Source, WorkerDied, WorkerPool


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


def test_the_state_of_a_causal_stream_goes_with_its_samples(tmp_path):
    """Another worker continues where the last one died: nothing is in the worker."""
    bundle = make_causal_bundle(tmp_path / "causal")
    pool = WorkerPool({"causal": Source(str(bundle.path))}, 1, limits=Limits(), timeout_s=30)
    pool.start()
    try:
        stream = Stream(bundle.spec, RemoteNetwork(pool, "causal", running=True), RATE)
        expected = load(bundle.path).stream(RATE)
        samples = np.random.default_rng(0).uniform(-1, 1, 5 * RATE).astype(np.float32)
        found, wanted = stream.push(samples[:2_050]), expected.push(samples[:2_050])
        os.kill(pool.pids[0], signal.SIGKILL)
        found += stream.push(samples[2_050:]) + stream.flush()
        wanted += expected.push(samples[2_050:]) + expected.flush()
    finally:
        pool.close()
    values = [[i.values for i in items if isinstance(i, Scores)] for items in (found, wanted)]
    np.testing.assert_array_equal(np.concatenate(values[0]), np.concatenate(values[1]))
    assert [i for i in found if not isinstance(i, Scores)] == [i for i in wanted if not isinstance(i, Scores)]


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


def hours_of_silence(path, hours: int):
    """Write a WAV file of zeros, which takes no room on the disk."""
    size = hours * 3600 * 8_000 * 2
    header = struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 1, 8_000, 16_000, 2, 16, b"data", size
    )
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    return path


def test_a_worker_stops_within_a_recording_that_nobody_waits_for(bundle, wav, tmp_path):
    pool = WorkerPool({"tiny": Source(str(bundle.path))}, 1, limits=Limits(), timeout_s=300)
    pool.start()
    try:
        before, gone = pool.pids, threading.Event()
        with hours_of_silence(tmp_path / "long.wav", 20).open("rb") as file:
            threading.Timer(0.5, gone.set).start()
            with pytest.raises(AbandonedError):
                pool.run(Job("detect", "tiny"), file, gone)
        assert pool.pids == before, "it stopped by itself"
        assert pool.run(Job("tag", "tiny", content=wav)).error is None
        with pytest.raises(AbandonedError):
            pool.run(Job("tag", "tiny", content=wav), None, gone)
    finally:
        pool.close()


def test_a_worker_that_does_not_stop_is_replaced(bundle, wav, monkeypatch):
    monkeypatch.setattr("auricle.server.workers._STOP_S", 0.3)
    pool = WorkerPool({"tiny": Source(str(bundle.path))}, 1, limits=Limits(), timeout_s=300)
    pool.start()
    try:
        before, gone = pool.pids, threading.Event()
        os.kill(before[0], signal.SIGSTOP)
        threading.Timer(0.2, gone.set).start()
        with pytest.raises(WorkerDied, match="does not stop"):
            pool.run(Job("tag", "tiny", content=wav), None, gone)
        assert pool.pids != before
        assert pool.run(Job("tag", "tiny", content=wav), None, threading.Event()).error is None
    finally:
        pool.close()


def test_a_stop_that_comes_too_late_harms_no_later_job(pool, wav):
    """The answer and the word to stop may cross on their way."""
    worker = pool._idle.get()
    worker._connection.send(_STOP)
    pool._idle.put(worker)
    assert pool.run(Job("tag", "tiny", content=wav)).error is None
