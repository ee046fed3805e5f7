# SPDX-License-Identifier: Apache-2.0
"""A microphone that is listened to for days: what is lost is said, and it continues when it is there again.

The sound card's thread puts blocks into a queue. A queue that is full, or a card that says it dropped samples, is an
overrun; a card that is silent for two seconds, or that fails, is lost, and is opened again and again until it answers.
Either is a ``Gap`` between two blocks. ``sounddevice`` is the extra ``mic``; tests put an object of its shape there.
"""

from __future__ import annotations

import importlib
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from auricle.errors import UsageError
from auricle.results import FloatArray

#: A block of sound, in seconds.
BLOCK_S = 0.05
#: The queue holds this much sound before blocks are dropped.
QUEUE_S = 10.0
#: A card that brings nothing for this long is lost.
SILENCE_S = 2.0
#: How often a lost card is tried again.
RETRY_S = 1.0


@dataclass(frozen=True)
class Gap:
    """Sound that was not received.

    Attributes:
        reason: ``lost`` (the device) or ``overrun``.
        gap_s: how much, in seconds; 0 if the card did not say.
        sample_rate: of the sound behind it, in Hz.
    """

    reason: str
    gap_s: float
    sample_rate: int


def find_backend() -> Any:
    """Return the module ``sounddevice``.

    Raises:
        ModuleNotFoundError: the extra ``mic`` is missing.
        UsageError: the system's PortAudio is missing.
    """
    try:
        return importlib.import_module("sounddevice")
    except OSError as error:
        raise UsageError(
            f"the system has no usable PortAudio ({error}); install it (Debian: apt install libportaudio2), or pipe "
            "samples in: arecord -q -f S16_LE -r 16000 -t raw | auricle listen - --rate 16000"
        ) from error


def list_microphones(backend: Any) -> list[tuple[int, str, int, int]]:
    """Return number, name, channels and rate in Hz of every input device."""
    return [
        (number, str(found["name"]), int(found["max_input_channels"]), round(found["default_samplerate"]))
        for number, found in enumerate(backend.query_devices())
        if found["max_input_channels"] > 0
    ]


class Microphone:
    """Blocks of samples ``(time, channel)`` and gaps, without end.

    Args:
        backend: the module ``sounddevice``.
        device: number or part of the name; None takes the system's.
        sample_rate: in Hz; None takes the device's own.
        clock: monotonic seconds, replaceable in tests.
        sleep: waits some seconds, replaceable in tests.

    Raises:
        UsageError: there is no such device.
    """

    def __init__(
        self,
        backend: Any,
        device: int | str | None = None,
        sample_rate: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        silence_s: float = SILENCE_S,
    ) -> None:
        self._backend, self._device, self._wanted_rate = backend, device, sample_rate
        self._clock, self._sleep, self._silence_s = clock, sleep, silence_s
        self._queue: queue.Queue[tuple[FloatArray, int]] = queue.Queue()
        self._lost_samples = 0
        self._stream: Any = None
        self.sample_rate = 0
        self.name = ""
        try:
            self._open()
        except (backend.PortAudioError, ValueError) as error:
            text = " ".join(str(error).split())
            raise UsageError(
                f"no microphone can be opened ({text}); plug one in, choose one with --microphone (--microphones lists "
                "them), or pipe samples in: auricle listen -"
            ) from error

    def close(self) -> None:
        """Let go of the device."""
        stream, self._stream = self._stream, None
        if stream is not None:
            try:
                stream.close()
            except self._backend.PortAudioError:  # it is gone: that is what closing is for
                return

    def __iter__(self) -> Iterator[FloatArray | Gap]:
        try:
            while True:
                try:
                    block, lost = self._queue.get(timeout=self._silence_s)
                except queue.Empty:
                    yield self._wait_until_back()
                    continue
                if lost:
                    yield Gap("overrun", max(0, lost) / self.sample_rate, self.sample_rate)
                yield block
        finally:
            self.close()

    def _open(self) -> None:
        """Open the device and let its thread fill the queue."""
        found = self._backend.query_devices(self._device, "input")
        rate = round(found["default_samplerate"]) if self._wanted_rate is None else self._wanted_rate
        fresh: queue.Queue[tuple[FloatArray, int]] = queue.Queue(maxsize=round(QUEUE_S / BLOCK_S))
        self._lost_samples = 0

        def receive(data: FloatArray, frames: int, _time: object, status: Any) -> None:
            # -1 where the card dropped samples and does not say how many.
            lost = self._lost_samples or (-1 if status and status.input_overflow else 0)
            try:
                fresh.put_nowait((np.array(data, np.float32), lost))
                self._lost_samples = 0
            except queue.Full:
                self._lost_samples = max(0, self._lost_samples) + frames

        stream = self._backend.InputStream(
            samplerate=rate,
            blocksize=round(BLOCK_S * rate),
            device=self._device,
            channels=1,
            dtype="float32",
            callback=receive,
        )
        stream.start()
        self._stream, self._queue = stream, fresh
        self.sample_rate, self.name = rate, str(found["name"])

    def _wait_until_back(self) -> Gap:
        """Open a lost device again as soon as it is there; returns the gap that it left."""
        since = self._clock() - self._silence_s
        while True:
            self.close()
            self._look_again()
            try:
                self._open()
            except (self._backend.PortAudioError, ValueError):
                self._sleep(RETRY_S)
                continue
            return Gap("lost", self._clock() - since, self.sample_rate)

    def _look_again(self) -> None:
        """Let PortAudio list the devices anew: it does so only when it starts."""
        for name in ("_terminate", "_initialize"):
            call = getattr(self._backend, name, None)
            if call is not None:
                call()
