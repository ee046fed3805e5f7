# SPDX-License-Identifier: Apache-2.0
"""What the page is given of scores: those of the labels that are worth a lane, and the highest score of all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from auricle.results import Event, Scores, rounded

#: Of more labels, scores would make the page slow and its file large.
MOST_LANES = 40


def pick_lanes(scores: Scores, events: Sequence[Event], most: int = MOST_LANES) -> tuple[Scores, dict[str, float]]:
    """Return the scores of ``most`` labels, those with events first and then by their highest scores, and all peaks.

    Labels keep their order.
    """
    peaks = scores.values.max(axis=0, initial=0.0)
    ranked = [scores.labels[i] for i in np.argsort(-peaks, kind="stable")]
    kept = set(list(dict.fromkeys([*(event.label for event in events), *ranked]))[:most])
    columns = [i for i, label in enumerate(scores.labels) if label in kept]
    chosen = replace(scores, values=scores.values[:, columns], labels=tuple(scores.labels[i] for i in columns))
    return chosen, {label: rounded(peak) for label, peak in zip(scores.labels, peaks.tolist(), strict=True)}
