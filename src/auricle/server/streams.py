# SPDX-License-Identifier: Apache-2.0
"""``WS /v1/stream``: the sockets of live recordings, how many there may be, and how each of them ends.

A stream reads its next message only when the last one has been worked on and its results were taken: who sends faster
than we work is slowed down by TCP, and nothing is ever dropped.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import replace

from starlette.websockets import WebSocket, WebSocketDisconnect

from auricle.server.engine import Engine
from auricle.server.gate import TOKEN_PROTOCOL
from auricle.server.live import AWAY, FAILED, LATER, NORMAL, REFUSED, WRONG_KIND, Close, Live, Message, parse_hello
from auricle.server.metrics import Meters
from auricle.server.settings import Settings

log = logging.getLogger("auricle.server")
_WATCH_S = 0.25


class Streams:
    """All open streams of a server.

    Args:
        engine: the models.
        settings: the limits.
        meters: what is counted.
    """

    def __init__(self, engine: Engine, settings: Settings, meters: Meters) -> None:
        self._engine = engine
        self._settings = settings
        self._meters = meters
        self._open: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one stream from its opening to its end."""
        offered = socket.scope.get("subprotocols", ())
        # Not the token itself: what the server chooses is shown in the browser's tools.
        plain = next((name for name in offered if not name.startswith(TOKEN_PROTOCOL)), None)
        await socket.accept(subprotocol=plain)
        if len(self._open) >= self._settings.max_sessions:
            await socket.close(LATER, f"{self._settings.max_sessions} streams are open; try again later")
            self._meters.closed.labels(str(LATER)).inc()
            return
        connection = Connection(socket, self._engine, self._settings)
        self._open.add(connection)
        self._meters.streams.set(len(self._open))
        code = FAILED
        try:
            code = await connection.run()
        finally:
            self._open.discard(connection)
            self._meters.streams.set(len(self._open))
            self._meters.closed.labels(str(code)).inc()
            self._meters.audio_s.labels("stream").inc(connection.done_s)
            connection.forget()

    async def watch(self) -> None:
        """Close streams that say nothing, until cancelled."""
        while True:
            await asyncio.sleep(_WATCH_S)
            now = time.monotonic()
            for connection in list(self._open):
                connection.check_silence(now)

    async def drain(self, timeout_s: float) -> None:
        """End all streams with what is certain so far, and wait until they are closed."""
        for connection in list(self._open):
            connection.stop(Close(AWAY, "the server is shutting down"), flush=True)
        deadline = time.monotonic() + timeout_s
        while self._open and time.monotonic() < deadline:
            await asyncio.sleep(0.02)


class Connection:
    """One socket with its recording."""

    def __init__(self, socket: WebSocket, engine: Engine, settings: Settings) -> None:
        self._socket = socket
        self._engine = engine
        self._settings = settings
        self._live: Live | None = None
        self._verdict: Close | None = None
        self._flush = False
        self._receiving = False
        self._task = asyncio.current_task()
        self._silent_since = time.monotonic()

    @property
    def done_s(self) -> float:
        """Seconds of sound so far."""
        return 0.0 if self._live is None else self._live.duration_s

    def forget(self) -> None:
        """Let go of what leads back here, so that the memory goes at once and not with the next collection."""
        self._live = self._verdict = self._task = None

    def check_silence(self, now: float) -> None:
        """End the stream if its client has said nothing for too long."""
        if not self._receiving:
            return
        limit_s = self._settings.hello_timeout_s if self._live is None else self._settings.idle_s
        if now - self._silent_since > limit_s:
            what = "no first message" if self._live is None else "no sound"
            self.stop(Close(REFUSED if self._live is None else NORMAL, f"{what} for {limit_s:g} s"), flush=True)

    def stop(self, verdict: Close, *, flush: bool) -> None:
        """End the stream from outside, as soon as it waits for its client."""
        if self._verdict is not None:
            return
        self._verdict, self._flush = verdict, flush
        if self._receiving and self._task is not None:
            self._task.cancel()

    async def run(self) -> int:
        """Serve until the end; returns the close code."""
        try:
            return await self._converse()
        except Close as close:
            return await self._leave(close)
        except (WebSocketDisconnect, RuntimeError) as error:
            # Starlette raises RuntimeError for a message after the client's close.
            return error.code if isinstance(error, WebSocketDisconnect) else 1006
        except Exception:
            log.exception("a stream failed")
            return await self._leave(Close(FAILED, "an error inside the server; its log says more"))

    async def _converse(self) -> int:
        hello = parse_hello(await self._first(), self._engine.specs)
        if hello.latency_s is None:
            hello = replace(hello, latency_s=self._settings.latency_s)
        live = Live(hello, self._engine.specs[hello.model], self._engine.network(hello.model))
        self._live = live
        await self._send([live.ready()])
        while True:
            received = await self._receive()
            data, text = received.get("bytes"), received.get("text")
            if data is not None:
                live.feed(data)
                if live.busy:
                    await self._send(await self._engine.compute(live.work))
            elif text is not None:
                await self._send(await self._engine.compute(lambda text=text: live.control(text)))  # type: ignore[misc]
                if live.ended:
                    return await self._leave(Close(NORMAL, "the recording has ended"))

    async def _first(self) -> str:
        text = (await self._receive()).get("text")
        if text is None:
            raise Close(WRONG_KIND, "samples where the first message is due: {'model', 'sample_rate', 'format'}")
        return str(text)

    async def _receive(self) -> Message:
        """Return the next message; raises ``Close`` where the stream was stopped meanwhile."""
        if self._verdict is not None:
            raise self._verdict
        self._receiving = True
        try:
            message = await self._socket.receive()
        except asyncio.CancelledError:
            if self._verdict is None or self._task is None:
                raise
            self._task.uncancel()
            raise self._verdict from None
        finally:
            self._receiving = False
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        self._silent_since = time.monotonic()
        return dict(message)

    async def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            await self._socket.send_text(json.dumps(message, ensure_ascii=False, allow_nan=False))

    async def _leave(self, close: Close) -> int:
        """Close the socket, after what is certain where the stream was stopped from outside."""
        try:
            if self._flush and self._live is not None:
                await self._send(await self._engine.compute(self._live.finish))
            await self._socket.close(close.code, close.reason)
        except (WebSocketDisconnect, RuntimeError):
            return 1006
        return close.code
