# SPDX-License-Identifier: Apache-2.0
"""The gate before all routes: who may come in, how much they may bring, and how slowly.

It is plain ASGI around the application. What it refuses has cost nothing yet: the body has not been read. A body that
is read passes through ``_Body``, which counts bytes, time and room, whoever reads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auricle.files import printable
from auricle.server.origins import cors_headers, host_name, host_names, is_loopback, preflight_headers, same_site
from auricle.server.responses import Refusal, refusal_of
from auricle.server.settings import Settings

log = logging.getLogger("auricle.server")

#: A browser cannot set headers on a WebSocket, but it can offer subprotocols: this prefix and the token.
TOKEN_PROTOCOL = "auricle.token."  # noqa: S105 (a prefix)
#: The page and what it loads hold no secret, and probes of supervisors have no token.
OPEN_PATHS = ("/health", "/", "/static/")
STREAM_PATH = "/v1/stream"
#: What the log and the meters call a request whose client left before the answer.
CLIENT_LEFT = 499
#: After an answer to a request that is still sending: read so long, that the client gets to see it.
_LINGER_S = 1.0
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Gate:
    """Checks every request, then lets the application have it.

    Args:
        app: the application.
        settings: the limits.
        state: returns the code of the refusal that all requests get now (``starting``, ``stopping``), or None.
        on_reply: is called with path, status and seconds of every HTTP request.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        state: Callable[[], str | None],
        on_reply: Callable[[str, int, float], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._state = state
        self._on_reply = on_reply
        self._names = host_names(settings.origins)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending = False
        self._spooled = 0

    async def drain(self, timeout_s: float) -> None:
        """Give requests at work their time; those that need more are refused, and their work is dropped."""
        deadline = time.monotonic() + timeout_s
        while self._tasks and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self._ending = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_LINGER_S + 5.0)

    @property
    def spooled_bytes(self) -> int:
        """Bytes of the uploads that are here now."""
        return self._spooled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or one WebSocket."""
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send)
        elif scope["type"] == "websocket":
            refusal = self._objection(scope)
            await (self._app(scope, receive, send) if refusal is None else _deny(refusal, send))
        else:
            await self._app(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        headers = Headers(scope=scope)
        body = _Body(receive, self._settings, self._reserve, complete=not _has_body(headers))
        origin = headers.get("origin")
        allowed = origin if origin in self._settings.origins else None
        reply = _Reply(send, body, [] if allowed is None else cors_headers(allowed))
        task = asyncio.current_task()
        assert task is not None, "a server runs every request in a task"  # noqa: S101
        self._tasks.add(task)
        try:
            await self._answer(scope, body, reply, preflight=allowed is not None and _is_preflight(scope, headers))
        except asyncio.CancelledError:
            if not body.left and (reply.status or not self._ending):
                raise
            task.uncancel()  # first: in a task being cancelled, timeouts of Python 3.11.2 raise no TimeoutError
            if body.left:
                reply.status = CLIENT_LEFT
            else:
                await reply.refuse(Refusal("stopping", "the server is shutting down; send the recording again later"))
        finally:
            body.close()
            self._tasks.discard(task)
            self._spooled -= body.taken
            seconds = time.perf_counter() - began
            self._on_reply(scope["path"], reply.status, seconds)
            log.info("%s %s %d %.0f ms", scope["method"], printable(scope["path"][:200]), reply.status, 1e3 * seconds)

    async def _answer(self, scope: Scope, body: _Body, reply: _Reply, *, preflight: bool) -> None:
        """Refuse a request, or let the application answer it; HEAD is GET whose body the connection keeps back."""
        try:
            refusal = self._objection(scope, needs_token=not preflight)
            if refusal is not None:
                await reply.refuse(refusal)
            elif preflight:
                await reply.allow(preflight_headers(private_network=_wants_private_network(Headers(scope=scope))))
            else:
                body.watch(lambda: reply.finished)
                await self._app({**scope, "method": "GET"} if scope["method"] == "HEAD" else scope, body, reply)
        except Exception as error:
            if reply.status:
                raise
            if not isinstance(error, Refusal):
                log.exception("a request failed")
            await reply.refuse(refusal_of(error))

    def _reserve(self, count: int) -> None:
        """Count bytes of an upload; raises ``Refusal`` where they go beyond what all uploads may have together."""
        self._spooled += count
        if self._spooled > self._settings.spool_bytes:
            raise Refusal("storage_full", "too many uploads at once; try again later")

    def _objection(self, scope: Scope, *, needs_token: bool = True) -> Refusal | None:
        """Return why a request is refused before anything of its body is read, or None."""
        headers = Headers(scope=scope)
        checks = (self._framing, self._sender, *((self._token,) if needs_token else ()), self._path)
        for check in (*checks, self._capacity, self._content):
            try:
                check(scope, headers)
            except Refusal as refusal:
                return refusal
        return None

    def _framing(self, scope: Scope, headers: Headers) -> None:
        """Refuse what two servers could read in two ways, or what no client of ours sends."""
        if "transfer-encoding" in headers and ("content-length" in headers or scope["http_version"] != "1.1"):
            raise Refusal("bad_request", "both Content-Length and Transfer-Encoding, or chunks in HTTP/1.0; send one")
        if len(headers.getlist("host")) > 1:
            raise Refusal("bad_request", "more than one Host header; send one")
        if "," in headers.get("range", ""):
            raise Refusal("wrong_range", "more than one range; ask for the whole")

    def _sender(self, scope: Scope, headers: Headers) -> None:
        """Refuse pages of other sites, and names that someone pointed at this machine (DNS rebinding)."""
        host, name = headers.get("host", ""), host_name(headers.get("host", ""))
        if is_loopback(self._settings.host) and "host" in headers and not (is_loopback(name) or name in self._names):
            raise Refusal(
                "forbidden",
                "this server answers under localhost only; use http://localhost with its port, or start it with "
                "--origin and the address of the proxy in front of it",
            )
        origin = headers.get("origin")
        if origin is not None and origin not in self._settings.origins and not same_site(origin, host):
            raise Refusal("forbidden", "the request comes from a page of another site; allow it with --origin")

    def _path(self, scope: Scope, headers: Headers) -> None:
        """Refuse what the routes would answer without a code: WebSockets where there are none, or with a query."""
        if scope["type"] != "websocket":
            return
        if scope["path"] != STREAM_PATH:
            raise Refusal("unknown_path", f"no stream is served under this path; {STREAM_PATH} takes streams")
        if scope["query_string"]:
            raise Refusal("bad_request", "a stream takes no query; its parameters stand in its first message")

    def _token(self, scope: Scope, headers: Headers) -> None:
        token, path = self._settings.token, scope["path"]
        if token is None or path in OPEN_PATHS or path.startswith(OPEN_PATHS[-1]):
            return
        shown = [headers.get("authorization", "").removeprefix("Bearer ")]
        shown += [p.removeprefix(TOKEN_PROTOCOL) for p in scope.get("subprotocols", ()) if p.startswith(TOKEN_PROTOCOL)]
        if not any(hmac.compare_digest(text.encode(), token.encode()) for text in shown):
            raise Refusal("unauthorized", "a token is needed: send the header Authorization: Bearer TOKEN")

    def _capacity(self, scope: Scope, headers: Headers) -> None:
        code = self._state()
        if code is not None and scope["path"].startswith("/v1/"):
            text = "the models are being loaded" if code == "starting" else "the server is shutting down"
            raise Refusal(code, f"{text}; try again")
        if scope["type"] == "http" and len(self._tasks) > self._settings.max_requests:
            raise Refusal("busy", f"{self._settings.max_requests} requests are at work; try again")

    def _content(self, scope: Scope, headers: Headers) -> None:
        encoding = headers.get("content-encoding", "identity").lower()
        if encoding not in ("", "identity"):
            raise Refusal("encoded", f"a body with Content-Encoding {printable(encoding[:40])}; send it as it is")
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._settings.max_body_bytes:
            raise _too_large(self._settings.max_body_bytes)


class _Body:
    """The receiving half of a request, with its limits; call it as ASGI's ``receive``.

    Attributes:
        taken: bytes so far.
        complete: whether the whole body has been read.
        left: whether the client left before it was answered; the request's task is cancelled then.
    """

    def __init__(self, receive: Receive, settings: Settings, reserve: Callable[[int], None], *, complete: bool) -> None:
        self._receive = receive
        self._settings = settings
        self._reserve = reserve
        self._began = time.monotonic()
        self._answered: Callable[[], bool] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self.taken = 0
        self.complete = complete
        self.left = False

    def watch(self, answered: Callable[[], bool]) -> None:
        """From the end of the body on, cancel this task if its client leaves before ``answered`` is true."""
        self._answered = answered

    def close(self) -> None:
        """Watch no longer."""
        self._answered = None
        if self._watcher is not None:
            self._watcher.cancel()

    def _body_ended(self) -> None:
        self.complete = True
        task = asyncio.current_task()
        if self._answered is not None and self._watcher is None and task is not None:
            self._watcher = asyncio.create_task(self._cancel_when_left(task))

    async def _cancel_when_left(self, task: asyncio.Task[None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._answered is not None and not self._answered():
            self.left = True
            task.cancel()

    async def __call__(self) -> Message:
        """Return the next message of the client; raises ``Refusal``."""
        if self.complete:
            return await self._receive()  # all that can come is that the client leaves
        settings = self._settings
        allowed_s = settings.body_grace_s + self.taken / settings.min_body_rate
        try:
            async with asyncio.timeout(self._began + allowed_s - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            rate, grace = settings.min_body_rate, settings.body_grace_s
            text = f"the body came too slowly: needed are {rate} bytes a second after {grace:g} s"
            raise Refusal("timeout", text) from None
        if message["type"] == "http.request":
            count = len(message.get("body", b""))
            self.taken += count
            self._reserve(count)
            if not message.get("more_body", False):
                self._body_ended()
            if self.taken > settings.max_body_bytes:
                raise _too_large(settings.max_body_bytes)
        else:
            self.complete = True
        return message

    async def drain(self) -> None:
        """Read and forget what still comes, for a short while."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while not self.complete:
                    message = await self._receive()
                    self.complete = message["type"] != "http.request" or not message.get("more_body", False)


