# SPDX-License-Identifier: Apache-2.0
"""Parsing in slices, with others in between and no more than one read ahead."""

from __future__ import annotations

import asyncio

import h11
import pytest

from auricle.server.protocol import SLICE_BYTES, _Counting, _Feed, _Valve


class Transport:
    """Remembers whether it may read."""

    def __init__(self) -> None:
        self.reading = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return False


def test_a_flood_is_parsed_in_slices_in_order_while_others_have_their_turn():
    data = bytes(range(256)) * (4 * SLICE_BYTES // 256) + b"end"
    transport, parsed, others = Transport(), [], []

    async def run():
        loop = asyncio.get_running_loop()
        feed = _Feed(loop, parsed.append, pause=transport.pause_reading, resume=transport.resume_reading)
        feed.push(b"small")
        assert parsed == [b"small"]
        feed.push(data)
        assert not transport.reading
        while not transport.reading:
            others.append(len(parsed))
            await asyncio.sleep(0)
        feed.push(b"later")

    asyncio.run(run())
    assert b"".join(parsed) == b"small" + data + b"later"
    assert max(map(len, parsed)) <= SLICE_BYTES
    assert len(others) >= 4


def test_parsing_waits_for_the_application_and_ends_with_the_connection():
    parsed, held = [], [False]

    async def run():
        loop = asyncio.get_running_loop()
        transport = Transport()

        def parse(part):
            parsed.append(part)
            held[0] = True

        feed = _Feed(loop, parse, pause=transport.pause_reading, resume=transport.resume_reading, hold=lambda: held[0])
        feed.push(bytes(3 * SLICE_BYTES))
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(parsed) == 1
        held[0] = False
        feed.go_on()
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(parsed) == 2
        assert not transport.reading
        held[0] = False
        feed.close()
        feed.go_on()
        feed.push(b"too late")
        await asyncio.sleep(0)
        assert len(parsed) == 2

    asyncio.run(run())


def test_reading_goes_on_when_nobody_wants_it_paused():
    transport = Transport()
    valve = _Valve(transport)
    valve.pause_reading("feed")
    valve.pause_reading()
    valve.resume_reading("feed")
    assert not transport.reading
    valve.resume_reading()
    assert transport.reading


def test_a_body_of_stated_length_is_parsed_at_once():
    parsed: list[bytes] = []
    left = [5 * SLICE_BYTES]

    async def flood() -> None:
        loop = asyncio.get_running_loop()

        def parse(data: bytes) -> None:
            parsed.append(data)
            left[0] = max(0, left[0] - len(data))

        feed = _Feed(loop, parse, pause=lambda: None, resume=lambda: None, plain=lambda: left[0])
        feed.push(bytes(4 * SLICE_BYTES))
        feed.push(bytes(3 * SLICE_BYTES))
        await asyncio.sleep(0.05)

    asyncio.run(flood())
    assert [len(data) // SLICE_BYTES for data in parsed] == [4, 1, 1, 1]


@pytest.mark.parametrize(
    ("header", "body", "left"),
    [
        (b"content-length: 1000", b"x" * 300, 700),
        (b"content-length: 0", b"", 0),
        (b"transfer-encoding: chunked", b"3\r\nabc\r\n", 0),
    ],
)
def test_only_a_stated_length_says_what_is_still_to_come(header, body, left):
    connection = _Counting(h11.SERVER)
    connection.receive_data(b"POST /v1/tag HTTP/1.1\r\nhost: x\r\n" + header + b"\r\n\r\n" + body)
    assert isinstance(connection.next_event(), h11.Request)
    connection.next_event()
    assert connection.body_left == left
