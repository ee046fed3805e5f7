# SPDX-License-Identifier: Apache-2.0
"""Bona fide or spoofed: log-likelihood ratios, and probabilities at a stated prior.

A ratio says how much likelier the recording is if a person speaks than if a machine does, whatever the share of
spoofed recordings; with that share (the prior) it becomes a probability. Higher is bona fide. The calibration is
prior-weighted logistic regression: Brümmer and du Preez, "Application-independent evaluation of speaker detection",
Computer Speech and Language 2006, with the smoothed targets of Platt 1999, so that classes that a score separates
perfectly give finite ratios. Pure functions; natural logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from auricle.results import SPOOF_LABELS, FloatArray
from auricle.runtime.calibration import Array, apply_calibration, fit_weighted_logistic, sigmoid
from auricle.runtime.spec import BundleSpec, CalibrationPart, LlrPart

#: Share of spoofed recordings where nobody states one.
DEFAULT_PRIOR_SPOOF = 0.5
#: Scores are kept this far above 0 before a logarithm: the smallest that single precision holds at full accuracy.
_SMALLEST = 1e-37


def raw_llr(scores: FloatArray, labels: Sequence[str]) -> Array:
    """Return the difference of the log scores, before calibration: ``(..., label)`` to ``(...)``."""
    logs = np.log(np.maximum(np.asarray(scores, np.float64), _SMALLEST))
    human, fake = (logs[..., labels.index(label)] for label in SPOOF_LABELS)
    return np.asarray(human - fake)


def calibrated_llr(raw: npt.ArrayLike, part: LlrPart | None) -> Array:
    """Return log-likelihood ratios; without a calibration the raw ones stand for them."""
    values = np.asarray(raw, np.float64)
    return values if part is None else part.scale * values + part.offset


def bonafide_probability(llr: npt.ArrayLike, prior_spoof: float) -> Array:
    """Return the probability of ``bonafide`` (Bayes).

    >>> round(float(bonafide_probability(0.0, 0.05)), 6)
    0.95
    """
    return sigmoid(np.asarray(llr, np.float64) + math.log((1 - prior_spoof) / prior_spoof))


def verdict(scores: FloatArray, spec: BundleSpec, prior_spoof: float | None = None) -> tuple[FloatArray, float, float]:
    """Return what a model of synthetic voices says of a recording.

    Args:
        scores: clip scores as the network gives them, shape ``(label,)``.
        spec: of a model whose ``is_spoof`` holds.
        prior_spoof: share of spoofed recordings; None takes the model's.

    Returns:
        Probabilities of shape ``(label,)``, the log-likelihood ratio, and the prior that was taken.
    """
    part = spec.calibration if isinstance(spec.calibration, LlrPart) else None
    llr = float(calibrated_llr(raw_llr(scores, spec.labels), part))
    if prior_spoof is None:
        prior_spoof = DEFAULT_PRIOR_SPOOF if part is None else part.prior_spoof
    human = float(bonafide_probability(llr, prior_spoof))
    shares = np.array([human if label == SPOOF_LABELS[0] else 1 - human for label in spec.labels], np.float32)
    return shares, llr, prior_spoof


def calibrated_scores(scores: FloatArray, spec: BundleSpec) -> FloatArray:
    """Return the clip scores ``(label,)`` of any model as it states them to users."""
    if spec.is_spoof:
        return verdict(scores, spec)[0]
    part = spec.calibration if isinstance(spec.calibration, CalibrationPart) else None
    return apply_calibration(scores, part, spec.task, none=spec.negatives)


def fit_llr(raw: npt.ArrayLike, bonafide: npt.ArrayLike, prior_spoof: float = DEFAULT_PRIOR_SPOOF) -> LlrPart | None:
    """Return the calibration of held-out recordings with the least cost at a prior.

    Args:
        raw: ``raw_llr`` of the recordings, shape ``(item,)``.
        bonafide: whether each is bona fide.
        prior_spoof: at which the cost is least, and which probabilities will take for granted.

    Returns:
        None where nothing can be learnt: one kind of recording only, or scores that do not rise with bona fide ones.
    """
    z, real = np.asarray(raw, np.float64), np.asarray(bonafide, np.bool_)
    if z.ndim != 1 or z.shape != real.shape:
        raise ValueError(f"need a score and a kind for each recording, got {z.shape} and {real.shape}")
    humans, fakes = int(real.sum()), int((~real).sum())
    if humans == 0 or fakes == 0:
        return None
    weights = np.where(real, (1 - prior_spoof) / humans, prior_spoof / fakes) * len(z)
    targets = np.where(real, (humans + 1) / (humans + 2), 1 / (fakes + 2))
    scale, bias = fit_weighted_logistic(z, targets, weights)
    # The fit gives log-odds at the prior; without the prior's share they are likelihood ratios.
    offset = bias - math.log((1 - prior_spoof) / prior_spoof)
    return LlrPart(method="llr", scale=scale, offset=offset, prior_spoof=prior_spoof) if scale > 0 else None
