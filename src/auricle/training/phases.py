# SPDX-License-Identifier: Apache-2.0
"""Where the time of a training run goes: one clock, read between the phases of a step."""

from __future__ import annotations

import time
from collections.abc import Callable


class Phases:
    """Adds up seconds by phase. Each ``mark`` ends a phase; the next one begins there.

    Args:
        clock: gives seconds; replaceable in tests.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last = clock()
        self.seconds: dict[str, float] = {}

    def mark(self, phase: str) -> None:
        """Say that all time since the last mark went into ``phase``."""
        now = self._clock()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now
