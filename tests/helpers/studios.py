# SPDX-License-Identifier: Apache-2.0
"""Recordings with beeps in them, and servers of the studio on free ports."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from auricle.server.run import Server, open_socket
from auricle.server.settings import Settings
from auricle.server.studio import StudioService
from auricle.studio.project import Studio
from helpers.serving import wait_for

RATE = 16_000


def beeps(seconds: float, at: list[float], hz: float = 2000.0, seed: int = 0) -> np.ndarray:
    """Quiet noise with tones of half a second that begin at the given times."""
    rng = np.random.default_rng(seed)
    found = 0.003 * rng.standard_normal(int(seconds * RATE))
    time = np.arange(RATE // 2) / RATE
    for begin in at:
        first = int(begin * RATE)
        part = found[first : first + RATE // 2]
        part += (0.3 * np.sin(2 * np.pi * hz * time))[: len(part)]
    return found.astype(np.float32)


@dataclass(frozen=True)
class Client:
    """A studio's server and a client of it."""

    studio: Studio
    http: httpx.Client

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        return self._checked(self.http.get(f"/v1/studio{path}", params=query), status)

    def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        return self._checked(self.http.request(method, f"/v1/studio{path}", json=body), status)

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        return self.send("POST", path, body, status)

    @staticmethod
    def _checked(response: httpx.Response, status: int) -> Any:
        assert response.status_code == status, response.text
        return response.json()


@contextlib.contextmanager
def serving(studio: Studio, **settings: Any) -> Iterator[Client]:
    listener = open_socket("127.0.0.1", 0)
    server = Server(StudioService(studio, Settings(drain_s=5.0, **settings)))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        port = listener.getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as http:
            yield Client(studio, http)
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
    assert not thread.is_alive()


FIELDS = ("id", "recording", "onset", "offset", "label", "verdict", "source", "score", "low_hz", "high_hz", "by", "at")


def replayed(path) -> dict:
    """Return the labels as the journal alone tells them."""
    labels: dict = {}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT label, after FROM journal ORDER BY id").fetchall()
    for row in rows:
        if row[1] is None:
            labels.pop(row[0], None)
        else:
            labels[row[0]] = json.loads(row[1])
    return labels


def stored(path) -> dict:
    """Return the labels as the table has them."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"SELECT {', '.join(FIELDS)} FROM labels").fetchall()
    return {row[0]: dict(zip(FIELDS, row, strict=True)) for row in rows}
