# SPDX-License-Identifier: Apache-2.0
"""Every limit of the server in one place. None of them is missing by default: the libraries below have none."""

from __future__ import annotations

from dataclasses import dataclass

from auricle.errors import UsageError
from auricle.processors import usable_processors
from auricle.server.origins import is_loopback, parse_origin

MIB = 1 << 20
#: A token that can be guessed protects nothing.
SHORTEST_TOKEN = 16


@dataclass(frozen=True)
class Settings:
    """How to serve, and what to refuse.

    Attributes:
        host: address to listen on; anything but this machine's own needs a token.
        port: 0 takes a free one.
        token: what clients must show; None where none is needed.
        origins: pages of other sites that may use this server, such as ``https://lab.example``, and the addresses of
            proxies in front of it: under their names it answers too.
        workers: processes that score recordings.
        stream_workers: processes that score the windows of live streams, so that long recordings do not delay them.
        max_body_bytes: largest request.
        max_audio_s: longest recording, counted in decoded seconds.
        max_requests: requests at work or waiting; the next one is refused with 503.
        max_sessions: live streams; the next one is refused with close code 1013.
        max_message_bytes: largest message of a stream.
        spool_bytes: bytes of all uploads together; they lie in unnamed temporary files.
        head_timeout_s: from the first byte of a request, or the opening of a connection, to the end of its headers.
        body_grace_s: a body may take this long, and a second more for every ``min_body_rate`` bytes.
        min_body_rate: bytes a second.
        hello_timeout_s: from the opening of a stream to its first message.
        idle_s: a stream without any sound for so long is closed.
        ping_s: streams are pinged so often, and closed if no answer comes in the same time.
        lag_s: a client that reads nothing for so long is disconnected.
        job_timeout_s: longest work on one recording.
        latency_s: of streams that ask for none: how late events may be announced, as far as the model can; None leaves
            the model's own windows.
        drain_s: time that is left to requests and streams when the server stops.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    origins: tuple[str, ...] = ()
    workers: int = 1
    stream_workers: int = 1
    max_body_bytes: int = 512 * MIB
    max_audio_s: float = 3600.0
    max_requests: int = 128
    max_sessions: int = 1000
    max_message_bytes: int = 16 * MIB
    spool_bytes: int = 2048 * MIB
    head_timeout_s: float = 10.0
    body_grace_s: float = 10.0
    min_body_rate: int = 4096
    hello_timeout_s: float = 10.0
    idle_s: float = 60.0
    ping_s: float = 10.0
    lag_s: float = 10.0
    job_timeout_s: float = 300.0
    drain_s: float = 20.0
    latency_s: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "origins", tuple(parse_origin(text) for text in self.origins))
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or not self.token.isascii()):
            raise UsageError(
                f"a token of {len(self.token)} characters; needed are at least {SHORTEST_TOKEN}, all ASCII; "
                "make one: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        if self.token is None and not is_loopback(self.host):
            raise UsageError(
                f"--host {self.host} can be reached from other machines, which needs a token: put one of at least "
                f"{SHORTEST_TOKEN} characters into the environment variable AURICLE_TOKEN"
            )


def usual_workers() -> tuple[int, int]:
    """Return how many processes score recordings and streams here: the cores, and all but the one that serves."""
    cores = usable_processors()
    return cores, max(1, cores - 1)
