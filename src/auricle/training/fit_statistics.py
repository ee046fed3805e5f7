# SPDX-License-Identifier: Apache-2.0
"""Fitting the clip-statistics branch (``nn.clip_statistics``) before training: logistic regression on whole clips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from auricle.batches.crops import scoring_windows
from auricle.nn.clip_statistics import FARTHEST, ClipStatistics
from auricle.nn.networks import Network
from auricle.teachers.heads import fit_head
from auricle.training.preparation import Material, evenly_spread

#: Weight of the squared weights beside the summed loss, and what the sum of both branches is multiplied by: chosen on
#: folds 1 to 4 of ESC-10 (ADR 30). Sums of log-odds count how rare a class is twice; half of them does not.
PENALTY = 10.0
SHARES = {"single": 0.75, "multi": 0.5}
#: Least spread of a statistic over clips.
LEAST_SPREAD = 0.02
#: So many clips say enough.
MOST_CLIPS = 4_096


def fit_clip_statistics(network: Network, material: Material, train: npt.NDArray[np.int64]) -> bool:
    """Fit the clip-statistics branch of a network that has one; returns whether it was.

    It is not where labels are a teacher's alone or say when, or where a class has no clip. Of a clip that is longer
    than a window the first counts.
    """
    texture = getattr(network, "texture", None)
    clips = [material.manifest.clips[i] for i in train]
    if not isinstance(texture, ClipStatistics) or not material.has_labels or any(clip.strong for clip in clips):
        return False
    task = material.recipe.task
    chosen = evenly_spread(len(clips), MOST_CLIPS)
    targets = np.asarray(material.targets[train][chosen], np.float64)
    if material.target.negatives and task == "single":
        targets = np.concatenate([targets, np.maximum(0, 1 - targets.sum(1, keepdims=True))], axis=1)
    if (targets.sum(0) == 0).any():
        return False
    rows = []
    for i in chosen:
        window = torch.from_numpy(scoring_windows(material.reader.read(clips[i]), material.recipe, material.reader)[:1])
        logmel = window if material.reader.is_logmel else network.features(window)
        rows.append(texture.statistics(logmel)[0].numpy())
    statistics = np.stack(rows)
    mean, scale = statistics.mean(0), np.maximum(statistics.std(0), LEAST_SPREAD)
    inputs = np.clip((statistics - mean) / scale, -FARTHEST, FARTHEST)
    head = fit_head(inputs, targets, task, penalty=PENALTY)
    weight = head.weight / head.scale[:, None]
    bias = head.bias - head.mean @ weight
    if material.target.negatives and task == "single":  # the logit of "none of the classes" is 0
        weight, bias = weight[:, :-1] - weight[:, -1:], bias[:-1] - bias[-1]
    found = {"mean": mean, "scale": scale, "weight": weight, "bias": bias, "share": np.asarray(SHARES[task])}
    for name, value in found.items():
        getattr(texture, name).copy_(torch.from_numpy(np.asarray(value, np.float32)))
    return True
