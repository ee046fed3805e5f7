# SPDX-License-Identifier: Apache-2.0
"""The limits as they are by default, with as many clients as they speak of: slow, because the clock has to run."""

from __future__ import annotations

import contextlib
import json
import resource
import time

import pytest
from helpers.serving import read_reply, running, wait_for
from helpers.tinybundle import RATE
from test_bad_streams import HELLO, frame, upgrade

from auricle.server.settings import Settings

DEFAULT = Settings()
pytestmark = pytest.mark.slow


@pytest.fixture
def many_files():
    """Allow a socket for each end of each client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4_096:
        pytest.skip(f"needs 4,096 open files, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4_096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_s04_lorises_are_gone_within_15_s_while_others_are_served(bundle, wav):
    limits = {"head_timeout_s": DEFAULT.head_timeout_s, "body_grace_s": DEFAULT.body_grace_s}
    body = b"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: 100000\r\n\r\nRIFF"
    with running([str(bundle.path)], **limits) as server, contextlib.ExitStack() as stack:
        wait_for(lambda: server.service.state is None)
        began = time.monotonic()
        lorises = [server.raw(head) for head in [b"GET /health HTTP/1.1\r\nHo", body] for _ in range(100)]
        for loris in lorises:
            stack.callback(loris.close)
            loris.settimeout(0.0)
        slowest, served = 0.0, 0
        waiting = list(lorises)
        while waiting:
            start = time.monotonic()
            assert server.post("/v1/tag", wav).status_code == 200
            slowest, served = max(slowest, time.monotonic() - start), served + 1
            for loris in waiting:
                with contextlib.suppress(OSError):
                    loris.send(b"x")  # a byte now and then is no progress
            waiting = [loris for loris in waiting if not is_refused(loris)]
            assert time.monotonic() - began < 15, f"{len(waiting)} are left"
            time.sleep(0.1)
    assert served > 20
    assert slowest < 5, "who is honest does not wait for them"


def is_refused(connection) -> bool:
    """Tell whether the server has answered or closed."""
    try:
        answer = connection.recv(4_096)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_s12_a_thousand_streams_are_served_and_the_next_one_is_put_off(bundle, many_files):
    sound = frame(2, bytes(4 * (RATE + RATE // 5)))  # 1.2 s, a window and some more
    patient = {"hello_timeout_s": 120.0, "ping_s": 120.0, "idle_s": 120.0}  # these clients answer no ping
    with (
        running([str(bundle.path)], max_sessions=DEFAULT.max_sessions, **patient) as server,
        contextlib.ExitStack() as stack,
    ):
        wait_for(lambda: server.service.state is None)
        clients = [stack.enter_context(contextlib.closing(upgrade(server))) for _ in range(DEFAULT.max_sessions)]
        for client in clients:
            client.sendall(frame(1, json.dumps(HELLO).encode()) + sound)
        for client in clients:
            heard = b""
            while b'"times"' not in heard:
                part = client.recv(65_536)
                assert part, heard
                heard += part
            assert b'"ready"' in heard
        late = upgrade(server)
        assert b"1000 streams are open; try again later" in read_reply(late)
    assert len(server.service.streams) == 0
