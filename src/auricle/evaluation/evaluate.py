# SPDX-License-Identifier: Apache-2.0
"""Scoring a detector on labelled clips.

The detector is whatever has ``tag`` and ``labels``: the runtime's, so that what is measured is what users run.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from auricle.audio.decode import read_audio
from auricle.data.arrays import load_array
from auricle.data.manifest import ArraySpec, Clip, Manifest
from auricle.errors import InputError, UsageError
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


def _read(clip: Clip, arrays: ArraySpec | None) -> tuple[FloatArray, int]:
    """Return the samples of a clip and their rate."""
    if not clip.is_array:
        duration_s = None if clip.offset is None else clip.offset - (clip.onset or 0.0)
        audio = read_audio(clip.path, offset_s=clip.onset or 0.0, duration_s=duration_s)
        return audio.samples, audio.sample_rate
    if arrays is None or arrays.kind != "waveform":
        raise InputError("bad_array", f"{clip.key}: a model hears waveforms; log-mels cannot be scored by it")
    return load_array(clip.path, arrays.kind, scale=arrays.scale).values, arrays.sample_rate


def score_manifest(detector: Tagger, manifest: Manifest) -> FloatArray:
    """Return the scores of all clips in the order of the detector's labels, shape ``(clip, label)``.

    Raises:
        InputError: a clip cannot be read; figures over the rest would hide it.
    """
    rows = []
    for clip in manifest.clips:
        samples, sample_rate = _read(clip, manifest.arrays)
        scores = {s.label: s.score for s in detector.tag(samples, sample_rate).scores}
        rows.append([scores[label] for label in detector.labels])
    return np.array(rows, np.float32)


def evaluate_clips(detector: Tagger, manifest: Manifest) -> Report:
    """Score clips and report; the manifest's labels must be the detector's, in its order."""
    scores = score_manifest(detector, manifest)
    return make_report([scores], manifest)
