# SPDX-License-Identifier: Apache-2.0
"""At which score does a label begin? On-thresholds fitted on dev clips and on clips without any label.

The score of a clip is the highest smoothed frame score in it, which is what ``detect`` compares with the threshold.
With few clips a best threshold is a range, not a number: the middle of the gap between two
neighbouring scores is taken, the widest gap if several are equally good, and nothing below 0.05 or above 0.95.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from auricle.events.smoothing import median_smooth
from auricle.results import FloatArray

#: What a label gets whose clips say nothing: all have it, or none has.
DEFAULT_THRESHOLD = 0.5
LOWEST, HIGHEST = 0.05, 0.95

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def peak_scores(frames: FloatArray, median_frames: int) -> FloatArray:
    """Return the highest smoothed score of each label: ``(frame, label)`` to ``(label,)``; 0 without a frame."""
    return np.asarray(median_smooth(frames, median_frames).max(axis=0, initial=0.0))


def fit_thresholds(
    peaks: npt.ArrayLike, targets: npt.ArrayLike, *, false_alarm_share: float | None = None
) -> list[float]:
    """Return one on-threshold a label.

    Args:
        peaks: ``peak_scores`` of the clips, shape ``(clip, label)``; clips without any label included.
        targets: 0/1, same shape.
        false_alarm_share: None takes the threshold with the highest F1; else the lowest one at which at most
            this share of the clips without the label reach it.
    """
    scores, true = np.asarray(peaks, np.float64), np.asarray(targets)
    if scores.ndim != 2 or scores.shape != true.shape:
        raise ValueError(f"need peaks and targets of one shape (clip, label), got {scores.shape} and {true.shape}")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("peaks must lie in [0, 1]")
    if not np.isin(true, (0, 1)).all():
        raise ValueError("targets must be 0 or 1")
    if false_alarm_share is not None and not 0 <= false_alarm_share < 1:
        raise ValueError(f"false_alarm_share must be at least 0 and below 1, got {false_alarm_share:g}")
    return [_fit_one(s, t == 1, false_alarm_share) for s, t in zip(scores.T, true.T, strict=True)]


def _fit_one(scores: Array, true: BoolArray, false_alarm_share: float | None) -> float:
    positives, negatives = np.sort(scores[true]), np.sort(scores[~true])
    if len(positives) == 0 or len(negatives) == 0:
        return DEFAULT_THRESHOLD
    # Gap g lies below edges[g + 1]: a threshold in it lets through what is at least that score.
    edges = np.concatenate([[0.0], np.unique(scores), [1.0]])
    middles, widths = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    hits = len(positives) - np.searchsorted(positives, middles)
    alarms = len(negatives) - np.searchsorted(negatives, middles)
    if false_alarm_share is None:
        f1 = 2 * hits / (hits + alarms + len(positives))
        best = f1 == f1.max()
        chosen = int(np.argmax(np.where(best, widths, -1.0)))
    else:
        allowed = alarms <= false_alarm_share * len(negatives)
        chosen = int(np.argmax(allowed)) if allowed.any() else len(middles) - 1
    return float(np.clip(middles[chosen], LOWEST, HIGHEST))
