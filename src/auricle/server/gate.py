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
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auricle.files import printable
from auricle.server.responses import Refusal, refusal_of
from auricle.server.settings import Settings, is_loopback

log = logging.getLogger("auricle.server")

#: A browser cannot set headers on a WebSocket, but it can offer subprotocols: this prefix and the token.
TOKEN_PROTOCOL = "auricle.token."  # noqa: S105 (a prefix)
#: The page and what it loads hold no secret, and probes of supervisors have no token.
OPEN_PATHS = ("/health", "/", "/static/")
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
        on_reply: is told path, status and seconds of every HTTP request.
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
        self._at_work = 0
        self._spooled = 0

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
        body = _Body(receive, self._settings, self._reserve, complete=not _has_body(Headers(scope=scope)))
        reply = _Reply(send, body)
        self._at_work += 1
        try:
            refusal = self._objection(scope)
            if refusal is None:
                await self._app(scope, body, reply)
            else:
                await reply.refuse(refusal)
        except Exception as error:
            if reply.status:
                raise
            if not isinstance(error, Refusal):
                log.exception("a request failed")
            await reply.refuse(refusal_of(error))
        finally:
            self._at_work -= 1
            self._spooled -= body.taken
            seconds = time.perf_counter() - began
            self._on_reply(scope["path"], reply.status, seconds)
            log.info("%s %s %d %.0f ms", scope["method"], printable(scope["path"][:200]), reply.status, 1e3 * seconds)

    def _reserve(self, count: int) -> None:
        """Count bytes of an upload; raises ``Refusal`` where they go beyond what all uploads may have together."""
        self._spooled += count
        if self._spooled > self._settings.spool_bytes:
            raise Refusal("storage_full", "too many uploads at once; try again later")

    def _objection(self, scope: Scope) -> Refusal | None:
        """Return why a request is refused before anything of its body is read, or None."""
        headers = Headers(scope=scope)
        for check in (self._framing, self._sender, self._token, self._capacity, self._content):
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
        host = headers.get("host", "")
        if is_loopback(self._settings.host) and "host" in headers and not is_loopback(_host_name(host)):
            raise Refusal("forbidden", "this server answers under localhost only; use http://localhost with its port")
        origin = headers.get("origin")
        own = {f"http://{host}", f"https://{host}"}
        if origin is not None and origin not in own and origin not in self._settings.origins:
            raise Refusal("forbidden", "the request comes from a page of another site; allow it with --origin")

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
        if scope["type"] == "http" and self._at_work > self._settings.max_requests:
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
    """

    def __init__(self, receive: Receive, settings: Settings, reserve: Callable[[int], None], *, complete: bool) -> None:
        self._receive = receive
        self._settings = settings
        self._reserve = reserve
        self._began = time.monotonic()
        self.taken = 0
        self.complete = complete

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
            self.complete = not message.get("more_body", False)
            self._reserve(count)
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

    def __init__(self, send: Send, body: _Body) -> None:
        self._send = send
        self._body = body
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """Send one message of the application."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), *_SECURITY_HEADERS]
            if not self._body.complete:
                headers.append((b"connection", b"close"))
            message = {**message, "headers": headers}
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
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


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _host_name(host: str) -> str:
    """Return the name in a Host header, without its port; empty for what is none."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return ""
    return "" if name is None else name


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
