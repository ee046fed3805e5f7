# SPDX-License-Identifier: Apache-2.0
"""What an epoch is judged by on dev: frames where labels say when, clips where they say only what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from auricle.batches.frame_targets import frame_truth
from auricle.data.manifest import Clip
from auricle.evaluation.metrics import mean_average_precision
from auricle.evaluation.report import selection_figures
from auricle.nn.networks import Network
from auricle.results import FloatArray
from auricle.timeline import FrameGrid
from auricle.training.bundling import aggregate, aggregation_rule, joined_frames, score_clips
from auricle.training.preparation import Material


@dataclass(frozen=True, eq=False)
class DevRow:
    """A scored clip: clip scores ``(label,)``, and where labels say when, frame scores ``(frame, label)``."""

    scores: FloatArray
    frames: FloatArray | None = None


def score_rows(network: Network, material: Material, clips: Sequence[Clip]) -> list[DevRow]:
    """Score clips as the runtime will."""
    rule, task, negatives = aggregation_rule(material.recipe), material.recipe.task, material.target.negatives
    scored = score_clips(network, material, clips)
    return [
        DevRow(
            aggregate(windows, rule, task, negatives=negatives),
            joined_frames(frames, material) if clip.strong and network.has_frames else None,
        )
        for clip, (windows, frames) in zip(clips, scored, strict=True)
    ]


def dev_figures(
    rows: Sequence[DevRow], clips: Sequence[Clip], targets: FloatArray, material: Material, grid: FrameGrid
) -> dict[str, float]:
    """Return the figures of dev; the first one selects.

    With strong labels that is ``frame_mAP``: average precision over frames, then the mean over classes, so that a class
    of short events counts as much as one that fills whole scenes. It needs no threshold and no rule for events, which
    are chosen later, and costs a sort.
    """
    figures = selection_figures(np.stack([row.scores for row in rows]), targets, material.recipe.task)
    strong = [(row.frames, clip) for row, clip in zip(rows, clips, strict=True) if row.frames is not None]
    if not strong:
        return figures
    true = [
        frame_truth(clip, material.manifest.labels, grid, len(frames), material.recipe.frontend.sample_rate)
        for frames, clip in strong
    ]
    precision = mean_average_precision(np.concatenate(true), np.concatenate([frames for frames, _ in strong]))
    return {"frame_mAP": 0.0 if precision is None else precision, **figures}
