# SPDX-License-Identifier: Apache-2.0
"""``auricle evaluate --tune --min-precision X``: thresholds at which that share of what is named is right.

A recording is named for a class if an event of it is found there. The lowest threshold that reaches the goal is taken,
as it finds most. A goal of 95 % needs twenty named recordings: with fewer, one mistake could not be told from none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.errors import UsageError
from auricle.evaluation.intervals import proportion_interval
from auricle.evaluation.tuning.thresholds import HIGHEST, LOWEST, peak_scores
from auricle.events.segments import shortest_frames
from auricle.events.smoothing import median_size
from auricle.results import FloatArray, Interval


@dataclass(frozen=True)
class Reached:
    """What a threshold reaches on the recordings that it was chosen on.

    Attributes:
        threshold: of the class.
        precision: share of the named recordings that hold the class.
        recall: share of the recordings with the class that are named.
    """

    threshold: float
    precision: Interval
    recall: Interval

    def to_dict(self) -> dict[str, Any]:
        """Return precision and recall for JSON."""
        return {"precision": self.precision.to_dict(), "recall": self.recall.to_dict()}


def least_named(goal: float) -> int:
    """Return how many recordings have to be named before a goal means anything.

    >>> least_named(0.95), least_named(0.5)
    (20, 2)
    """
    return math.ceil(1 / (1 - goal) - 1e-9)


def reach_precision(peaks: npt.ArrayLike, true: npt.ArrayLike, goal: float) -> Reached | str:
    """Return the lowest threshold that reaches a precision, or why the data support none.

    Args:
        peaks: highest threshold at which an event of the class would be found in each recording, ``(clip,)``.
        true: whether it holds the class, same shape.
        goal: share of the named recordings that has to be right.
    """
    scores, held = np.asarray(peaks, np.float64), np.asarray(true, np.bool_)
    edges = np.unique(scores[(scores >= LOWEST) & (scores <= HIGHEST)])
    needed, best = least_named(goal), 0.0
    if held.sum() < needed:
        return f"{int(held.sum())} recordings hold it, and {goal:.0%} can be told from all of {needed} or more"
    for below, at in zip(np.concatenate([[LOWEST], edges[:-1]]), edges, strict=True):
        named = scores >= at
        n, hits = int(named.sum()), int((named & held).sum())
        if n < needed:
            break
        best = max(best, hits / n)
        if hits / n >= goal:
            precision, recall = proportion_interval(hits, n), proportion_interval(hits, int(held.sum()))
            if precision is not None and recall is not None:
                return Reached(float((below + at) / 2), precision, recall)
    return f"at most {best:.0%} are right of {needed} or more recordings that are named"


def reach_for_all(
    frames: Sequence[FloatArray],
    truth: npt.ArrayLike,
    labels: Sequence[str],
    goal: float,
    *,
    step_s: float,
    medians_s: Mapping[str, float],
    off_ratios: Mapping[str, float],
    min_event_s: float,
) -> dict[str, Reached]:
    """Return what each class reaches.

    Args:
        frames: raw frame scores ``(frame, label)`` of each recording.
        truth: 0/1, ``(clip, label)``.
        labels: their names.
        goal: share of the named recordings that has to be right, above 0 and below 1.
        step_s: seconds between two frames.
        medians_s: length of each class's median filter.
        off_ratios: share of the threshold below which an event ends, by label.
        min_event_s: shortest event.

    Raises:
        UsageError: the recordings do not support the goal for some class; names each with the reason.
    """
    if not 0 < goal < 1:
        raise UsageError(f"--min-precision {goal:g}: expected a share between 0 and 1, such as 0.95")
    table, reached, refused = np.asarray(truth) == 1, {}, []
    for column, label in enumerate(labels):
        size, least = median_size(medians_s[label], step_s), shortest_frames(min_event_s, step_s)
        peaks = [
            float(peak_scores(part[:, [column]], size, least_frames=least, off_ratio=off_ratios[label])[0])
            for part in frames
        ]
        found = reach_precision(peaks, table[:, column], goal)
        if isinstance(found, str):
            refused.append(f"{label}: {found}")
        else:
            reached[label] = found
    if refused:
        raise UsageError(
            f"--min-precision {goal:g} is not supported by these {len(frames)} recordings, nothing was stored; "
            + "; ".join(refused)
        )
    return reached
