# SPDX-License-Identifier: Apache-2.0
"""What a model that tells bona fide from spoofed speech carries beside its weights: calibration, domain, provenance.

The calibration comes from dev, recordings that the weights did not learn from; without a dev part it comes from folds
(``training.spoof_calibration``), or later from ``calibrate`` with scores of recordings that no such model was
trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auricle.batches.crops import scoring_windows
from auricle.data.manifest import NO_SYSTEM, Clip
from auricle.errors import TrainingError
from auricle.results import FloatArray
from auricle.runtime.bundle import Bundle, load_bundle, write_bundle
from auricle.runtime.llr import DEFAULT_PRIOR_SPOOF, fit_llr, raw_llr
from auricle.runtime.ood import fit_domain, window_features
from auricle.runtime.spec import BundleSpec, DomainPart, LlrPart
from auricle.timeline import samples_to_seconds
from auricle.training.preparation import Material, evenly_spread

#: So many training clips are described; more would not move the means.
MOST_CLIPS = 2_000


def describe_spoof(
    spec: BundleSpec, material: Material, trained: Sequence[Clip], dev_scores: Sequence[FloatArray], dev: Sequence[Clip]
) -> BundleSpec:
    """Return the specification with what a spoofing model carries.

    Args:
        spec: of a model whose ``is_spoof`` holds.
        material: its data.
        trained: the clips that it learnt from.
        dev_scores: scores of each clip that it did not learn from, each of shape ``(label,)``.
        dev: those clips; they selected the weights, so their systems and speakers count as trained on too.
    """
    calibration = None
    if len(dev):
        calibration = fit_llr(raw_llr(np.stack(dev_scores), spec.labels), [clip.label == ("bonafide",) for clip in dev])
    clips = [*trained, *dev]
    systems = {clip.extra["system"] for clip in clips if "system" in clip.extra} - {NO_SYSTEM}
    speakers = {clip.group for clip in clips if clip.group is not None}
    provenance = spec.provenance.model_copy(
        update={"systems": tuple(sorted(systems)), "speakers": tuple(sorted(speakers))}
    )
    domain = None if material.reader.is_logmel else describe_domain(material, trained)
    return spec.model_copy(update={"calibration": calibration, "domain": domain, "provenance": provenance})


def describe_domain(material: Material, clips: Sequence[Clip]) -> DomainPart:
    """Return what the windows of training clips are like; of many clips, evenly spread ones are taken."""
    rate = material.recipe.frontend.sample_rate
    chosen = [clips[i] for i in evenly_spread(len(clips), MOST_CLIPS)]
    rows, shortest = [], np.inf
    for clip in chosen:
        samples = np.asarray(material.reader.read(clip))
        shortest = min(shortest, samples_to_seconds(len(samples), rate))
        rows += [window_features(w, rate) for w in scoring_windows(samples, material.recipe, material.reader)]
    return fit_domain(np.stack(rows), float(shortest))


def calibrate(
    folder: Path, raw: npt.ArrayLike, bonafide: npt.ArrayLike, prior_spoof: float = DEFAULT_PRIOR_SPOOF
) -> Bundle:
    """Give a model folder a calibration, fitted on raw ratios of recordings its folds' models were not trained on.

    Raises:
        TrainingError: the scores do not rise with bona fide recordings, or are of one kind.
    """
    bundle = load_bundle(folder)
    part: LlrPart | None = fit_llr(raw, bonafide, prior_spoof)
    if part is None:
        raise TrainingError(f"{folder} cannot be calibrated: need scores of both kinds that rise with bona fide ones")
    spec = bundle.spec.model_copy(update={"calibration": part})
    files = {name: bundle.path / name for name in bundle.spec.sha256}
    return write_bundle(folder, spec, dict(files))
