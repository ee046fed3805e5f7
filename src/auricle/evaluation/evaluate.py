# SPDX-License-Identifier: Apache-2.0
"""Scoring a detector on labelled clips.

The detector is whatever has ``tag`` and ``labels``: the runtime's, so that what is measured is what users run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from auricle.data.clip_audio import read_clip
from auricle.data.manifest import Manifest
from auricle.errors import UsageError
from auricle.evaluation.events.report import EventDetector, label_clips, sed_figures
from auricle.evaluation.report import make_report
from auricle.results import FloatArray, Report, TagResult


class Tagger(Protocol):
    """What can be evaluated."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes."""

    def tag(self, x: FloatArray, sample_rate: int | None = None) -> TagResult:
        """Score a recording."""


def choose_clips(manifest: Manifest, *, split: str | None, fold: str | None) -> Manifest:
    """Return the clips of a part or a fold; raises ``UsageError`` if there are none."""
    chosen = [
        i
        for i, clip in enumerate(manifest.clips)
        if (split is None or clip.split == split) and (fold is None or clip.fold == fold)
    ]
    if not chosen:
        splits = ", ".join(sorted({clip.split for clip in manifest.clips if clip.split is not None})) or "none"
        folds = ", ".join(manifest.folds) or "none"
        raise UsageError(f"no clip is left to score; splits in the data: {splits}; folds: {folds}")
    return manifest.select(chosen)


def score_manifest(detector: Tagger, manifest: Manifest) -> FloatArray:
    """Return the scores of all clips in the order of the detector's labels, shape ``(clip, label)``.

    Raises:
        InputError: a clip cannot be read; figures over the rest would hide it.
    """
    rows = []
    for clip in manifest.clips:
        audio = read_clip(clip, manifest.arrays)
        scores = {s.label: s.score for s in detector.tag(audio.samples, audio.sample_rate).scores}
        rows.append([scores[label] for label in detector.labels])
    return np.array(rows, np.float32)


class EventTagger(Tagger, EventDetector, Protocol):
    """What says both what and when."""


def evaluate_clips(detector: EventTagger, manifest: Manifest) -> Report:
    """Score clips and report; the manifest's labels must be the detector's, in its order.

    Where labels say when, the figures of ``sed_report`` come on top, over the clips that have such labels.
    """
    report = make_report([score_manifest(detector, manifest)], manifest)
    if not any(clip.strong for clip in manifest.clips):
        return report
    scored = label_clips(detector, manifest)
    metrics, rows = sed_figures(scored, manifest.labels)
    hours = round(sum(scored.durations.values()) / 3600, 6)
    return replace(
        report,
        metrics={**report.metrics, **metrics},
        per_class={label: {**row, **rows[label]} for label, row in report.per_class.items()},
        details={**report.details, "strong": {"recordings": len(scored.durations), "hours": hours}},
    )
