# SPDX-License-Identifier: Apache-2.0
"""Median filter of scores along time, per label: exact, numpy only, and equal for a stream and a whole file.

The filter has an odd size; at both ends the scores are mirrored (``b a | a b c``), so that a single high
frame at the edge is a spike like any other. A window of ``n`` frames is sorted by merging the sorted
windows of its two halves, and those are shared by all positions: with Batcher's merge, "Sorting networks
and their applications", AFIPS 1968, a median costs about five comparisons a frame of its window,
each of them one vectorised minimum and maximum. An hour of 500 labels takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from auricle.results import FloatArray

#: Scores worked on at a time, so that all rows of the network stay in a core's cache.
_BLOCK_SCORES = 16_384
#: Blocks are this many times longer than the filter, where labels are many.
_OVERLAPS = 8


def median_size(median_s: float, step_s: float) -> int:
    """Return the odd number of frames nearest to ``median_s`` seconds; 1 (no smoothing) at least.

    >>> median_size(0.5, 0.1)
    5
    """
    return 2 * max(0, round((median_s / step_s - 1) / 2)) + 1


def median_smooth(scores: FloatArray, size: int) -> FloatArray:
    """Replace each score by the median of the ``size`` scores around it.

    Args:
        scores: shape ``(frame, label)``.
        size: odd number of frames.

    Returns:
        Shape ``(frame, label)``; equal to ``scipy.ndimage.median_filter(scores, (size, 1))``.
    """
    _check_size(size)
    if size == 1 or len(scores) == 0:
        return scores
    half = size // 2
    return median_valid(np.pad(scores, ((half, half), (0, 0)), mode="symmetric"), size)


def median_valid(scores: FloatArray, size: int) -> FloatArray:
    """Return the medians of all complete windows: ``(frame, label)`` to ``(frame - size + 1, label)``."""
    _check_size(size)
    frames, labels = max(0, len(scores) - size + 1), scores.shape[1]
    result = np.empty((frames, labels), scores.dtype)
    # Blocks overlap by size - 1 frames, so they are made long in time and narrow in labels.
    width = max(1, min(labels, _BLOCK_SCORES // (_OVERLAPS * size)))
    step = max(1, _BLOCK_SCORES // width)
    for first in range(0, labels, width):
        columns = np.ascontiguousarray(scores[:, first : first + width])
        for start in range(0, frames, step):
            stop = min(start + step, frames)
            result[start:stop, first : first + width] = _Network(columns[start : stop + size - 1]).median(size)
    return result


def _check_size(size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the median needs an odd number of frames, got {size}")


def smooth_labels(scores: FloatArray, sizes: Sequence[int]) -> FloatArray:
    """Replace each score by the median around it, each label by a filter of its own size; ``(frame, label)``."""
    bank = MedianBank(sizes)
    return np.concatenate([bank.push(scores), bank.flush()])


class MedianStream:
    """The same filter for scores that arrive in blocks; holds back ``size // 2`` frames until flushed."""

    def __init__(self, size: int, labels: int) -> None:
        _check_size(size)
        self._size = size
        self._half = size // 2
        self._kept: FloatArray = np.empty((0, labels), np.float32)
        self._begun = False

    @property
    def lookahead(self) -> int:
        """Frames after a frame that its smoothed score depends on."""
        return self._half

    def push(self, scores: FloatArray, least: FloatArray | None = None) -> FloatArray:
        """Take new scores and return the smoothed ones that are final.

        Args:
            scores: shape ``(frame, label)``.
            least: a score for each label, ``(label,)``: where all that a label's results are made of lies below, they
                stay as they were, unsmoothed. Of hundreds of classes few are heard at a time.
        """
        kept = np.concatenate([self._kept, scores])
        if not self._begun and len(kept) > self._half:
            kept = np.pad(kept, ((self._half, 0), (0, 0)), mode="symmetric")
            self._begun = True
        if not self._begun or len(kept) < self._size:
            self._kept = kept
            return kept[:0]
        self._kept = kept[len(kept) - self._size + 1 :]
        if least is None:
            return median_valid(kept, self._size)
        some = np.flatnonzero(kept.max(axis=0) >= least)
        result = kept[self._half : len(kept) - self._half].copy()
        result[:, some] = median_valid(kept[:, some], self._size)
        return result

    def flush(self) -> FloatArray:
        """Return the smoothed scores held back; the stream is over."""
        kept, self._kept = self._kept, self._kept[:0]
        if not self._begun:
            return median_smooth(kept, self._size)
        return median_valid(np.pad(kept, ((0, self._half), (0, 0)), mode="symmetric"), self._size)


