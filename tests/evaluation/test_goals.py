# SPDX-License-Identifier: Apache-2.0
"""Thresholds at which so many of the recordings that are named are right; refused where the data support none."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.errors import UsageError
from auricle.evaluation.tuning.goals import Reached, reach_for_all, reach_precision


def test_the_lowest_threshold_that_reaches_the_goal_by_hand():
    """Four right above .5, a wrong one at .4, a right one at .3: 4 of 4 from .5 on, 5 of 6 (83 %) from .3 on."""
    peaks, true = [0.9, 0.8, 0.7, 0.5, 0.4, 0.3], [1, 1, 1, 1, 0, 1]
    found = reach_precision(peaks, true, 0.75)
    assert isinstance(found, Reached)
    assert found.threshold == pytest.approx((0.05 + 0.3) / 2), "four of four named suffice for 75 %"
    assert (found.precision.value, found.precision.n) == (pytest.approx(5 / 6), 6)
    assert found.recall.value == 1
    assert found.precision.low < 0.5, "and the interval says how little six recordings are"


def test_a_wrong_one_at_the_top_leaves_no_goal():
    peaks, true = np.linspace(0.1, 0.9, 30), np.r_[np.ones(25), np.zeros(5)]
    assert reach_precision(peaks, true, 0.95) == "at most 83% are right of 20 or more recordings that are named"


def test_a_higher_goal_takes_a_higher_threshold():
    rng = np.random.default_rng(0)
    true = rng.random(400) < 0.5
    peaks = np.clip(np.where(true, rng.normal(0.6, 0.15, 400), rng.normal(0.35, 0.15, 400)), 0, 1)
    found = [reach_precision(peaks, true, goal) for goal in (0.7, 0.8, 0.9)]
    assert all(isinstance(f, Reached) for f in found)
    assert found[0].threshold < found[1].threshold < found[2].threshold
    for goal, f in zip((0.7, 0.8, 0.9), found, strict=True):
        named = peaks >= f.threshold
        assert true[named].mean() == pytest.approx(f.precision.value)
        assert f.precision.value >= goal


def test_a_class_that_is_too_rare_is_named_with_the_reason():
    frames = [np.full((5, 2), 0.8, np.float32)] * 4
    options = {"step_s": 0.1, "medians_s": {"a": 0, "b": 0}, "off_ratios": {"a": 1, "b": 1}, "min_event_s": 0}
    truth = [[1, 1], [1, 0], [1, 0], [1, 0]]
    with pytest.raises(
        UsageError, match=r"--min-precision 0\.5 is not supported by these 4 recordings, .*; b: 1 record"
    ):
        reach_for_all(frames, truth, ["a", "b"], 0.5, **options)
    with pytest.raises(UsageError, match="expected a share between 0 and 1"):
        reach_for_all(frames, truth, ["a", "b"], 95, **options)
    assert list(reach_for_all(frames, np.ones((4, 2)), ["a", "b"], 0.5, **options)) == ["a", "b"]
