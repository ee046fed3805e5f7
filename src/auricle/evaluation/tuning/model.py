# SPDX-License-Identifier: Apache-2.0
"""``auricle evaluate --tune``: how scores become events, fitted anew on the dev part of labelled recordings.

On that part only: what is fitted on test data says nothing about other data any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from auricle.data.clip_audio import read_clip
from auricle.data.manifest import Manifest
from auricle.errors import UsageError
from auricle.evaluation.events.report import EventDetector, label_clips
from auricle.evaluation.tuning.events import fit_boxes, fit_events
from auricle.evaluation.tuning.thresholds import fit_smoothing
from auricle.results import FloatArray, Scores

DEV = "dev"
#: Longest gap in a box and longest box, in seconds.
BOX_GAP_S, BOX_EVENT_S = 1.0, 30.0


class FrameScorer(EventDetector, Protocol):
    """What can be tuned."""

    def frames(self, x: FloatArray, sample_rate: int | None = None) -> Scores:
        """Return raw frame scores."""


@dataclass(frozen=True)
class Tuned:
    """What was fitted.

    Attributes:
        postprocess: new values of the bundle's fields ``postprocess``; the others stay.
        thresholds: by label.
        clips: how many it was fitted on.
        strong: whether their labels say when.
        f1: mean F1 of ``strongtuning`` on the same clips, where labels say when: too good by nature.
    """

    postprocess: Mapping[str, Any]
    thresholds: Mapping[str, float]
    clips: int
    strong: bool
    f1: float | None = None


def dev_part(manifest: Manifest, *, split: str | None, fold: str | None) -> Manifest:
    """Return the clips that may be tuned on.

    Raises:
        UsageError: another part was asked for, or there is none called dev.
    """
    asked = f"--fold {fold}" if fold is not None else f"--split {split}"
    if fold is not None or split not in (None, DEV):
        raise UsageError(
            f"--tune with {asked}: tuning looks at the part dev only, or figures of the others would mean nothing; "
            "leave that option out"
        )
    chosen = [i for i, clip in enumerate(manifest.clips) if clip.split == DEV]
    if not chosen:
        parts = ", ".join(sorted({clip.split for clip in manifest.clips if clip.split is not None})) or "none"
        raise UsageError(
            f"{manifest.root} has no part dev to tune on (its parts: {parts}); put recordings that the model has not "
            "learnt from into a folder dev/, or mark them in a column `split`"
        )
    return manifest.select(chosen)


def tune_detector(
    detector: FrameScorer, manifest: Manifest, *, boxes: bool, min_event_s: float, off_ratio: float, max_gap_s: float
) -> Tuned:
    """Fit on all clips of a manifest: on those whose labels say when, if there are any, else on what is in each.

    Args:
        detector: with raw scores.
        manifest: ``dev_part`` of the data.
        boxes: fit boxes instead of thresholds; that needs labels that say when.
        min_event_s: shortest event of the model.
        off_ratio: of the model, kept where labels are weak.
        max_gap_s: longest gap that the model fills.
    """
    if any(clip.strong for clip in manifest.clips):
        scored = label_clips(detector, manifest)
        scores, truth, durations = scored.scores, scored.truth, scored.durations
        if boxes:
            found = fit_boxes(
                scores, truth, durations, max_gap_s=BOX_GAP_S, max_event_s=BOX_EVENT_S, min_event_s=min_event_s
            )
            settings = {"filter_s": found.filter_s, "merge_abs": found.merge_abs, "merge_rel": found.merge_rel}
            limits = {"max_gap_s": BOX_GAP_S, "max_event_s": BOX_EVENT_S}
            post = {"median_s": 0.0, "medians_s": {}, "boxes": {**settings, **limits}}
            return Tuned(post, found.thresholds, len(durations), True, found.f1)
        fitted = fit_events(scores, truth, durations, min_event_s=min_event_s, max_gap_s=max_gap_s)
        post = {"medians_s": fitted.medians_s, "off_ratios": fitted.off_ratios, "boxes": None}
        return Tuned(post, fitted.thresholds, len(durations), True, fitted.f1)
    if boxes:
        raise UsageError(
            f"--boxes needs labels that say when, and {manifest.root} has none in its part dev; leave --boxes out"
        )
    clips = [_frames(detector, manifest, index) for index in range(len(manifest))]
    smoothing = fit_smoothing(
        [part.values for part in clips],
        manifest.targets() >= 0.5,
        manifest.labels,
        clips[0].step_s,
        min_event_s=min_event_s,
        off_ratio=off_ratio,
    )
    return Tuned({"medians_s": smoothing.medians_s, "boxes": None}, smoothing.thresholds, len(manifest), False)


def _frames(detector: FrameScorer, manifest: Manifest, index: int) -> Scores:
    audio = read_clip(manifest.clips[index], manifest.arrays)
    return detector.frames(np.asarray(audio.samples), audio.sample_rate)
