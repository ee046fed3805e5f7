# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.spoof.tandem import TandemCost, VerifierErrors, min_tdcf, verifier_errors


def test_the_verifier_by_hand():
    # At 2 the verifier misses one of four true speakers and accepts one of four others.
    errors = verifier_errors([1, 2, 3, 4], [-1, 0, 0, 2], [0, 2, 3, 5])
    assert errors == VerifierErrors(miss=0.25, false_alarm=0.25, spoof_accepted=0.75)


def test_min_tdcf_by_hand():
    """A verifier without errors of its own that accepts half of the spoofs.

    Factors: misses 0.95 * 0.99 * 1 = 0.9405, false alarms 10 * 0.05 * 0.5 = 0.25. Thresholds of the countermeasure:
    accept all 0.25; reject the lowest spoof 0.125; then also a bona fide one (1/4): 0.235125 + 0.125; then both spoofs:
    0.235125. The least is 0.125, divided by 0.25.
    """
    perfect = VerifierErrors(0.0, 0.0, 0.5)
    assert min_tdcf([1, 3, 4, 5], [0, 2], perfect) == pytest.approx(0.5)
    # Now the other spoof is below all: rejecting both costs nothing.
    assert min_tdcf([1, 3, 4, 5], [0, 0.5], perfect) == 0
    # The same scores turned round can only be used by accepting everything.
    assert min_tdcf([-1, -3, -4, -5], [0, 2], perfect) == 1


def test_a_verifier_with_errors_by_hand():
    """Misses 0.9405 * (1 - 0.2) - 0.0095 * 10 * 0.1 = 0.7429, false alarms 0.5 * 0.9 = 0.45."""
    errors = VerifierErrors(miss=0.2, false_alarm=0.1, spoof_accepted=0.9)
    # Reject the lower half of the spoofs and nobody else: 0.225 / 0.45; or all spoofs and half of the others: 0.37145.
    assert min_tdcf([1, 3], [0, 2], errors) == pytest.approx(0.225 / 0.45)
    assert min_tdcf([1, 3], [2, 2], errors) == pytest.approx(0.37145 / 0.45)


def test_a_useless_verifier_is_refused():
    with pytest.raises(ValueError, match=r"undefined for this verifier: its factors are -0.095 for misses"):
        min_tdcf([1], [0], VerifierErrors(miss=1.0, false_alarm=1.0, spoof_accepted=1.0))
    with pytest.raises(ValueError, match=r"0 for false alarms, and both must be positive; check the ASV scores"):
        min_tdcf([1], [0], VerifierErrors(miss=0.0, false_alarm=0.0, spoof_accepted=0.0))
    with pytest.raises(ValueError, match="the nontarget scores of the verifier must be one finite number or more"):
        verifier_errors([1], [], [1])
    with pytest.raises(ValueError, match="the spoof scores of the verifier"):
        verifier_errors([1], [1], [np.nan])


def test_other_costs():
    cost = TandemCost(prior_spoof=0.5, prior_target=0.5, miss_asv=0, false_alarm_asv=0, miss=4, false_alarm=2)
    # Factors 0.25 * 4 = 1 and 2 * 0.5 * 1 = 1: the least of miss + alarm.
    assert min_tdcf([1, 3], [0, 2], VerifierErrors(0, 0, 1), cost) == pytest.approx(0.5)
