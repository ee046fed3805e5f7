# SPDX-License-Identifier: Apache-2.0
"""What a live stream may not be, by the numbers of the register of bad inputs (S12 to S24)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from helpers.serving import running, wait_for
from helpers.tinybundle import RATE
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

HELLO = {"model": "tiny", "sample_rate": RATE, "format": "f32le"}
END = json.dumps({"end": True})
TOKEN = "a-token-of-many-characters"


def messages(connection) -> list[dict]:
    return [json.loads(text) for text in connection]


def closing(connection) -> tuple[int, str]:
    """Read to the end; return the close code and its reason."""
    with contextlib.suppress(ConnectionClosed):
        while connection.recv(timeout=30) is not None:
            pass
    return connection.close_code, connection.close_reason


def said(found: list[dict], *keys: str) -> list[dict]:
    return [message for message in found if all(key in message for key in keys)]


@pytest.fixture
def no_streams(tiny):
    """Wait until the streams of other tests are gone."""
    wait_for(lambda: len(tiny.service.streams) == 0)
    return tiny


def test_s12_one_stream_too_many_is_told_to_come_later(no_streams):
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            assert "ready" in json.loads(stack.enter_context(no_streams.stream(HELLO)).recv())
        with no_streams.stream() as late:
            assert closing(late) == (1013, "4 streams are open; try again later")
    wait_for(lambda: len(no_streams.service.streams) == 0)
    with no_streams.stream(HELLO) as again:
        assert "ready" in json.loads(again.recv())


def test_s13_a_client_that_vanishes_mid_stream_leaves_nothing(no_streams):
    raw = upgrade(no_streams)
    raw.sendall(frame(1, json.dumps(HELLO).encode()) + frame(2, bytes(4_000)))
    wait_for(lambda: len(no_streams.service.streams) == 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset instead of a polite end
    raw.close()
    wait_for(lambda: len(no_streams.service.streams) == 0, 30)


def test_s13_a_client_that_answers_no_ping_is_dropped(gate_only):
    with gate_only(ping_s=0.3) as server:
        raw = upgrade(server)
        raw.sendall(frame(1, json.dumps(HELLO).encode()))
        wait_for(lambda: len(server.service.streams) == 1)
        wait_for(lambda: len(server.service.streams) == 0, 15)
        raw.close()


def upgrade(server) -> socket.socket:
    """Open a WebSocket by hand, which answers no ping."""
    raw = server.raw(
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):  # byte by byte: a refusal may come in the same packet, and is not part of it
        part = raw.recv(1)
        assert part, head
        head += part
    assert b" 101 " in head
    return raw


def frame(opcode: int, payload: bytes, *, first_bits: int = 0x80) -> bytes:
    """Return one masked frame; a mask of zeros changes nothing."""
    length = len(payload)
    if length < 126:
        size = bytes([0x80 | length])
    else:
        size = struct.pack("!BH", 0xFE, length) if length < 65_536 else struct.pack("!BQ", 0xFF, length)
    return bytes([first_bits | opcode]) + size + bytes(4) + payload


def test_s14_a_client_that_reads_nothing_is_cut_off(no_streams):
    raw = upgrade(no_streams)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.sendall(frame(1, json.dumps(HELLO).encode()))
    wait_for(lambda: len(no_streams.service.streams) == 1)
    for connection in no_streams.server.server_state.connections:  # little fits into the system's buffers
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stop = threading.Event()

    def flood():
        quiet = frame(2, np.zeros(20_000, "<f4").tobytes())
        while not stop.is_set():
            try:
                raw.sendall(quiet)
            except OSError:
                return

    sender = threading.Thread(target=flood)
    sender.start()
    wait_for(lambda: len(no_streams.service.streams) == 0, 120)
    stop.set()
    raw.close()
    sender.join(30)


def test_s15_a_client_faster_than_real_time_loses_nothing(tiny, buzz):
    data = np.tile(buzz, 60).tobytes()

    def send(connection):
        for start in range(0, len(data), 65_536):
            connection.send(data[start : start + 65_536])
        connection.send(END)

    with tiny.stream(HELLO) as connection:
        sender = threading.Thread(target=send, args=(connection,))
        sender.start()
        found = messages(connection)
        sender.join(30)
    assert found[-1]["end"]["duration"] == 120.0
    assert sum(len(message["times"]) for message in said(found, "times")) == 1_200


def test_s16_a_client_that_says_nothing_is_closed(gate_only):
    with gate_only(idle_s=0.5) as server:
        with server.stream() as connection:
            assert closing(connection) == (1008, "no first message for 0.6 s")
        with server.stream(HELLO) as connection:
            connection.recv()
            assert closing(connection) == (1000, "no sound for 0.5 s")


@pytest.mark.parametrize("cut", [1, 3, 333, 5_000, 1_000_000])
def test_s17_bytes_cut_anywhere_give_the_scores_of_one_piece(tiny, buzz, wav, cut):
    data = np.tile(buzz, 1).tobytes()[: 1_500 if cut == 1 else None]
    with tiny.stream(HELLO) as connection:
        for start in range(0, len(data), cut):
            connection.send(data[start : start + cut])
        connection.send(END)
        found = messages(connection)
    with tiny.stream(HELLO) as connection:
        connection.send(data)
        connection.send(END)
        whole = messages(connection)
    scores = [row for message in said(found, "scores") for row in message["scores"]]
    assert scores == [row for message in said(whole, "scores") for row in message["scores"]]
    assert said(found, "offset") == said(whole, "offset")
    if cut != 1:
        response = tiny.post("/v1/detect", wav, params={"scores": "true"}).json()
        assert scores == response["scores"]["values"]
        assert said(found, "offset") == response["events"]


def test_s17_a_message_over_the_limit_is_closed(tiny):
    with tiny.stream(HELLO) as connection:
        connection.send(bytes(2_000_001))
        assert closing(connection)[0] == 1009


def test_s17_sixteen_bit_samples_are_those_of_floats(tiny, buzz):
    with tiny.stream({**HELLO, "format": "s16le"}) as connection:
        connection.send((buzz * 32_768).astype("<i2").tobytes())
        connection.send(END)
        found = messages(connection)
    assert said(found, "scores")[0]["scores"][0] == [0.125, 0.875]
    assert said(found, "offset")[1] == {"label": "loud", "onset": 0.5, "offset": 1.0, "score": 0.75}


@pytest.mark.parametrize(
    ("hello", "code", "reason"),
    [
        (b"\x00\x00\x00\x00", 1003, "samples where the first message is due"),
        ("nonsense", 1007, "not JSON"),
        ("[" * 100_000, 1007, "not JSON"),
        ("[1]", 1007, "expected a JSON object"),
        ({}, 1008, "sample_rate must be a whole number of Hz"),
        ({"sample_rate": "16000"}, 1008, "sample_rate must be a whole number of Hz"),
        ({"sample_rate": True}, 1008, "sample_rate must be a whole number of Hz"),
        ({"sample_rate": 1}, 1008, "a sample rate of 1 Hz"),
        ({**HELLO, "model": "../tiny"}, 1008, "unknown model (did you mean 'tiny'?)"),
        ({**HELLO, "model": 3}, 1008, "unknown model"),
        ({**HELLO, "format": "mp3"}, 1008, "unknown format; known: f32le, s16le"),
        ({**HELLO, "rate": 3}, 1008, "unknown key 'rate'; known: model"),
        ({**HELLO, "scores": 1}, 1008, "scores must be true or false"),
        ({**HELLO, "threshold": "x"}, 1008, "threshold must be a number from 0 to 1"),
        ({**HELLO, "threshold": {"loud": 2}}, 1008, "the threshold of 'loud' is 2"),
        ({**HELLO, "threshold": {"dog": 0.5}}, 1008, "tiny has no label 'dog'"),
    ],
)
def test_s18_a_wrong_first_message_is_closed_with_a_reason(tiny, hello, code, reason):
    with tiny.stream(hello) as connection:
        found = closing(connection)
    assert found[0] == code
    assert found[1].startswith(reason)


@pytest.mark.parametrize(
    ("text", "code"),
    [("hello", 1007), ('{"x": 1}', 1003), ("{}", 1003), ('{"gap_s": -1}', 1008), ('{"sample_rate": 3}', 1008)],
)
def test_s18_text_where_samples_are_due_is_closed(tiny, text, code):
    with tiny.stream(HELLO) as connection:
        connection.send(text)
        assert closing(connection)[0] == code


def test_s19_samples_that_are_no_sound_are_zeroed_and_flagged(tiny, buzz):
    broken = buzz.copy()
    broken[100:103] = [np.nan, np.inf, -1e30]
    with tiny.stream(HELLO) as connection:
        connection.send(broken.tobytes())
        connection.send(END)
        found = messages(connection)
    assert said(found, "flags")[0] == {"flags": [{"code": "nonfinite", "count": 3}]}
    assert found[-1]["end"]["flags"] == [{"code": "nonfinite", "count": 3}]
    assert said(found, "scores")[-1]["scores"][-1] == [0.125, 0.875]


def test_s20_a_gap_ends_what_is_open_and_marks_it(tiny, buzz):
    with tiny.stream(HELLO) as connection:
        connection.send(buzz[:750].tobytes())  # torn out of the loud part
        connection.send(json.dumps({"gap_s": 3.0, "sample_rate": 8_000}))
        connection.send(np.zeros(8_000, "<f4").tobytes())
        connection.send(END)
        found = messages(connection)
    gap = next(i for i, message in enumerate(found) if "gap" in message)
    assert found[gap] == {"gap": {"at": 0.75, "gap_s": 3.0, "sample_rate": 8_000}}
    assert said(found[:gap], "offset")[-1] == {
        "label": "loud",
        "onset": 0.5,
        "offset": 0.7,
        "score": 0.75,
        "cut": True,
    }
    assert said(found[gap:], "times")[0]["times"][0] == 3.8
    assert said(found[gap:], "offset") == [{"label": "quiet", "onset": 3.75, "offset": 4.75, "score": 1.0}]
    assert found[-1]["end"]["duration"] == 4.75


def test_s21_time_is_that_of_the_samples_and_the_drift_is_reported(tiny, buzz):
    with tiny.stream(HELLO) as connection:
        connection.send(buzz[:1_000].tobytes())
        time.sleep(0.3)
        connection.send(buzz[1_000:].tobytes())
        connection.send(END)
        end = messages(connection)[-1]["end"]
    assert end["duration"] == 2.0
    assert end["wall_s"] > 0.2
    assert end["drift_s"] == pytest.approx(end["wall_s"] - 2.0, abs=1e-5)


def test_s22_compression_is_not_offered_and_a_compressed_frame_ends_the_stream(tiny):
    with tiny.stream(HELLO, extensions=[ClientPerMessageDeflateFactory()]) as connection:
        assert "ready" in json.loads(connection.recv())
        assert connection.protocol.extensions == []
    raw = upgrade(tiny)
    raw.sendall(frame(1, zlib.compress(bytes(100_000)), first_bits=0xC0))
    assert struct.pack("!H", 1002) in raw.recv(4096)
    raw.close()


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_s23_a_page_of_another_site_gets_no_stream(tiny, origin):
    with pytest.raises(InvalidStatus) as caught, tiny.stream(origin=origin):
        pass
    assert caught.value.response.status_code == 403
    assert json.loads(caught.value.response.body)["error"]["code"] == "forbidden"


def test_s23_the_own_page_gets_one_and_shows_its_token_as_a_subprotocol(gate_only):
    with gate_only(token=TOKEN) as server:
        with pytest.raises(InvalidStatus) as caught, server.stream(HELLO):
            pass
        assert caught.value.response.status_code == 401
        options = {"origin": server.url, "subprotocols": ["auricle", f"auricle.token.{TOKEN}"]}
        with server.stream(HELLO, **options) as connection:
            assert "ready" in json.loads(connection.recv())
            assert connection.subprotocol == "auricle"
        with server.stream(HELLO, additional_headers={"Authorization": f"Bearer {TOKEN}"}) as connection:
            assert "ready" in json.loads(connection.recv())


def test_s24_a_server_that_stops_gives_what_is_certain_and_says_good_bye(bundle, buzz):
    with running([str(bundle.path)]) as server:
        wait_for(lambda: server.service.state is None)
        with server.stream(HELLO) as connection:
            connection.send(buzz[:1_000].tobytes())
            while "times" not in json.loads(connection.recv(timeout=60)):
                pass
            server.server.should_exit = True
            found = messages(connection)
    assert connection.close_code == 1001
    assert said(found, "offset")[-1]["label"] == "loud"
    assert found[-1]["end"]["duration"] == 1.0


def test_s25_a_worker_that_dies_under_a_stream_is_replaced_unseen(tiny, buzz):
    with tiny.stream(HELLO) as connection:
        connection.recv()
        for pid in tiny.service.engine.windows.pids:
            os.kill(pid, signal.SIGKILL)
        connection.send(buzz.tobytes())
        connection.send(END)
        found = messages(connection)
    assert len(said(found, "offset")) == 3


def test_other_paths_have_no_sockets(tiny):
    with pytest.raises(InvalidStatus) as caught, connect(f"ws://127.0.0.1:{tiny.port}/v1/other", proxy=None):
        pass
    assert caught.value.response.status_code == 404
    assert json.loads(caught.value.response.body)["error"]["code"] == "unknown_path"
