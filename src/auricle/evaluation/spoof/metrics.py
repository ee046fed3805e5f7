# SPDX-License-Identifier: Apache-2.0
"""How well do scores tell bona fide speech from spoofed speech? The figures of the anti-spoofing field.

Everywhere a higher score means *bona fide*, and a threshold ``t`` accepts what scores ``t`` or more. A *miss* is a
bona fide recording that is rejected, a *false alarm* a spoofed one that is accepted. Equal scores are one step of
the curve, so the order of a file never matters. ``act_dcf`` and ``cllr`` need log-likelihood ratios (natural
logarithm), the others any score.

EER by linear interpolation between the two operating points around it; minDCF, actDCF and Cllr as in Wang et al.,
"ASVspoof 5: Crowdsourced Speech Data, Deepfakes, and Adversarial Attacks at Scale", 2024; Cllr and its minimum by
Brümmer and du Preez, "Application-independent evaluation of speaker detection", Computer Speech and Language 2006.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cost:
    """What errors cost, and how often recordings are spoofed; the defaults are those of ASVspoof 5.

    Attributes:
        prior_spoof: share of spoofed recordings.
        miss: cost of rejecting a bona fide recording.
        false_alarm: cost of accepting a spoofed one.
    """

    prior_spoof: float = 0.05
    miss: float = 1.0
    false_alarm: float = 10.0

    @property
    def weights(self) -> tuple[float, float]:
        """Factors of the miss rate and of the false alarm rate, divided by the smaller one.

        So a detector that always says the same has a cost of 1.
        """
        miss, alarm = self.miss * (1 - self.prior_spoof), self.false_alarm * self.prior_spoof
        return miss / min(miss, alarm), alarm / min(miss, alarm)

    @property
    def threshold(self) -> float:
        """Log-likelihood ratio from which accepting is the cheaper decision (Bayes)."""
        miss, alarm = self.weights
        return float(np.log(alarm / miss))


ASVSPOOF5 = Cost()


@dataclass(frozen=True)
class Rates:
    """Error rates at every threshold that makes a difference: the points of the DET curve.

    Attributes:
        thresholds: ascending, shape ``(threshold,)``; the last one is infinite and rejects everything.
        miss: shape ``(..., threshold)``, from 0 to 1.
        false_alarm: same shape, from 1 to 0.
    """

    thresholds: Array
    miss: Array
    false_alarm: Array


def error_rates(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> Rates:
    """Return the points of the DET curve (of the ROC curve: ``1 - miss`` over ``false_alarm``).

    >>> error_rates([2, 3], [1, 2]).miss.tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    human, fake = check_scores(bonafide, spoof)
    scores = np.concatenate([human, fake])
    is_human = np.arange(len(scores)) < len(human)
    return weighted_rates(scores, is_human, np.ones((1, len(scores))), keep_draws=False)


def weighted_rates(scores: Array, is_bonafide: BoolArray, weights: Array, *, keep_draws: bool = True) -> Rates:
    """Return the rates of several draws at once: how often each item was drawn is its weight.

    Args:
        scores: shape ``(item,)``.
        is_bonafide: shape ``(item,)``.
        weights: shape ``(draw, item)``.
        keep_draws: whether the rates keep the axis of the draws, else there must be one draw.

    Returns:
        Rates of shape ``(draw, threshold)``; NaN in draws that lack a class.
    """
    order = np.argsort(scores, kind="stable")
    ranked, drawn = scores[order], weights[:, order]
    starts = np.flatnonzero(np.diff(ranked, prepend=-np.inf))
    human = np.add.reduceat(drawn * is_bonafide[order], starts, axis=1)
    fake = np.add.reduceat(drawn * ~is_bonafide[order], starts, axis=1)
    rejected = [np.concatenate([np.zeros((len(x), 1)), np.cumsum(x, axis=1)], axis=1) for x in (human, fake)]
    with np.errstate(invalid="ignore"):
        miss, right = (x / x[:, -1:] for x in rejected)
    thresholds = np.append(ranked[starts], np.inf)
    return Rates(thresholds, miss, 1 - right) if keep_draws else Rates(thresholds, miss[0], 1 - right[0])