class _Reply:
    """The sending half of a request; call it as ASGI's ``send``.

    An answer before the end of the body ends the connection: what is still under way must not be taken for the next
    request. A connection that is closed while data arrive is reset, and the client might never see the answer; so the
    answer is sent in full, then the rest is read for a moment, and only then does the connection close.
    """

    def __init__(self, send: Send, body: _Body, extra: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._body = body
        self._extra = extra
        self.status = 0
        self.finished = False

    async def __call__(self, message: Message) -> None:
        """Send one message of the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), *_SECURITY_HEADERS, *self._extra]
            if not self._body.complete:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        self.finished |= last
        if last and not self._body.complete:
            await self._send({**message, "more_body": True})
            await self._body.drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Send a refusal as the whole answer."""
        start, body = _messages("http.response", refusal)
        await self(start)
        await self(body)

    async def allow(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Say yes to a browser that asks what it may send."""
        await self({"type": "http.response.start", "status": 204, "headers": headers})
        await self({"type": "http.response.body", "body": b"", "more_body": False})


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    """Tell whether a browser asks if it may send a request that a page has in mind; such a question has no token."""
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


def _wants_private_network(headers: Headers) -> bool:
    return headers.get("access-control-request-private-network") == "true"


def _messages(kind: str, refusal: Refusal) -> tuple[Message, Message]:
    fields: Mapping[str, str] = {**refusal.headers, "content-length": str(len(refusal.body))}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    return (
        {"type": f"{kind}.start", "status": refusal.status, "headers": headers},
        {"type": f"{kind}.body", "body": refusal.body, "more_body": False},
    )


async def _deny(refusal: Refusal, send: Send) -> None:
    """Refuse a WebSocket before it is accepted, with a plain HTTP answer."""
    for message in _messages("websocket.http.response", refusal):
        await send(message)


def _too_large(limit: int) -> Refusal:
    return Refusal("too_large", f"a body above the limit of {limit} bytes; cut the recording, or compress it (FLAC)")
