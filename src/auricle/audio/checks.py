# SPDX-License-Identifier: Apache-2.0
"""Is the signal sane? Block by block, in the decoded channels, before they are mixed down.

A decoder is happy to hand on infinite samples, silence and constants. One NaN makes a whole batch NaN, so such
samples become zero, with a flag; too many of them, or samples beyond any scale, fail the file.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.errors import InputError
from auricle.results import Flag, FloatArray

#: Up to this share of samples may be NaN or infinite: they are set to zero. Above it the file fails.
MAX_NONFINITE_SHARE = 0.01
#: Samples beyond this fail the file. 32-bit integers stored as floats (2.1e9) pass; a power spectrum of 1e19 would not.
MAX_PEAK = 1e10
#: A peak below one step of 24 bits is digital silence; denormal numbers are far below.
SILENT_PEAK = 1e-7
#: A signal that moves less than this around a constant is a constant.
DC_RANGE = 1e-6
#: Samples at or above this level can be clipped (mu-law ends at 0.980, 8 bits at 0.992) ...
CLIP_LEVEL = 0.98
#: ... if this many neighbours are equal ...
CLIP_RUN = 3
#: ... and make up this share of all samples.
MIN_CLIPPED_SHARE = 1e-3
#: The mix loses this much against the loudest channel: 6 dB, what one dead channel of two costs (0.1 dB tolerance).
CANCEL_RATIO = 10 ** (-5.9 / 10)

_Block = npt.NDArray[np.floating[Any]]
_TINY = np.finfo(np.float32).tiny


class SignalCheck:
    """Looks at blocks, shape ``(time, channel)``, returns their mono mix, and says at the end what it saw."""

    def __init__(self, channels: int, expected_frames: int | None = None) -> None:
        self._channels = channels
        self._expected_values = None if expected_frames is None else expected_frames * channels
        self._values = 0
        self._nonfinite = 0
        self._clipped = 0
        self._low = np.full(channels, np.inf)
        self._high = np.full(channels, -np.inf)
        self._energy = np.zeros(channels)
        self._mix_energy = 0.0

    def push(self, block: _Block) -> FloatArray:
        """Check a block, shape ``(time, channel)``, and return the mean of its channels, shape ``(time,)``.

        Raises:
            InputError: ``out_of_range`` at once; ``nonfinite`` as soon as the whole file cannot be sound any more.
        """
        self._values += block.size
        low, high = block.min(axis=0), block.max(axis=0)
        peak = max(float(high.max()), -float(low.min()))
        if not np.isfinite(peak):
            block = self._replace_nonfinite(block)
            low, high = block.min(axis=0), block.max(axis=0)
            peak = max(float(high.max()), -float(low.min()))
        if peak > MAX_PEAK:
            raise InputError(
                "out_of_range", f"samples of {peak:.3g}, where 1 is full scale and {MAX_PEAK:.0g} the limit"
            )
        self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)
        if peak >= CLIP_LEVEL:
            self._clipped += _clipped_values(block)
        return self._mix(block)

    def finish(self) -> tuple[Flag, ...]:
        """Return the flags of the whole signal.

        Raises:
            InputError: ``nonfinite`` if too many samples were.
        """
        if self._nonfinite > MAX_NONFINITE_SHARE * self._values:
            raise self._too_many_nonfinite(self._values)
        flags = []
        if self._nonfinite:
            flags.append(Flag("nonfinite", {"count": self._nonfinite, "share": self._nonfinite / self._values}))
        peak = max(float(self._high.max()), -float(self._low.min()))
        if peak < SILENT_PEAK:
            return (*flags, Flag("silent"))
        if float((self._high - self._low).max()) < DC_RANGE:
            flags.append(Flag("dc_only", {"level": float(self._high.mean())}))
        if self._clipped >= max(1, MIN_CLIPPED_SHARE * self._values):
            flags.append(Flag("clipped", {"share": self._clipped / self._values}))
        loudest = float(self._energy.max())
        if self._channels > 1 and self._mix_energy <= CANCEL_RATIO * loudest:
            lost = 10 * np.log10(loudest / max(self._mix_energy, 1e-12 * loudest))
            flags.append(Flag("channel_cancel", {"channels": self._channels, "lost_db": float(lost)}))
        return tuple(flags)

    def _replace_nonfinite(self, block: _Block) -> _Block:
        bad = ~np.isfinite(block)
        self._nonfinite += int(bad.sum())
        if self._expected_values is not None and self._nonfinite > MAX_NONFINITE_SHARE * self._expected_values:
            raise self._too_many_nonfinite(self._expected_values)
        return np.where(bad, block.dtype.type(0), block)

    def _too_many_nonfinite(self, values: int) -> InputError:
        share = 100 * self._nonfinite / max(1, values)
        allowed = f"{100 * MAX_NONFINITE_SHARE:g} %"
        return InputError(
            "nonfinite", f"{share:.3g} % of the samples are NaN or infinite, where {allowed} are let pass; re-export it"
        )

    def _mix(self, block: _Block) -> FloatArray:
        """Return the mean over channels; denormal numbers, slow in all that follows, become zero."""
        if self._channels == 1:
            mono = block[:, 0].astype(np.float32, copy=False)
        else:
            mono = block.mean(axis=1, dtype=block.dtype).astype(np.float32, copy=False)
            self._energy += np.einsum("tc,tc->c", block, block, dtype=np.float64)
            self._mix_energy += float(np.einsum("t,t->", mono, mono, dtype=np.float64))
        denormal = (np.abs(mono) < _TINY) & (mono != 0)
        return np.where(denormal, np.float32(0), mono) if denormal.any() else mono


def _clipped_values(block: _Block) -> int:
    """Count the values that stand at full scale in runs of equal neighbours, over all channels."""
    at_top = np.abs(block[1:]) >= CLIP_LEVEL
    joined = at_top & (block[1:] == block[:-1])
    padded = np.zeros((len(joined) + 2, block.shape[1]), np.int8)
    padded[1:-1] = joined
    change = np.diff(padded, axis=0)
    starts, stops = np.nonzero(change.T == 1)[1], np.nonzero(change.T == -1)[1]
    runs = stops - starts + 1  # n equal pairs are n + 1 equal values
    return int(runs[runs >= CLIP_RUN].sum())
