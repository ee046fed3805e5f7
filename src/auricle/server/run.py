# SPDX-License-Identifier: Apache-2.0
"""Running a server: it listens at once, loads its models, and on SIGTERM or Ctrl-C finishes what it has begun."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from auricle.errors import UsageError
from auricle.files import allow_open_files
from auricle.server.protocol import MAX_HEAD_BYTES, protocols
from auricle.server.settings import Settings

#: After requests and streams have had their time, replies that are on their way have this.
_LAST_WORDS_S = 2


class Served(Protocol):
    """What a server serves: an ASGI application and its state.

    Attributes:
        settings: where to listen.
        app: the application.
        state: the code of the refusal that all requests get now, or None.
        failure: what kept it from being ready, or None.
    """

    settings: Settings
    app: ASGIApp
    state: str | None
    failure: Exception | None

    async def drain(self) -> None:
        """Take nothing new, and let what is at work end."""


class Server(uvicorn.Server):
    """Uvicorn with our protocols, that drains streams before it closes connections.

    Args:
        service: what to serve.
        on_ready: is called once, when the models are loaded.
    """

    def __init__(self, service: Served, on_ready: Callable[[], None] = lambda: None) -> None:
        settings = service.settings
        http, ws = protocols(settings)
        super().__init__(
            uvicorn.Config(
                service.app,
                host=settings.host,
                port=settings.port,
                http=http,
                ws=ws,
                ws_max_size=settings.max_message_bytes,
                ws_ping_interval=settings.ping_s,
                ws_ping_timeout=settings.ping_s,
                ws_per_message_deflate=False,
                h11_max_incomplete_event_size=MAX_HEAD_BYTES,
                timeout_graceful_shutdown=_LAST_WORDS_S,
                lifespan="on",
                proxy_headers=False,
                server_header=False,
                access_log=False,
                log_config=None,
            )
        )
        self.service = service
        self._on_ready = on_ready
        self._announced = False

    async def on_tick(self, counter: int) -> bool:
        """Look ten times a second whether the models are loaded, or cannot be."""
        if self.service.failure is not None:
            self.should_exit = True
        elif self.service.state is None and not self._announced:
            self._announced = True
            self._on_ready()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, let streams and requests end, then close the connections."""
        for server in self.servers:
            server.close()
        await self.service.drain()
        await super().shutdown(sockets)


def open_socket(host: str, port: int) -> socket.socket:
    """Listen on an address; raises ``UsageError`` if that is impossible."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = error.strerror or str(error)
        raise UsageError(f"cannot listen on {host} port {port}: {reason}; choose another --host or --port") from error
    listener.set_inheritable(False)
    return listener


def serve(service: Served, listener: socket.socket, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve until a signal comes; raises what kept the models from being loaded."""
    raise_file_limit(service.settings)
    Server(service, on_ready).run([listener])
    if service.failure is not None:
        raise service.failure


def raise_file_limit(settings: Settings) -> None:
    """Allow this process as many open files as its streams need, where the system lets it: the usual 1,024 are few."""
    allow_open_files(2 * (settings.max_sessions + settings.max_requests) + 512)
