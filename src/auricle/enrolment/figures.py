# SPDX-License-Identifier: Apache-2.0
"""What few clips can say about a model: each class's recall and precision on clips that were left out of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auricle.enrolment.clips import EnrolledClip
from auricle.enrolment.heads import ClipHead, Items
from auricle.enrolment.linear import link
from auricle.evaluation.intervals import proportion_interval
from auricle.evaluation.metrics import decisions
from auricle.results import Interval

#: With fewer groups of recordings, figures of a class are hardly figures.
FEW = 5


def class_figures(
    items: Items, head: ClipHead, clips: Sequence[EnrolledClip], labels: Sequence[str], task: str
) -> list[dict[str, Any]]:
    """Return a row for each class: clips, recall and precision of held-out clips, false alarms on the bank.

    A class whose clips are all of one group has no held-out figures: None.
    """
    scores = link(head.held_out, task).astype(np.float32)
    first = {int(owner): i for i, owner in reversed(list(enumerate(items.owner))) if owner >= 0}
    rows = [first[number] for number in range(len(clips))]
    named = decisions(scores[rows], task)
    alarms = decisions(scores[items.owner < 0], task) if (items.owner < 0).any() else np.zeros((0, len(labels)), bool)
    found = []
    for column, label in enumerate(labels):
        true = np.array([label in clip.label for clip in clips])
        known = len({clip.group for clip in clips if label in clip.label}) > 1
        hits, taken = int((named[:, column] & true).sum()), int(named[:, column].sum())
        found.append(
            {
                "label": label,
                "clips": int(true.sum()),
                "recall": proportion_interval(hits, int(true.sum())) if known else None,
                "precision": proportion_interval(hits, taken) if known else None,
                "bank_alarms": proportion_interval(int(alarms[:, column].sum()), len(alarms)),
            }
        )
    return found


def advice(rows: Sequence[Mapping[str, Any]], clips: Sequence[EnrolledClip]) -> list[str]:
    """Return what the figures do not say, or say too little of, a line each."""
    groups = {str(row["label"]): len({c.group for c in clips if row["label"] in c.label}) for row in rows}
    lines = []
    single = [label for label, n in groups.items() if n < 2]
    if single:
        lines.append(
            f"one recording of {', '.join(single)}: nothing can be left out, so nothing is known of errors; add more "
            "with --add"
        )
    few = [f"{label} ({n})" for label, n in groups.items() if 2 <= n < FEW]
    if few:
        lines.append(
            f"few recordings of {', '.join(few)}: look at the intervals, not at the figures; add more with --add"
        )
    low = [str(row["label"]) for row in rows if _below(row["recall"], 0.5)]
    if low:
        lines.append(f"less than half of the left-out clips of {', '.join(low)} were found: add more of its kinds")
    return lines


def _below(figure: Interval | None, limit: float) -> bool:
    return figure is not None and figure.value < limit
