# SPDX-License-Identifier: Apache-2.0
"""Real servers on free ports, and clients for them."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from auricle.server.app import Service
from auricle.server.run import Server, open_socket
from auricle.server.settings import Settings

#: Waits are short, so that tests are.
FAST: dict[str, Any] = {
    **{"head_timeout_s": 1.0, "body_grace_s": 1.0, "hello_timeout_s": 0.6, "lag_s": 1.0, "drain_s": 5.0},
    **{"max_body_bytes": 3_000_000, "max_audio_s": 30.0, "max_sessions": 4, "max_message_bytes": 2_000_000},
}


@dataclass(frozen=True)
class Running:
    """A server at work."""

    service: Service
    server: Server
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, trust_env=False, timeout=30, **options)

    def post(self, path: str, content: bytes, kind: str = "audio/wav", **options: Any) -> httpx.Response:
        headers = {"content-type": kind, **options.pop("headers", {})}
        with self.client() as client:
            return client.post(path, content=content, headers=headers, **options)

    def upload(self, path: str, content: bytes, name: str = "a.wav", **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.post(path, files={"file": (name, content, "audio/wav")}, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            return client.get(path, **options)

    @contextlib.contextmanager
    def stream(self, hello: Any = None, **options: Any) -> Iterator[ClientConnection]:
        """Open a live stream; ``hello`` is sent first, if given."""
        options = {"compression": None, "proxy": None, "max_size": None, "open_timeout": 30, **options}
        with connect(f"ws://127.0.0.1:{self.port}/v1/stream", **options) as connection:
            if hello is not None:
                connection.send(hello if isinstance(hello, (str, bytes)) else json.dumps(hello))
            yield connection

    def raw(self, data: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(data)
        return connection


@contextlib.contextmanager
def running(models: list[str], **changes: Any) -> Iterator[Running]:
    """Run a server in a thread; it is stopped as SIGTERM would stop it."""
    settings = Settings(**{**FAST, **changes})
    listener = open_socket("127.0.0.1", 0)
    server = Server(Service(models, settings))
    service = server.service
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        yield Running(service, server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
    assert not thread.is_alive()


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    """Wait until ``condition()`` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def read_reply(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes; a reset ends it too."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    connection.close()
    return b"".join(parts)


def error_of(response: httpx.Response) -> str:
    """Return the code of a refusal, whose form is checked."""
    body = response.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["code", "message"]
    assert response.headers["content-type"] == "application/json"
    return body["error"]["code"]
