# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from helpers import spoof_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.evaluation.spoof.metrics import (
    Cost,
    act_dcf,
    cllr,
    equal_error_rate,
    error_rates,
    min_cllr,
    min_dcf,
)

#: Few different values, so that ties are common.
SCORES = st.lists(st.integers(-6, 6).map(lambda v: v / 2), min_size=1, max_size=30)


def test_det_points_by_hand():
    rates = error_rates([1, 2, 3, 4], [0, 2])
    assert rates.thresholds.tolist() == [0, 1, 2, 3, 4, np.inf]
    assert rates.miss.tolist() == [0, 0, 0.25, 0.5, 0.75, 1]
    assert rates.false_alarm.tolist() == [1, 0.5, 0.5, 0, 0, 0]


def test_eer_by_hand():
    assert equal_error_rate([3, 4], [1, 2]) == 0
    assert equal_error_rate([1, 2], [3, 4]) == 1
    assert equal_error_rate([1, 3, 4, 5], [0, 0, 0, 2]) == 0.25
    # Points (miss, alarm): (0, 1) (0, 1/2) (1/3, 1/2) (1/3, 0): on the last step miss stays at 1/3.
    assert equal_error_rate([1, 3, 4], [0, 2]) == pytest.approx(1 / 3)


def test_tied_scores_are_one_step():
    assert equal_error_rate([1, 1, 1], [1, 1]) == 0.5
    # Accepting the tie gives (0, 1/2), rejecting it (1/2, 0): half of both on the line between.
    assert equal_error_rate([1, 2], [0, 1]) == 0.25
    for order in (np.arange(6), np.arange(6)[::-1]):
        assert equal_error_rate(np.array([1, 1, 1, 2, 2, 3.0])[order], [0, 1, 1, 2]) == equal_error_rate(
            [1, 1, 1, 2, 2, 3], [2, 1, 1, 0]
        )


def test_both_sign_conventions():
    """Scores that are higher for spoof give 1 - EER; turned round they give the EER."""
    human, fake = np.array([0.1, 0.4, 0.35, 0.8, 0.9]), np.array([0.0, 0.2, 0.37, 0.1, 0.45])
    right = equal_error_rate(human, fake)
    assert equal_error_rate(-human, -fake) == pytest.approx(1 - right)
    assert equal_error_rate(-fake, -human) == pytest.approx(right)
    assert right == pytest.approx(reference.eer(human.tolist(), fake.tolist()))


def test_min_dcf_by_hand():
    # Factors 1.9 and 1: accept from 2 on: miss 1/4, alarm 0 -> 0.475; from 1 on: alarm 1/2 -> 0.5; nothing -> 1.9.
    assert min_dcf([1, 2, 3, 4], [0, 1]) == pytest.approx(0.475)
    assert min_dcf([1], [1]) == 1
    assert min_dcf([2], [1]) == 0
    # Where a miss is the cheaper error, rejecting everything costs 1.
    assert min_dcf([1], [1], Cost(prior_spoof=0.5, miss=1, false_alarm=10)) == 1


def test_act_dcf_by_hand():
    assert Cost().threshold == pytest.approx(np.log(0.5 / 0.95))
    assert act_dcf([-1, 1], [-1, -1]) == pytest.approx(0.95)
    assert act_dcf([1, 1], [-1, 1]) == pytest.approx(0.5)
    threshold = Cost().threshold
    assert act_dcf([threshold], [threshold]) == 1  # what scores the threshold is accepted


def test_cllr_by_hand():
    assert cllr([0, 0, 0], [0]) == 1
    assert cllr([np.log(3)], [-np.log(3)]) == pytest.approx(np.log2(4 / 3))
    assert cllr([-np.log(3)], [np.log(3)]) == pytest.approx(2)
    assert cllr([800], [-800]) == 0  # no overflow
    assert np.isfinite(cllr([-800], [800]))


def test_min_cllr_by_hand():
    assert min_cllr([2, 3], [0, 1]) == 0
    assert min_cllr([0, 1], [2, 3]) == pytest.approx(1)  # one block: nothing can be said
    assert min_cllr([5, 5], [5]) == pytest.approx(1)
    # Blocks {0: fake}, {1: 1 of 2 humans, 1 of 2 fakes}, {2: human}: the middle costs 1 bit for half of each.
    assert min_cllr([1, 2], [0, 1]) == pytest.approx(0.5)


@settings(max_examples=40)
@given(SCORES, SCORES)
def test_every_figure_equals_its_slow_form(human, fake):
    assert equal_error_rate(human, fake) == pytest.approx(reference.eer(human, fake), abs=1e-12)
    assert min_dcf(human, fake) == pytest.approx(reference.min_dcf(human, fake))
    assert act_dcf(human, fake) == pytest.approx(reference.act_dcf(human, fake))
    assert cllr(human, fake) == pytest.approx(reference.cllr(human, fake))


@settings(max_examples=40)
@given(SCORES, SCORES)
def test_laws(human, fake):
    assert equal_error_rate(human, fake) + equal_error_rate(-np.array(human), -np.array(fake)) == pytest.approx(1)
    assert equal_error_rate(human, fake) == pytest.approx(equal_error_rate(np.exp(human), np.exp(fake)))
    assert 0 <= min_dcf(human, fake) <= min(1, act_dcf(human, fake)) + 1e-12
    assert -1e-12 <= min_cllr(human, fake) <= min(1.0, cllr(human, fake)) + 1e-12


def test_eer_is_that_of_scikit_learn():
    from sklearn.metrics import roc_curve

    rng = np.random.default_rng(0)
    human, fake = rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 200).round(1)
    truth = np.repeat([1, 0], [300, 200])
    alarm, hit, _ = roc_curve(truth, np.concatenate([human, fake]), drop_intermediate=False)
    grid = np.linspace(0, 1, 200_001)
    expected = grid[np.argmin(np.abs(1 - np.interp(grid, alarm, hit) - grid))]
    assert equal_error_rate(human, fake) == pytest.approx(expected, abs=1e-5)


def test_min_cllr_is_that_of_isotonic_regression():
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(1)
    human, fake = rng.normal(1, 1, 80).round(1), rng.normal(0, 1, 50).round(1)
    scores, truth = np.concatenate([human, fake]), np.repeat([1.0, 0.0], [80, 50])
    share = IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, truth)
    with np.errstate(divide="ignore"):
        llr = np.log(share / (1 - share)) - np.log(80 / 50)
    llr = np.clip(llr, -700, 700)
    assert min_cllr(human, fake) == pytest.approx(reference.cllr(llr[:80].tolist(), llr[80:].tolist()), abs=1e-9)


@pytest.mark.parametrize("figure", [equal_error_rate, min_dcf, act_dcf, cllr, min_cllr])
def test_what_cannot_be_measured_is_named(figure):
    with pytest.raises(ValueError, match="there is no spoof score: error rates need recordings of both kinds"):
        figure([1.0], [])
    with pytest.raises(ValueError, match="there is no bonafide score"):
        figure([], [1.0])
    with pytest.raises(ValueError, match="spoof scores hold NaN or infinity"):
        figure([1.0], [np.nan])
    with pytest.raises(ValueError, match=r"bonafide scores must have shape \(item,\), got \(1, 1\)"):
        figure([[1.0]], [1.0])
