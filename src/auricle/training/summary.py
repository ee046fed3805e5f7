# SPDX-License-Identifier: Apache-2.0
"""What a run says about each class when it ends, and what will fail in use: said here, before anybody relies on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from auricle.data.splits import few_clips
from auricle.evaluation.metrics import decisions
from auricle.results import FloatArray

#: A class with fewer dev clips has no recall to speak of.
FEW_DEV = 5
#: Thresholds from here down let nearly any sound begin an event.
FLOOR = 0.05
#: Of dev clips without a class, so many may carry it before it is called useless.
OFTEN = 0.5


def class_rows(
    labels: Sequence[str],
    train: FloatArray,
    dev: FloatArray,
    scores: FloatArray,
    task: str,
    thresholds: Mapping[str, float],
) -> list[dict[str, Any]]:
    """Return a row for each class: clips, dev clips, recall, precision, threshold; None where nothing can be said.

    Args:
        labels: of the model.
        train: targets of the training clips, ``(clip, label)``.
        dev: targets of the dev clips.
        scores: clip scores of the dev clips.
        task: ``single`` or ``multi``.
        thresholds: of events, by label.
    """
    found = decisions(scores, task) if len(dev) else np.zeros((0, len(labels)), np.bool_)
    true = dev >= 0.5
    rows = []
    for i, label in enumerate(labels):
        hits, named, present = int((found[:, i] & true[:, i]).sum()), int(found[:, i].sum()), int(true[:, i].sum())
        absent = len(true) - present
        rows.append(
            {
                "label": label,
                "clips": int((train[:, i] >= 0.5).sum()),
                "dev_clips": present,
                "recall": hits / present if present else None,
                "precision": hits / named if named else None,
                "threshold": round(float(thresholds.get(label, 0.5)), 4),
                "false_share": (named - hits) / absent if absent else None,
                "named_share": named / len(true) if len(true) else None,
            }
        )
    return rows


def advice(rows: Sequence[Mapping[str, Any]], dev_clips: int) -> list[str]:
    """Return what will go wrong with a model in use and what to do about it, a line each."""
    lines = []
    if dev_clips == 0:
        lines.append("no dev clips: thresholds are 0.5 and nothing is known about errors; add clips or a part dev")
    few = few_clips({str(row["label"]): int(row["clips"]) for row in rows})
    if few:
        lines.append(few)
    unknown = [str(row["label"]) for row in rows if dev_clips > 0 and row["dev_clips"] < FEW_DEV]
    if unknown:
        lines.append(
            f"fewer than {FEW_DEV} dev clips of {', '.join(unknown)}: recall and precision of these say little"
        )
    lines += [
        f"{row['label']}: its threshold is {row['threshold']:g}, the floor: nearly any sound begins an event; "
        "add clips of other sounds as negatives (a folder _negative_) and train again"
        for row in rows
        if row["threshold"] <= FLOOR
    ]
    lines += [
        f"{row['label']}: named in {row['false_share']:.0%} of the dev clips without it; add more clips of what it is "
        "taken for, and negatives"
        for row in rows
        if row["false_share"] is not None and row["false_share"] > OFTEN
    ]
    if len(rows) > 1 and dev_clips:
        lines += [
            f"{row['label']}: takes {row['named_share']:.0%} of all dev clips, of which {row['dev_clips']} of "
            f"{dev_clips} have it: the model has hardly learnt; train longer, or balance the classes "
            "(--set data.balance=sampler)"
            for row in rows
            if row["named_share"] > 0.8 and row["dev_clips"] < 0.5 * dev_clips
        ]
    lost = [str(row["label"]) for row in rows if row["dev_clips"] >= FEW_DEV and row["recall"] == 0]
    if lost:
        lines.append(f"never named on dev: {', '.join(lost)}; listen to these clips, add more, or train longer")
    return lines
