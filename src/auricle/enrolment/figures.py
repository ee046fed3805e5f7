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
from auricle.results import FloatArray, Interval
from auricle.runtime.abstention import fit_abstention
from auricle.runtime.spec import AbstentionPart

#: With fewer groups of recordings, figures of a class are hardly figures.
FEW = 5


def class_figures(
    items: Items, head: ClipHead, clips: Sequence[EnrolledClip], labels: Sequence[str], task: str
) -> list[dict[str, Any]]:
    """Return a row for each class: clips, recall and precision of held-out clips, false alarms on the bank.

    A class whose clips are all of one group has no held-out figures: None.
    """
    own, others = held_out_scores(items, head, clips, task)
    named, alarms = decisions(own, task), decisions(others, task)
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


def held_out_scores(
    items: Items, head: ClipHead, clips: Sequence[EnrolledClip], task: str
) -> tuple[FloatArray, FloatArray]:
    """Return the scores of clips, ``(clip, label)``, and of the bank's sounds, each by a fit without it."""
    scores = link(head.held_out, task).astype(np.float32)
    first = {int(owner): i for i, owner in reversed(list(enumerate(items.owner))) if owner >= 0}
    return scores[[first[number] for number in range(len(clips))]], scores[items.owner < 0]


def fit_error_rates(
    items: Items, head: ClipHead, clips: Sequence[EnrolledClip], labels: Sequence[str], task: str
) -> AbstentionPart | None:
    """Return from which score on something is named at stated rates of mistakes, by held-out clips and the bank."""
    own, others = held_out_scores(items, head, clips, task)
    several = {label for label in labels if len({clip.group for clip in clips if label in clip.label}) > 1}
    held = [i for i, clip in enumerate(clips) if several.intersection(clip.label)]
    if not held:
        return None
    right = [labels[int(own[i].argmax())] in clips[i].label for i in held]
    alien = [own[i].max() for i, clip in enumerate(clips) if not clip.label]
    return fit_abstention(own[held].max(axis=1), right, [*others.max(axis=1), *alien])


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
