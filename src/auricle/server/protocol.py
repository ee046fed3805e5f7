# SPDX-License-Identifier: Apache-2.0
"""Uvicorn's two protocols with the time limits that it lacks.

Uvicorn waits for ever for the end of a request's headers, and for a client that does not read. Here the headers have a
deadline that starts when a connection opens, or with the first byte of a later request; and whoever reads nothing for
``lag_s`` is cut off. What arrives is parsed in slices, with other connections in between, so that a flood of tiny
chunks or messages delays nobody else for long.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.http11 import Response as HandshakeResponse
from websockets.server import ServerProtocol

from auricle.server.responses import Refusal
from auricle.server.settings import Settings

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

#: Bytes that are parsed before other connections have their turn; of a body of stated length, all that are there.
SLICE_BYTES = 16 * 1024
#: Bytes that the framing of chunks may cost beyond those of the body itself, at least.
CHUNK_ALLOWANCE_BYTES = 32 * 1024
#: Longest head of a request.
MAX_HEAD_BYTES = 16 * 1024
#: Connections beside those of the streams and of the requests at work.
SPARE_CONNECTIONS = 256
_LINGER_S = 1.0
_REJECTED = Refusal(
    "bad_request", "this is no WebSocket handshake of RFC 6455: GET, Sec-WebSocket-Key, Sec-WebSocket-Version: 13"
)
_FAILED = Refusal("internal", "the stream could not be opened; the server's log says more")


def _ignore(_data: bytes) -> None:
    """Take what nobody waits for."""


def _nothing() -> None:
    """Do nothing."""


class _Valve:
    """Reading from a connection, which several may want to pause: it continues when none does."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._paused_by: set[str] = set()

    def pause_reading(self, who: str = "flow") -> None:
        """Read no more until the same one resumes."""
        self._paused_by.add(who)
        self._transport.pause_reading()

    def resume_reading(self, who: str = "flow") -> None:
        """Read on, unless another one still waits."""
        self._paused_by.discard(who)
        if not self._paused_by and not self._transport.is_closing():
            self._transport.resume_reading()


class _Feed:
    """Bytes that wait to be parsed, a slice at a time; meanwhile no more are read.

    Args:
        loop: runs the turns.
        parse: takes a slice.
        pause: stops reading.
        resume: reads on.
        hold: says when parsing has to wait for the application, which then calls ``go_on``.
        plain: returns how many of the bytes to come are parsed in one step, however many they are.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        parse: Callable[[bytes], None],
        *,
        pause: Callable[[], None],
        resume: Callable[[], None],
        hold: Callable[[], bool] = lambda: False,
        plain: Callable[[], int] = lambda: 0,
    ) -> None:
        self._loop = loop
        self._parse = parse
        self._pause = pause
        self._resume = resume
        self._hold = hold
        self._plain = plain
        self._waiting = bytearray()
        self._scheduled = False
        self._closed = False

    def close(self) -> None:
        """Forget what waits, and whom it was for: the memory of a lost connection goes at once."""
        self._closed = True
        self._waiting.clear()
        self._parse, self._pause, self._resume, self._hold, self._plain = _ignore, _nothing, _nothing, bool, int

    def push(self, data: bytes) -> None:
        """Parse now what fits a slice; the rest has to wait for its turn."""
        if self._waiting or len(data) > max(SLICE_BYTES, self._plain()):
            self._waiting += data
            self._pause()
            self.go_on()
        else:
            self._parse(data)

    def go_on(self) -> None:
        """Parse what waits, soon."""
        if self._waiting:
            self._pause()
            if not self._scheduled:
                self._scheduled = True
                self._loop.call_soon(self._more)

    def _more(self) -> None:
        self._scheduled = False
        if self._closed or self._hold():
            return
        size = max(SLICE_BYTES, self._plain())
        part = bytes(self._waiting[:size])
        del self._waiting[:size]
        if not self._waiting:
            self._resume()
        self._parse(part)
        self.go_on()


class _Counting(h11.Connection):
    """A connection that counts the bytes of the body.

    Attributes:
        body_bytes: so far.
        body_left: bytes that are still to come of a body whose length was stated; 0 where none was.
    """

    body_bytes = body_left = 0

    def next_event(self) -> Any:
        """Return the next event, as h11 does."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.body_bytes, self.body_left = 0, _stated_length(event)
        elif isinstance(event, h11.Data):
            self.body_bytes += len(event.data)
            self.body_left = max(0, self.body_left - len(event.data))
        return event


def _stated_length(request: h11.Request) -> int:
    """Return the length of the body, 0 where it comes in chunks or not at all; h11 refuses what is no number."""
    stated = {name: value for name, value in request.headers if name in (b"content-length", b"transfer-encoding")}
    return 0 if b"transfer-encoding" in stated else int(stated.get(b"content-length", b"0"))


class _Handshake(ServerProtocol):
    """The handshake of a WebSocket, which refuses with a code like everything else."""

    def reject(self, status: http.HTTPStatus | int, text: str) -> HandshakeResponse:
        """Return the refusal that uvicorn or websockets wants to send as plain text."""
        response = super().reject(status, text)
        refusal = _REJECTED if response.status_code < 500 else _FAILED
        response.body = refusal.body
        for name, value in {**refusal.headers, "content-length": str(len(refusal.body))}.items():
            if name in response.headers:
                del response.headers[name]
            response.headers[name] = value
        return response


