# SPDX-License-Identifier: Apache-2.0
"""Change the sample rate, whole or block by block, with equal results.

Both go through one stateful soxr stream (quality HQ), which keeps its filter's memory between blocks: cutting the
input anywhere changes no output sample. The stream holds some samples back until it is flushed.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from auricle.results import FloatArray

_QUALITY = "HQ"
_EMPTY: FloatArray = np.zeros(0, np.float32)


class Resampler:
    """Resample a stream of mono blocks.

    >>> resampler = Resampler(48_000, 16_000)
    >>> len(resampler.push(np.zeros(4_800, np.float32))) + len(resampler.flush())
    1600
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        if rate_in < 1 or rate_out < 1:
            raise ValueError(f"sample rates must be at least 1 Hz, got {rate_in} and {rate_out}")
        self._stream: Any = None
        if rate_in != rate_out:
            # Imported here: half of all files have the wanted rate, and a cold start counts.
            import soxr  # noqa: PLC0415

            self._stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality=_QUALITY)

    def push(self, block: FloatArray) -> FloatArray:
        """Take samples, shape ``(time,)`` float32, and return those that are ready, shape ``(time,)``."""
        return block if self._stream is None else self._process(block, last=False)

    def flush(self) -> FloatArray:
        """Return what was held back, shape ``(time,)``. Call it once, at the end."""
        return _EMPTY if self._stream is None else self._process(_EMPTY, last=True)

    def _process(self, block: FloatArray, *, last: bool) -> FloatArray:
        contiguous = np.ascontiguousarray(block, np.float32)
        return cast("FloatArray", self._stream.resample_chunk(contiguous, last=last))


def resample(samples: FloatArray, rate_in: int, rate_out: int) -> FloatArray:
    """Return ``samples``, shape ``(time,)``, at another rate; the same array if the rates are equal.

    >>> resample(np.zeros(441, np.float32), 44_100, 16_000).shape
    (160,)
    """
    resampler = Resampler(rate_in, rate_out)
    ready = resampler.push(samples)
    rest = resampler.flush()
    return np.concatenate([ready, rest]) if len(rest) else ready


def change_speed(samples: FloatArray, speed: float, length: int) -> FloatArray:
    """Read ``samples`` at ``speed`` by linear interpolation, up to ``length`` samples (fewer if they run out)."""
    count = min(length, int((len(samples) - 1) / speed))
    position = np.arange(count) * speed  # float32 would lose the place between samples after some seconds
    whole = position.astype(np.int64)
    share = (position - whole).astype(np.float32)
    left = samples[whole]
    return np.asarray(left + share * (samples[whole + 1] - left), dtype=np.float32)