class MedianBank:
    """A filter of its own size for each label, for scores that arrive in blocks.

    All labels come out together, so what is held back is ``lookahead`` frames, half of the longest filter.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self._columns = {size: np.flatnonzero(np.array(sizes) == size) for size in sorted(set(sizes))}
        self._streams = {size: MedianStream(size, len(columns)) for size, columns in self._columns.items()}
        self._ready: dict[int, FloatArray] = {
            size: np.empty((0, len(columns)), np.float32) for size, columns in self._columns.items()
        }
        self._labels = len(sizes)

    @property
    def lookahead(self) -> int:
        """Frames after a frame that its smoothed scores depend on."""
        return max(stream.lookahead for stream in self._streams.values())

    def push(self, scores: FloatArray, least: FloatArray | None = None) -> FloatArray:
        """Take new scores, shape ``(frame, label)``, and return the smoothed ones that are final.

        ``least`` is as for ``MedianStream.push`` where all filters are of one size. Others hold results back that were
        made already, so what has become of a label meanwhile is not known: they smooth all.
        """
        if len(self._streams) == 1:
            return next(iter(self._streams.values())).push(scores, least)
        return self._together({size: self._streams[size].push(scores[:, c]) for size, c in self._columns.items()})

    def flush(self) -> FloatArray:
        """Return the smoothed scores held back; the stream is over."""
        return self._together({size: stream.flush() for size, stream in self._streams.items()})

    def _together(self, new: dict[int, FloatArray]) -> FloatArray:
        if len(new) == 1:
            return next(iter(new.values()))
        ready = {size: np.concatenate([self._ready[size], part]) for size, part in new.items()}
        frames = min(len(part) for part in ready.values())
        result = np.empty((frames, self._labels), np.float32)
        for size, part in ready.items():
            result[:, self._columns[size]] = part[:frames]
            self._ready[size] = part[frames:]
        return result


class _Network:
    """Sorted windows over one block of scores, each made once and shared by all positions.

    ``sorted_windows(n)[r][t]`` is the ``r``-th smallest of the frames ``t ... t + n - 1``.
    """

    def __init__(self, scores: FloatArray) -> None:
        self._memo: dict[int, list[FloatArray]] = {1: [scores]}

    def sorted_windows(self, size: int) -> list[FloatArray]:
        """Return ``size`` rows of shape ``(frame, label)``, lowest first."""
        if size not in self._memo:
            self._memo[size] = _merge(*self._halves(size))
        return self._memo[size]

    def median(self, size: int) -> FloatArray:
        """Return the medians of all windows; the last merge is never made in full."""
        if size == 1:
            return self._memo[1][0]
        low, high = self._halves(size)
        # The r-th smallest of two sorted lists: the least, over all splits, of the larger of the two ends.
        rank = size // 2 + 1
        splits = range(max(0, rank - len(high)), min(rank, len(low)) + 1)
        return reduce(np.minimum, (_larger_end(low[:taken], high[: rank - taken]) for taken in splits))

    def _halves(self, size: int) -> tuple[list[FloatArray], list[FloatArray]]:
        first = (size + 1) // 2
        low, high = self.sorted_windows(first), self.sorted_windows(size - first)
        frames = len(low[0]) - (size - first)
        return [row[:frames] for row in low], [row[first : first + frames] for row in high]


def _larger_end(low: list[FloatArray], high: list[FloatArray]) -> FloatArray:
    """Return the maximum of two sorted lists of rows, of which one may be empty."""
    if low and high:
        return np.maximum(low[-1], high[-1])
    return (low or high)[-1]


def _merge(low: list[FloatArray], high: list[FloatArray]) -> list[FloatArray]:
    """Merge two sorted lists of rows with Batcher's odd-even merge, which takes any two lengths."""
    if not low or not high:
        return low or high
    if len(low) == len(high) == 1:
        return [np.minimum(low[0], high[0]), np.maximum(low[0], high[0])]
    odd = _merge(low[::2], high[::2])
    even = _merge(low[1::2], high[1::2])
    merged = [odd[0]]
    for index in range(1, len(odd)):
        if index - 1 < len(even):
            merged += [np.minimum(even[index - 1], odd[index]), np.maximum(even[index - 1], odd[index])]
        else:
            merged.append(odd[index])
    return merged + even[len(odd) - 1 :]
