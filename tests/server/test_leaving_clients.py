# SPDX-License-Identifier: Apache-2.0
"""Clients that leave before their answer, and a server that stops before it: nothing is done for nobody."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time

import pytest
from helpers.serving import read_reply, running, wait_for

HEAD = "POST /v1/{} HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: {}\r\n\r\n"


def request(kind: str, body: bytes, length: int | None = None) -> bytes:
    return HEAD.format(kind, len(body) if length is None else length).encode() + body


@pytest.fixture
def slow(bundle, monkeypatch):
    """A server whose one worker for recordings can be stopped and let continue; ``begun`` counts its jobs."""
    from auricle.server.workers import Worker

    begun = []
    run = Worker.run

    def counted(worker, job, *rest):
        begun.append(job.kind)
        return run(worker, job, *rest)

    monkeypatch.setattr(Worker, "run", counted)
    with running([str(bundle.path)], workers=1, max_requests=20, drain_s=1.0) as server:
        wait_for(lambda: server.service.state is None)
        yield server, begun
        for pid in server.service.engine.files.pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(("kind", "padding"), [("tag", 0), ("detect", 2_000_000)])
def test_what_waits_for_a_worker_when_its_client_leaves_is_never_begun(slow, wav, kind, padding):
    """Small recordings wait in memory, large ones in files."""
    server, begun = slow
    (pid,) = server.service.engine.files.pids
    os.kill(pid, signal.SIGSTOP)
    first = server.raw(request(kind, wav))
    wait_for(lambda: len(begun) == 1)
    size = len(wav) + padding
    waiting = [server.raw(request(kind, wav + bytes(padding))) for _ in range(5)]
    wait_for(lambda: server.service.gate.spooled_bytes == len(wav) + 5 * size)
    for connection in waiting:
        connection.close()
    wait_for(lambda: server.service.gate.spooled_bytes == len(wav))
    os.kill(pid, signal.SIGCONT)
    last = server.post(f"/v1/{kind}", wav)
    assert last.status_code == 200
    assert b"200 OK" in first.recv(4096)
    first.close()
    assert len(begun) == 2, "the first and the last, and none of those that left"
    found = re.search(rf'auricle_requests_total\{{path="/v1/{kind}",status="499"\}} (\d+)', server.get("/metrics").text)
    assert found is not None
    assert int(found[1]) == 5


def test_work_that_has_begun_is_stopped_and_the_worker_is_free_again(slow, wav, monkeypatch):
    server, begun = slow
    monkeypatch.setattr("auricle.server.workers._STOP_S", 0.5)
    before = server.service.engine.files.pids
    os.kill(before[0], signal.SIGSTOP)
    connection = server.raw(request("tag", wav))
    wait_for(lambda: begun == ["tag"])
    connection.close()
    wait_for(lambda: server.service.gate.spooled_bytes == 0, 30)
    assert server.post("/v1/tag", wav).status_code == 200
    assert server.service.engine.files.pids != before, "it hung, so another took its place"


def test_a_client_that_stays_is_answered_though_others_left(slow, wav):
    server, _ = slow
    for _ in range(5):
        server.raw(request("detect", wav)).close()
    assert server.post("/v1/detect", wav).status_code == 200


@pytest.mark.parametrize("missing", [0, 10])
def test_what_is_not_done_when_the_server_stops_is_refused_with_a_code(bundle, wav, missing, monkeypatch, caplog):
    """One recording hangs in a worker, another has not arrived whole."""
    monkeypatch.setattr("auricle.server.workers._STOP_S", 0.5)
    with running([str(bundle.path)], workers=1, drain_s=0.5, body_grace_s=60.0) as server:
        wait_for(lambda: server.service.state is None)
        os.kill(server.service.engine.files.pids[0], signal.SIGSTOP)
        connection = server.raw(request("tag", wav, len(wav) + missing))
        wait_for(lambda: server.service.gate.spooled_bytes == len(wav))
        time.sleep(0.1)
        server.server.should_exit = True
        reply = read_reply(connection)
    start, _, body = reply.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 503 ")
    assert b"content-type: application/json" in start
    assert json.loads(body)["error"]["code"] == "stopping"
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def test_what_can_be_done_is_done_before_the_server_stops(bundle, wav):
    with running([str(bundle.path)], workers=1, drain_s=30.0) as server:
        wait_for(lambda: server.service.state is None)
        pid = server.service.engine.files.pids[0]
        os.kill(pid, signal.SIGSTOP)
        connection = server.raw(request("tag", wav))
        wait_for(lambda: server.service.gate.spooled_bytes == len(wav))
        threading.Timer(0.5, os.kill, (pid, signal.SIGCONT)).start()
        server.server.should_exit = True
        assert b"HTTP/1.1 200 OK" in read_reply(connection)
