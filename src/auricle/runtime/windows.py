# SPDX-License-Identifier: Apache-2.0
"""Cutting a recording into the windows that a model scores: whole, or as it arrives.

Training, evaluation, files and streams all cut here, so no recording is scored in two ways. The windows
reach the end: the last one is padded by the model's rule. Only a remainder of less than half an output frame,
which could not give a frame of its own, brings no window (``slack``).

A network that takes any length and remembers little has no need of windows that overlap by half: its windows
stand side by side and see some sound of their neighbours (``MarginCutter``).
"""

from __future__ import annotations

import numpy as np

from auricle.results import FloatArray
from auricle.timeline import pad_window, window_starts


def cut_windows(samples: FloatArray, window: int, hop: int, pad: str, slack: int = 0) -> FloatArray:
    """Cut a whole recording.

    Args:
        samples: shape ``(time,)``, at least one sample.
        window: samples of a window.
        hop: samples between the starts of two windows, at most ``window``.
        pad: ``zero`` or ``repeat``, see ``timeline.pad_window``.
        slack: longest remainder in samples that brings no window of its own.

    Returns:
        Shape ``(window, sample)``.

    >>> cut_windows(np.arange(1, 6, dtype=np.float32), 4, 2, "zero").tolist()
    [[1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 0.0]]
    """
    if samples.ndim != 1 or len(samples) == 0:
        raise ValueError(f"need samples of shape (time,) with at least one, got shape {samples.shape}")
    starts = window_starts(len(samples), window, hop, slack)
    return np.stack([pad_window(samples[start : start + window], window, pad) for start in starts])


class WindowCutter:
    """The same windows for a recording that arrives in blocks, in memory of one window and one block.

    Attributes:
        samples_seen: samples taken so far.
    """

    def __init__(self, window: int, hop: int, pad: str, slack: int = 0) -> None:
        window_starts(0, window, hop)  # refuses impossible sizes
        self._window = window
        self._hop = hop
        self._pad = pad
        self._slack = slack
        self._kept: FloatArray = np.empty(0, np.float32)
        self._cut = 0
        self.samples_seen = 0

    @property
    def samples_to_next(self) -> int:
        """Samples until the next window is complete, at least 1."""
        return self._window - len(self._kept)

    def push(self, block: FloatArray) -> list[FloatArray]:
        """Take samples of shape ``(time,)`` and return the windows that are complete, each ``(sample,)``."""
        self.samples_seen += len(block)
        kept = np.concatenate([self._kept, block])
        windows = []
        start = 0
        while start + self._window <= len(kept):
            windows.append(kept[start : start + self._window])
            start += self._hop
        self._cut += len(windows)
        self._kept = kept[start:].copy()  # a view would keep the whole block alive
        return windows

    def flush(self) -> list[FloatArray]:
        """Return the padded last window, if samples are left that no window holds; the recording is over."""
        covered = 0 if self._cut == 0 else (self._cut - 1) * self._hop + self._window + self._slack
        if self.samples_seen <= covered:
            return []
        self._cut += 1
        return [pad_window(self._kept, self._window, self._pad)]


class MarginCutter:
    """Windows side by side, each with some sound of its neighbours; the first and the last have one neighbour.

    Window ``i`` is ``[i * hop - margin, (i + 1) * hop + lookahead)``, as far as the recording goes: nothing is padded
    but a whole recording of less than ``least`` samples. A remainder of up to ``lookahead`` samples belongs to the last
    window, which saw it already. The look-ahead is the margin where it is not given.

    Attributes:
        samples_seen: samples taken so far.
        cut: windows given so far.
    """

    def __init__(self, hop: int, margin: int, least: int, lookahead: int | None = None) -> None:
        if lookahead is None and not 0 < margin <= hop:
            raise ValueError(f"need hop >= 1 and 0 < margin <= hop, got hop {hop} and margin {margin}")
        if hop < 1 or margin < 0 or (lookahead is not None and lookahead < 0):
            raise ValueError(f"need hop >= 1, got hop {hop}, margin {margin} and look-ahead {lookahead}")
        self._hop = hop
        self._margin = margin
        self._lookahead = margin if lookahead is None else lookahead
        self._waiting: list[FloatArray] = []
        self._least = least
        self._kept: FloatArray = np.empty(0, np.float32)
        self.cut = 0
        self.samples_seen = 0

    @property
    def samples_to_next(self) -> int:
        """Samples until the next window is complete, at least 1."""
        return (self.cut + 1) * self._hop + self._lookahead + 1 - self.samples_seen

    def push(self, block: FloatArray) -> list[FloatArray]:
        """Take samples of shape ``(time,)`` and return the windows that are complete, each ``(sample,)``.

        A window counts as complete with the first sample behind it, which the next one will have.
        """
        if not len(block):
            return []
        self.samples_seen += len(block)
        if self.samples_to_next > 0:  # joined when a window is full: small blocks are not copied again and again
            self._waiting.append(block.copy())
            return []
        kept = self._joined(block)
        first = self._first()
        windows = []
        while self.samples_seen > (self.cut + 1) * self._hop + self._lookahead:
            windows.append(kept[self._first() - first : (self.cut + 1) * self._hop + self._lookahead - first])
            self.cut += 1
        self._kept = kept[self._first() - first :].copy()  # a view would keep the whole block alive
        return windows

    def flush(self) -> list[FloatArray]:
        """Return the last window, if there is any sound; the recording is over."""
        if self.samples_seen == 0:
            return []
        self.cut += 1
        kept = self._joined()
        return [pad_window(kept, max(self._least, len(kept)), "zero")]

    def _joined(self, *more: FloatArray) -> FloatArray:
        """Return all that is kept, and more behind it, in one piece; the caller keeps what is still needed of it."""
        parts, self._waiting = [self._kept, *self._waiting, *more], []
        return np.concatenate(parts)

    def _first(self) -> int:
        """Return the first sample of the next window."""
        return max(0, self.cut * self._hop - self._margin)
