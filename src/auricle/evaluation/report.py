# SPDX-License-Identifier: Apache-2.0
"""Scores and labels to figures with 95 % intervals, and a row for each class.

Which figures there are, ``clip_metrics`` says. A figure that the data cannot give is left out, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from auricle.data.manifest import Manifest
from auricle.evaluation.clip_metrics import CLIP_METRICS, DECISION, ClipScores
from auricle.evaluation.intervals import Array, Statistic, bootstrap_interval, bootstrap_mean
from auricle.evaluation.metrics import (
    accuracy,
    average_precisions,
    f1_scores,
    log_loss,
    mean_average_precision,
    roc_aucs,
)
from auricle.results import FloatArray, Interval, Report


def selection_figures(scores: FloatArray, targets: FloatArray, task: str) -> dict[str, float]:
    """Return the figures that training looks at; the first one selects, the second one says how sure it is.

    Args:
        scores: ``(clip, label)``.
        targets: same shape; soft ones count as present from 0.5.
        task: ``single`` or ``multi``.
    """
    clips = ClipScores(scores, targets, task)
    if task == "single":
        return {
            "accuracy": accuracy(clips.true_class, clips.found_class),
            "log_loss": log_loss(clips.full_targets, clips.full_scores, "single"),
        }
    precision = mean_average_precision(clips.present, scores)
    return {"mAP": 0.0 if precision is None else precision, "log_loss": log_loss(targets, scores, "multi")}


def pooled_metrics(
    scores: Sequence[FloatArray], targets: FloatArray, groups: Sequence[object], task: str
) -> dict[str, Interval]:
    """Return figures with intervals, averaged over seeds.

    Args:
        scores: one matrix ``(clip, label)`` a seed.
        targets: ``(clip, label)``.
        groups: of each clip, drawn whole by the bootstrap.
        task: ``single`` or ``multi``.
    """
    seeds = [ClipScores(matrix, targets, task) for matrix in scores]
    figures: dict[str, Interval | None] = {}
    for name, metric in CLIP_METRICS.of_task(task).items():
        found = [metric.compute(clips) for clips in seeds]
        if isinstance(found[0], np.ndarray):
            figures[name] = bootstrap_mean(np.stack(cast("list[Array]", found)), groups)
        else:
            figures[name] = bootstrap_interval(cast("list[Statistic]", found), groups)
    return {name: interval for name, interval in figures.items() if interval is not None}


def make_report(scores: Sequence[FloatArray], manifest: Manifest) -> Report:
    """Return figures and class rows of scores ``(clip, label)``, one matrix a seed."""
    targets = manifest.targets()
    metrics = pooled_metrics(scores, targets, manifest.groups(), manifest.task)
    mean = np.asarray(np.mean(scores, axis=0), np.float32)
    return Report(metrics, _class_rows(mean, targets, manifest), len(manifest), manifest.data_hash)


def _class_rows(
    scores: FloatArray, targets: FloatArray, manifest: Manifest
) -> dict[str, dict[str, float | int | None]]:
    truth = targets >= DECISION
    f1 = f1_scores(truth, ClipScores(scores, targets, manifest.task).decided)
    precision = average_precisions(truth, scores)
    auc = roc_aucs(truth, scores)
    return {
        label: {"n": int(truth[:, i].sum()), "f1": f1[i], "ap": precision[i], "auc": auc[i]}
        for i, label in enumerate(manifest.labels)
    }
