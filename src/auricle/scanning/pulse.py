# SPDX-License-Identifier: Apache-2.0
"""Signs of life of work on one recording: how far it is. Whoever runs the work may listen; nobody need."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

#: A sign is given this often at most.
EVERY_S = 0.5


@dataclass(frozen=True)
class Pulse:
    """How far the work on a recording is.

    Attributes:
        done_s: seconds that were read so far.
        total_s: seconds of the whole by its header; None where only decoding can tell.
    """

    done_s: float
    total_s: float | None


_listener: ContextVar[Callable[[Pulse], None] | None] = ContextVar("pulse", default=None)


def tell_pulse(done_s: float, total_s: float | None) -> None:
    """Give a sign to whoever listens in this context."""
    listener = _listener.get()
    if listener is not None:
        listener(Pulse(done_s, total_s))


def listen_to_pulse(listener: Callable[[Pulse], None], clock: Callable[[], float] = time.monotonic) -> None:
    """Let ``listener`` have the signs of this context, some a second at most."""
    last = clock()

    def now_and_then(pulse: Pulse) -> None:
        nonlocal last
        if clock() - last >= EVERY_S:
            last = clock()
            listener(pulse)

    _listener.set(now_and_then)
