# SPDX-License-Identifier: Apache-2.0
"""A sound card of the shape of ``sounddevice``: a test says what it hears, and what becomes of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np


class PortAudioError(Exception):
    """As that of sounddevice."""


class Card:
    """A card whose streams follow a script.

    Args:
        scripts: for each opening: blocks to bring (arrays; ``"overflow"`` marks the next one), or an error to raise.
        rates: of each opening in Hz; the last one stays.
    """

    PortAudioError = PortAudioError

    def __init__(self, *scripts, rates=(1_000,)) -> None:
        self.scripts, self.rates = list(scripts), list(rates)
        self.opened = self.closed = self.looked = 0

    def query_devices(self, device=None, kind=None):
        found = {"name": "USB ear", "max_input_channels": 2, "default_samplerate": float(self.rates[0])}
        deaf = {"name": "speaker", "max_input_channels": 0, "default_samplerate": 48_000.0}
        if device == "nobody":
            raise ValueError("No input device matching 'nobody'")
        return [deaf, found] if kind is None else found

    def _terminate(self):
        self.looked += 1

    def InputStream(self, *, samplerate, blocksize, device, channels, dtype, callback):
        script = self.scripts.pop(0) if self.scripts else []
        if isinstance(script, Exception):
            raise script
        self.opened += 1
        if len(self.rates) > 1:
            self.rates.pop(0)
        return SimpleNamespace(start=lambda: self._play(script, callback), close=self._close)

    def _play(self, script, callback) -> None:
        overflow = False
        for block in script:
            if isinstance(block, str):
                overflow = True
                continue
            status = SimpleNamespace(input_overflow=overflow)
            callback(np.asarray(block, np.float32)[:, None], len(block), None, status)
            overflow = False

    def _close(self) -> None:
        self.closed += 1
