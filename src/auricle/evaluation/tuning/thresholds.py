# SPDX-License-Identifier: Apache-2.0
"""At which score does a label begin, and how smooth are scores? Fitted on dev clips and on clips without any label.

The score of a clip is the highest smoothed frame score in it, which is what ``detect`` compares with the threshold.
With few clips a best threshold is a range, not a number: the middle of the gap between two
neighbouring scores is taken, the widest gap if several are equally good, and nothing below 0.05 or above 0.95.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from auricle.events.segments import shortest_frames
from auricle.events.smoothing import median_size, median_smooth
from auricle.results import FloatArray

#: What a label gets whose clips say nothing: all have it, or none has.
DEFAULT_THRESHOLD = 0.5
LOWEST, HIGHEST = 0.05, 0.95
#: Lengths of the median filter that are tried, from none to what suits rain; and the one that has to be beaten.
MEDIANS_S = (0.0, 0.12, 0.2, 0.4, 0.8)
USUAL_S = 0.2
#: Lengths whose figures are this close are equally good; the longest of them is taken.
TIE = 0.01

_GRID = np.linspace(LOWEST, HIGHEST, 19)

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def peak_scores(frames: FloatArray, median_frames: int, *, least_frames: int = 1, off_ratio: float = 1.0) -> FloatArray:
    """Return the highest threshold of each label at which an event would be found: ``(frame, label)`` to ``(label,)``.

    That is the highest smoothed score where events may have one frame. Where they need more, that many frames from it
    on have to stay above ``off_ratio`` of the threshold. 0 without a frame, or with fewer than an event needs.

    Args:
        frames: scores of one clip.
        median_frames: length of the median filter.
        least_frames: frames of the shortest event.
        off_ratio: an event ends where its score falls below this share of the threshold.
    """
    smooth = median_smooth(frames, median_frames)
    if len(smooth) < least_frames:
        return np.zeros(frames.shape[1], np.float32)
    windows = sliding_window_view(smooth, least_frames, axis=0)
    return np.asarray(np.minimum(windows[..., 0], windows.min(axis=-1) / off_ratio).max(axis=0))


def fit_thresholds(peaks: npt.ArrayLike, targets: npt.ArrayLike) -> list[float]:
    """Return one on-threshold a label: the one with the highest F1.

    Args:
        peaks: ``peak_scores`` of the clips, shape ``(clip, label)``; clips without any label included.
        targets: 0/1, same shape.
    """
    scores, true = np.asarray(peaks, np.float64), np.asarray(targets)
    if scores.ndim != 2 or scores.shape != true.shape:
        raise ValueError(f"need peaks and targets of one shape (clip, label), got {scores.shape} and {true.shape}")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("peaks must lie in [0, 1]")
    if not np.isin(true, (0, 1)).all():
        raise ValueError("targets must be 0 or 1")
    return [_fit_one(s, t == 1) for s, t in zip(scores.T, true.T, strict=True)]


@dataclass(frozen=True)
class Smoothing:
    """What was fitted: length of the median filter in seconds and on-threshold, by label."""

    medians_s: dict[str, float]
    thresholds: dict[str, float]


def fit_smoothing(
    clips: Sequence[FloatArray],
    targets: npt.ArrayLike,
    labels: Sequence[str],
    step_s: float,
    *,
    min_event_s: float = 0.0,
    off_ratio: float = 1.0,
) -> Smoothing:
    """Fit filter and threshold of each label on clips that say what is in them, and not when.

    Few clips leave many thresholds with the same F1, so lengths are compared by the mean F1 over all thresholds: a
    filter that eats a bark lowers it, and so does one that lets noise through. A filter shorter than the usual one must
    also cause no more false alarms than that, each at its fitted threshold. Of equally good ones, the longest is taken.

    Args:
        clips: raw frame scores ``(frame, label)``, clips without any label included.
        targets: 0/1, shape ``(clip, label)``.
        labels: their names.
        step_s: seconds between two frames.
        min_event_s: shortest event.
        off_ratio: an event ends where its score falls below this share of the threshold.
    """
    truth = np.asarray(targets) == 1
    least = shortest_frames(min_event_s, step_s)
    lengths = {median_size(s, step_s): s for s in (*MEDIANS_S, USUAL_S)}
    peaks = {
        size: np.stack([peak_scores(c, size, least_frames=least, off_ratio=off_ratio) for c in clips]).clip(0, 1)
        for size in lengths
    }
    fitted = {size: fit_thresholds(values, truth) for size, values in peaks.items()}
    usual = median_size(USUAL_S, step_s)
    medians_s, thresholds = {}, {}
    for column, label in enumerate(labels):
        true = truth[:, column]
        scores = {size: values[:, column] for size, values in peaks.items()}
        alarms = {size: int((values[~true] >= fitted[size][column]).sum()) for size, values in scores.items()}
        figures = {
            size: _mean_f1(values, true)
            for size, values in scores.items()
            if size >= usual or alarms[size] <= alarms[usual]
        }
        size = max(size for size, value in figures.items() if value >= max(figures.values()) - TIE)
        size = usual if true.all() or not true.any() else size
        medians_s[label], thresholds[label] = lengths[size], fitted[size][column]
    return Smoothing(medians_s, thresholds)


def _mean_f1(scores: FloatArray, true: BoolArray) -> float:
    """Return F1 averaged over thresholds from ``LOWEST`` to ``HIGHEST``."""
    found = scores[:, None] >= _GRID
    hits, alarms = found[true].sum(axis=0), found[~true].sum(axis=0)
    return float((2 * hits / np.maximum(hits + alarms + true.sum(), 1)).mean())


def _fit_one(scores: Array, true: BoolArray) -> float:
    positives, negatives = np.sort(scores[true]), np.sort(scores[~true])
    if len(positives) == 0 or len(negatives) == 0:
        return DEFAULT_THRESHOLD
    # Gap g lies below edges[g + 1]: a threshold in it lets through what is at least that score.
    edges = np.concatenate([[0.0], np.unique(scores), [1.0]])
    middles, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    hits = len(positives) - np.searchsorted(positives, middles)
    alarms = len(negatives) - np.searchsorted(negatives, middles)
    f1 = 2 * hits / (hits + alarms + len(positives))
    best = f1 == f1.max()
    chosen = int(np.argmax(np.where(best, widths, -1.0)))
    return float(np.clip(middles[chosen], LOWEST, HIGHEST))
