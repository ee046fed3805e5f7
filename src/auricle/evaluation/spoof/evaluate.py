# SPDX-License-Identifier: Apache-2.0
"""From a detector of synthetic voices, or a score file of one, and labelled recordings to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auricle.data.clip_audio import read_clip
from auricle.data.manifest import NO_SYSTEM, Manifest
from auricle.errors import UsageError
from auricle.evaluation.evaluate import Tagger, choose_clips
from auricle.evaluation.spoof.metrics import Array
from auricle.evaluation.spoof.report import Extras, spoof_report, trials_of
from auricle.evaluation.spoof.score_files import read_scores, write_scores
from auricle.results import Report


@dataclass(frozen=True)
class ScoreFiles:
    """Score files that a user named; None where none was.

    Attributes:
        scores: to be written.
        from_scores: reported on, instead of a model.
        against: of another detector of the same recordings.
        asv_scores: of a speaker verifier.
    """

    scores: Path | None = None
    from_scores: Path | None = None
    against: Path | None = None
    asv_scores: Path | None = None

    def first_given(self) -> str | None:
        """Return the option of the first file that was named."""
        return next((f"--{name.replace('_', '-')}" for name, path in vars(self).items() if path is not None), None)


def evaluate_spoof(
    everything: Manifest,
    files: ScoreFiles,
    *,
    split: str | None,
    fold: str | None,
    detector: Tagger | None = None,
    known_systems: Sequence[str] = (),
) -> Report:
    """Report on one part of the data.

    Args:
        everything: the data set.
        files: score files to read and to write.
        split: score only this part.
        fold: score only this fold.
        detector: what is scored; None reports on ``files.from_scores``, and takes the systems of the part ``train``,
            where the data has one, for those that its detector knows.
        known_systems: the systems that the detector knows; none if that is not known.
    """
    manifest = choose_clips(everything, split=split, fold=fold)
    trials = trials_of(manifest)
    if detector is not None:
        values, flags = score_trials(detector, manifest)
    else:
        if files.from_scores is None:
            raise UsageError("nothing to evaluate: neither a model nor a score file was given")
        values, flags = read_scores(files.from_scores, trials), {}
        known_systems = _train_systems(everything)
    if files.scores is not None:
        write_scores(files.scores, trials, values)
    extras = Extras(tuple(known_systems) if known_systems else None, flags, files.against, files.asv_scores)
    return spoof_report(trials, values, manifest, extras)


def score_trials(detector: Tagger, manifest: Manifest) -> tuple[Array, dict[str, int]]:
    """Return the log-likelihood ratio of each clip, and how many clips carry each flag.

    Raises:
        InputError: a clip cannot be read; figures over the rest would hide it.
    """
    llrs: list[float] = []
    flags: Counter[str] = Counter()
    for clip in manifest.clips:
        audio = read_clip(clip, manifest.arrays)
        result = detector.tag(audio.samples, audio.sample_rate)
        if result.llr is None:
            raise UsageError("the model gives no likelihood ratios: its labels are not bonafide and spoof")
        llrs.append(result.llr)
        flags.update({flag.code for flag in (*audio.flags, *result.flags)})
    return np.array(llrs), dict(sorted(flags.items()))


def _train_systems(manifest: Manifest) -> tuple[str, ...]:
    """Return the spoofing systems of the part ``train``; empty without one."""
    train = [clip for clip in manifest.clips if clip.split == "train"]
    return tuple(sorted({clip.extra["system"] for clip in train if clip.extra.get("system", NO_SYSTEM) != NO_SYSTEM}))
