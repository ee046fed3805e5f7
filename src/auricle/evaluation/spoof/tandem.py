# SPDX-License-Identifier: Apache-2.0
"""What a spoofing countermeasure is worth in front of a speaker verifier: the t-DCF of ASVspoof 2019.

Kinnunen et al., "t-DCF: a Detection Cost Function for the Tandem Assessment of Spoofing Countermeasures and Automatic
Speaker Verification", Odyssey 2018, in the form and with the costs of the ASVspoof 2019 evaluation plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.evaluation.spoof.metrics import error_rates


@dataclass(frozen=True)
class TandemCost:
    """Priors and costs; the defaults are those of ASVspoof 2019.

    Attributes:
        prior_spoof: share of spoofing attempts.
        prior_target: share of true speakers among the others.
        miss_asv: the verifier rejects a true speaker.
        false_alarm_asv: the verifier accepts another person.
        miss: the countermeasure rejects a bona fide recording.
        false_alarm: the countermeasure accepts a spoofed one.
    """

    prior_spoof: float = 0.05
    prior_target: float = 0.99
    miss_asv: float = 1.0
    false_alarm_asv: float = 10.0
    miss: float = 1.0
    false_alarm: float = 10.0


ASVSPOOF2019 = TandemCost()


@dataclass(frozen=True)
class VerifierErrors:
    """What the verifier does by itself, at its own threshold.

    Attributes:
        miss: share of true speakers it rejects.
        false_alarm: share of other people it accepts.
        spoof_accepted: share of spoofing attempts it accepts.
    """

    miss: float
    false_alarm: float
    spoof_accepted: float


def verifier_errors(target: npt.ArrayLike, nontarget: npt.ArrayLike, spoof: npt.ArrayLike) -> VerifierErrors:
    """Return the errors of a verifier at the threshold where it misses and falsely accepts about equally often.

    Args:
        target: scores of true speakers; higher = the same person.
        nontarget: scores of other people.
        spoof: scores of spoofing attempts.
    """
    true, other, fake = (
        _scores(name, x) for name, x in (("target", target), ("nontarget", nontarget), ("spoof", spoof))
    )
    rates = error_rates(true, other)
    threshold = rates.thresholds[np.argmin(np.abs(rates.miss - rates.false_alarm))]
    accepted = [float((x >= threshold).mean()) for x in (true, other, fake)]
    return VerifierErrors(1 - accepted[0], accepted[1], accepted[2])


def _scores(name: str, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError(f"the {name} scores of the verifier must be one finite number or more, got {array.shape}")
    return array


def min_tdcf(
    bonafide: npt.ArrayLike, spoof: npt.ArrayLike, verifier: VerifierErrors, cost: TandemCost = ASVSPOOF2019
) -> float:
    """Return the normalised t-DCF at the countermeasure's best threshold; 1 is what a useless one costs.

    Args:
        bonafide: scores of the countermeasure for bona fide recordings; higher = bona fide.
        spoof: its scores for spoofed recordings.
        verifier: the verifier behind it.
        cost: priors and costs.

    Raises:
        ValueError: the verifier is so bad that a factor is not positive, and the cost means nothing.
    """
    target = (1 - cost.prior_spoof) * cost.prior_target
    nontarget = (1 - cost.prior_spoof) * (1 - cost.prior_target)
    miss = (
        target * (cost.miss - cost.miss_asv * verifier.miss) - nontarget * cost.false_alarm_asv * verifier.false_alarm
    )
    alarm = cost.false_alarm * cost.prior_spoof * verifier.spoof_accepted
    if miss <= 0 or alarm <= 0:
        raise ValueError(
            f"the t-DCF of 2019 is undefined for this verifier: its factors are {miss:.4g} for misses and {alarm:.4g} "
            "for false alarms, and both must be positive; check the ASV scores and their sign"
        )
    rates = error_rates(bonafide, spoof)
    return float((miss * rates.miss + alarm * rates.false_alarm).min() / min(miss, alarm))