class _Lag:
    """Cuts a connection off whose client reads nothing for ``lag_s``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lag_s: float) -> None:
        self._loop = loop
        self._lag_s = lag_s
        self._timer: asyncio.TimerHandle | None = None

    def paused(self, transport: asyncio.Transport) -> None:
        """The client has stopped reading."""
        self._timer = self._loop.call_later(self._lag_s, transport.abort)

    def resumed(self) -> None:
        """It reads again, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def protocols(settings: Settings) -> tuple[type[asyncio.Protocol], type[asyncio.Protocol]]:
    """Return the classes for HTTP and for WebSockets, with these limits."""
    most = settings.max_sessions + settings.max_requests + SPARE_CONNECTIONS

    class Stream(StreamProtocol):
        lag_s = settings.lag_s

    class Request(RequestProtocol):
        lag_s = settings.lag_s
        head_timeout_s = settings.head_timeout_s
        max_connections = most

    return Request, Stream


class RequestProtocol(H11Protocol):
    """HTTP/1.1 with a deadline for headers, a bound on the cost of chunks, and coded refusals."""

    lag_s = 10.0
    head_timeout_s = 10.0
    max_connections = 1_000

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn: _Counting = _Counting(h11.SERVER, MAX_HEAD_BYTES)
        self._lag = _Lag(self.loop, self.lag_s)
        self._head_timer: asyncio.TimerHandle | None = None
        self._left = False
        self._wire_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock; one connection too many is closed at once."""
        super().connection_made(transport)
        valve = _Valve(transport)
        self.flow = FlowControl(cast(asyncio.Transport, valve))
        self._feed = _Feed(
            self.loop,
            self._parse,
            pause=lambda: valve.pause_reading("feed"),
            resume=lambda: valve.resume_reading("feed"),
            plain=lambda: self.conn.body_left,
        )
        if len(self.connections) > self.max_connections:
            transport.abort()
            return
        self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        if not self._left:
            self._feed.push(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._stop_clock()
        self._lag.resumed()
        self._feed.close()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """Close for a client that has read its refusal."""
        if self._left:
            self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over; its own limits apply from here on."""
        self._stop_clock()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self._lag.paused(self.transport)

    def resume_writing(self) -> None:
        """Continue."""
        super().resume_writing()
        self._lag.resumed()

    def on_response_complete(self) -> None:
        """Be ready for the next request; if a part of it is here already, its clock starts now."""
        super().on_response_complete()
        if not self.transport.is_closing() and self._awaits_head() and self.conn.trailing_data[0]:
            self._start_clock()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(Refusal("bad_request", "this is no valid HTTP/1.1 request"))

    def _parse(self, data: bytes) -> None:
        """Give a slice to the parser, and look what it was."""
        if self._left or self.transport.is_closing():
            return
        before = self.cycle
        if self._awaits_head():
            self._start_clock()
        super().data_received(data)
        if self.cycle is not before:
            self._wire_bytes = 0
        else:
            self._wire_bytes += len(data)
        if self.cycle is not before or not self._awaits_head():
            self._stop_clock()
        self._bound_chunks()

    def _awaits_head(self) -> bool:
        """Tell whether the next thing due is the head of a request."""
        return self.conn.their_state is h11.IDLE

    def _bound_chunks(self) -> None:
        """Refuse a body that comes in so small chunks that their frames are most of it."""
        body = self.conn.body_bytes
        if self.conn.their_state is h11.SEND_BODY and self._wire_bytes > CHUNK_ALLOWANCE_BYTES + 2 * body:
            self._refuse(Refusal("bad_request", "the body comes in tiny chunks; send larger ones"))

    def _start_clock(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_s, self._head_late)

    def _stop_clock(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self._awaits_head() and not self.conn.trailing_data[0]:
            self.transport.close()  # it never said anything
            return
        self._refuse(Refusal("timeout", f"no complete request headers within {self.head_timeout_s:g} s"))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer, if an answer is still possible, and end the connection."""
        if self._left or self.transport.is_closing():
            return
        self._left = True
        self._stop_clock()
        self._unset_keepalive_if_required()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [*refusal.headers.items(), ("content-length", str(len(refusal.body))), ("connection", "close")]
            response = h11.Response(status_code=refusal.status, headers=headers, reason=STATUS_PHRASES[refusal.status])
            parts = (response, h11.Data(data=refusal.body), h11.EndOfMessage())
            self.transport.write(b"".join(self.conn.send(part) or b"" for part in parts))
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_reading()  # what still comes is thrown away
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)


class StreamProtocol(WebSocketsSansIOProtocol):
    """WebSockets whose clients have to read."""

    lag_s = 10.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = _Handshake(extensions=[], max_size=config.ws_max_size, logger=self.conn.logger)
        self._lag = _Lag(self.loop, self.lag_s)
        self._feed = _Feed(
            self.loop,
            super().data_received,
            pause=self._read_no_more,
            resume=self._read_on,
            hold=lambda: self.read_paused and not self.close_sent,
        )

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._feed.push(data)

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next message; those that wait behind it may be parsed now."""
        message = await super().receive()
        self._feed.go_on()
        return message

    def _read_no_more(self) -> None:
        self.transport.pause_reading()

    def _read_on(self) -> None:
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    async def send(self, message: ASGISendEvent) -> None:
        """Send a message; after a close, what waits is parsed for the client's own close."""
        await super().send(message)
        if message["type"] == "websocket.close":
            self._feed.go_on()
        elif message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # it was refused in full; uvicorn would log that nobody answered

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._lag.resumed()
        self._feed.close()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the client to read, but not for ever."""
        super().pause_writing()
        self._lag.paused(self.transport)

    def resume_writing(self) -> None:
        """Continue."""
        super().resume_writing()
        self._lag.resumed()