def eer_of(rates: Rates) -> Array:
    """Return the equal error rate, shape ``(...)``: where the line between two neighbouring points has equal rates."""
    gap = rates.miss - rates.false_alarm  # ascends from -1 to 1
    above = np.argmax(gap >= 0, axis=-1)[..., None]
    below = np.maximum(above - 1, 0)
    low, high = (np.take_along_axis(gap, i, -1)[..., 0] for i in (below, above))
    left, right = (np.take_along_axis(rates.miss, i, -1)[..., 0] for i in (below, above))
    return np.asarray(left + (right - left) * np.abs(low) / (np.abs(low) + high))


def min_dcf_of(rates: Rates, cost: Cost = ASVSPOOF5) -> Array:
    """Return the least normalised cost over all thresholds, shape ``(...)``."""
    miss, alarm = cost.weights
    return np.asarray((miss * rates.miss + alarm * rates.false_alarm).min(axis=-1))


def equal_error_rate(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Return the rate at which misses and false alarms are equally frequent.

    >>> equal_error_rate([2, 3, 4], [0, 1, 3])
    0.3333333333333333
    """
    return float(eer_of(error_rates(bonafide, spoof)))


def min_dcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, cost: Cost = ASVSPOOF5) -> float:
    """Return the detection cost at the best threshold; 1 is what deciding without listening costs."""
    return float(min_dcf_of(error_rates(bonafide, spoof), cost))


def act_dcf(bonafide: npt.ArrayLike, spoof: npt.ArrayLike, cost: Cost = ASVSPOOF5) -> float:
    """Return the detection cost at the threshold that the scores, taken at their word, call for."""
    human, fake = check_scores(bonafide, spoof)
    miss, alarm = cost.weights
    return float(miss * (human < cost.threshold).mean() + alarm * (fake >= cost.threshold).mean())


def surprise_bits(llrs: Array, is_bonafide: BoolArray) -> Array:
    """Return what each ratio costs in bits, given what the recording truly is; ``cllr`` is their balanced mean."""
    return np.asarray(np.logaddexp(0, np.where(is_bonafide, -llrs, llrs)) / np.log(2))


def cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Return the cost of log-likelihood ratios in bits: 0 is perfect, 1 is what saying nothing (all 0) costs.

    >>> cllr([0, 0], [0])
    1.0
    """
    human, fake = check_scores(bonafide, spoof)
    costs = [surprise_bits(x, np.full(len(x), kind)).mean() for x, kind in ((human, True), (fake, False))]
    return float(np.mean(costs))


def min_cllr(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> float:
    """Return what ``cllr`` would be after the best monotone calibration (pool adjacent violators)."""
    human, fake = check_scores(bonafide, spoof)
    scores, index = np.unique(np.concatenate([human, fake]), return_inverse=True)
    humans = np.bincount(index[: len(human)], minlength=len(scores))
    fakes = np.bincount(index[len(human) :], minlength=len(scores))
    total = 0.0
    for h, f in _pooled(humans.tolist(), fakes.tolist()):
        share_h, share_f = h / len(human), f / len(fake)
        # The best ratio of a block is share_h / share_f; a class that a block lacks costs nothing there.
        total += share_h * np.log2(1 + share_f / share_h) if h else 0.0
        total += share_f * np.log2(1 + share_h / share_f) if f else 0.0
    return float(total / 2)


def check_scores(bonafide: npt.ArrayLike, spoof: npt.ArrayLike) -> tuple[Array, Array]:
    """Return both sets as arrays; raises ``ValueError`` naming what is wrong with which."""
    human, fake = np.asarray(bonafide, np.float64), np.asarray(spoof, np.float64)
    for name, values in (("bonafide", human), ("spoof", fake)):
        if values.ndim != 1:
            raise ValueError(f"{name} scores must have shape (item,), got {values.shape}")
        if len(values) == 0:
            raise ValueError(f"there is no {name} score: error rates need recordings of both kinds")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} scores hold NaN or infinity")
    return human, fake


def _pooled(humans: list[int], fakes: list[int]) -> list[tuple[int, int]]:
    """Return counts of blocks whose share of bona fide recordings ascends: neighbours that do not are joined."""
    blocks: list[tuple[int, int]] = []
    for block in zip(humans, fakes, strict=True):
        h, f = block
        while blocks and blocks[-1][0] * (h + f) >= h * sum(blocks[-1]):
            h, f = h + blocks[-1][0], f + blocks[-1][1]
            blocks.pop()
        blocks.append((h, f))
    return blocks
