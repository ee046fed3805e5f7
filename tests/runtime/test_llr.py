# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from helpers.tinybundle import spec_values

from auricle.evaluation.spoof.metrics import cllr, min_cllr
from auricle.runtime.calibration import apply_calibration
from auricle.runtime.llr import (
    bonafide_probability,
    calibrated_llr,
    calibrated_scores,
    fit_llr,
    raw_llr,
    verdict,
)
from auricle.runtime.spec import BundleSpec, LlrPart


def test_raw_ratios_by_hand():
    scores = np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]], np.float32)
    found = raw_llr(scores, ("bonafide", "spoof"))
    assert found[:2].tolist() == pytest.approx([np.log(3), 0])
    assert np.isfinite(found[2])
    assert raw_llr(scores[0], ("spoof", "bonafide")) == pytest.approx(-np.log(3))


def test_probabilities_by_hand():
    assert bonafide_probability(np.log(3), 0.5) == pytest.approx(0.75)
    assert bonafide_probability(0, 0.05) == pytest.approx(0.95)
    assert bonafide_probability(np.log(0.05 / 0.95), 0.05) == pytest.approx(0.5)


def test_a_verdict_by_hand():
    """Labels may stand in any order; a model that tells other things apart is calibrated as before."""
    values = {"task": "single", "labels": ("spoof", "bonafide"), "thresholds": {"spoof": 0.5, "bonafide": 0.5}}
    scores = np.array([0.25, 0.75], np.float32)
    plain = BundleSpec(**spec_values(**values))
    shares, llr, prior = verdict(scores, plain)
    assert (llr, prior) == pytest.approx((np.log(3), 0.5))
    assert shares.tolist() == pytest.approx([0.25, 0.75])
    part = {"method": "llr", "scale": 2.0, "offset": 0.0, "prior_spoof": 0.9}
    shares, llr, prior = verdict(scores, BundleSpec(**spec_values(**values, calibration=part)))
    assert (llr, prior) == pytest.approx((np.log(9), 0.9))
    assert shares.tolist() == pytest.approx([0.5, 0.5])
    assert verdict(scores, plain, 0.75)[0].tolist() == pytest.approx([0.5, 0.5])
    assert calibrated_scores(scores, plain).tolist() == pytest.approx([0.25, 0.75])
    warm = BundleSpec(**spec_values(calibration={"method": "temperature", "temperature": 2.0}))
    expected = apply_calibration(scores, warm.calibration, warm.task, none=warm.negatives)
    assert calibrated_scores(scores, warm).tolist() == expected.tolist()


def test_a_calibration_belongs_to_its_kind_of_model():
    with pytest.raises(ValueError, match="calibration by method llr goes with the labels bonafide and spoof"):
        BundleSpec(**spec_values(calibration={"method": "llr", "scale": 1.0, "offset": 0.0}))


def test_a_calibration_is_a_line():
    part = LlrPart(method="llr", scale=2.0, offset=-1.0)
    assert calibrated_llr([0.0, 3.0], part).tolist() == [-1, 5]
    assert calibrated_llr([0.0, 3.0], None).tolist() == [0, 3]


def test_two_values_by_hand():
    """At 1, 3 of 4 humans and 1 of 4 fakes; at -1 the others: targets (n + 1) / (n + 2) = 5/6, so the share of humans
    at 1 is (3 * 5/6 + 1 * 1/6) / 4 = 2/3, and the ratio log 2."""
    raw = [1, 1, 1, -1, 1, -1, -1, -1]
    part = fit_llr(raw, [True] * 4 + [False] * 4)
    assert (part.scale, part.offset) == pytest.approx((np.log(2), 0), abs=1e-5)


def test_true_ratios_need_no_calibration():
    """Of normal distributions at +1 and -1 with variance 2 the log ratio is x itself."""
    rng = np.random.default_rng(0)
    raw = np.concatenate([rng.normal(1, np.sqrt(2), 20_000), rng.normal(-1, np.sqrt(2), 5_000)])
    real = np.arange(25_000) < 20_000
    for prior in (0.5, 0.05):
        part = fit_llr(raw, real, prior)
        assert (part.scale, part.offset) == pytest.approx((1, 0), abs=0.08)
        assert part.prior_spoof == prior


def test_a_distorted_score_is_put_right():
    rng = np.random.default_rng(1)
    true = np.concatenate([rng.normal(2, 2, 2_000), rng.normal(-2, 2, 2_000)])
    real = np.arange(4_000) < 2_000
    bent = 5 * true + 7
    part = fit_llr(bent, real)
    llr = calibrated_llr(bent, part)
    assert cllr(bent[real], bent[~real]) > 2
    assert cllr(llr[real], llr[~real]) < min_cllr(bent[real], bent[~real]) + 0.02


def test_perfect_scores_give_finite_ratios():
    part = fit_llr([3.0, 4, 5, -3, -4, -5], [True] * 3 + [False] * 3)
    assert 0 < part.scale < 10


def test_nothing_to_learn():
    assert fit_llr([1.0, 2.0], [True, True]) is None
    assert fit_llr([-1.0, -2.0, 1.0, 2.0], [True, True, False, False]) is None  # higher for spoof: no calibration
    with pytest.raises(ValueError, match=r"need a score and a kind for each recording, got \(1,\) and \(2,\)"):
        fit_llr([1.0], [True, False])
