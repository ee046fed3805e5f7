# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.intervals import bootstrap_interval, bootstrap_mean


def test_one_group_has_no_spread():
    interval = bootstrap_mean([1, 0, 1, 1], ["g"] * 4)
    assert (interval.value, interval.low, interval.high, interval.n) == (0.75, 0.75, 0.75, 4)


def test_two_groups_by_hand():
    # draws are AA, AB, BA, BB: means 0, 0.5, 0.5, 1
    interval = bootstrap_mean([0, 0, 1, 1], ["a", "a", "b", "b"])
    assert (interval.value, interval.low, interval.high) == (0.5, 0.0, 1.0)


def test_many_independent_items_match_the_normal_approximation():
    right = (np.random.default_rng(0).random(2_000) < 0.8).astype(float)
    interval = bootstrap_mean(right, range(2_000))
    error = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 2_000)
    assert interval.low == pytest.approx(right.mean() - error, abs=0.003)
    assert interval.high == pytest.approx(right.mean() + error, abs=0.003)


def test_groups_of_like_items_widen_the_interval():
    right = np.repeat([1, 0, 1, 1, 0, 1, 1, 1], 50)
    alone, grouped = bootstrap_mean(right, range(400)), bootstrap_mean(right, np.repeat(np.arange(8), 50).tolist())
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


def test_the_fast_form_equals_the_general_one():
    rng = np.random.default_rng(1)
    values, groups = rng.random((3, 60)), rng.integers(0, 12, 60).tolist()
    general = bootstrap_interval([lambda i, v=v: float(v[i].mean()) for v in values], groups, repeats=300, seed=5)
    fast = bootstrap_mean(values, groups, repeats=300, seed=5)
    assert (fast.value, fast.low, fast.high) == pytest.approx((general.value, general.low, general.high))
    assert fast.n == general.n == 60


def test_the_seed_decides():
    values, groups = np.arange(30.0), range(30)
    assert bootstrap_mean(values, groups, seed=1) == bootstrap_mean(values, groups, seed=1)
    assert bootstrap_mean(values, groups, seed=1) != bootstrap_mean(values, groups, seed=2)


def test_undefined_draws_are_left_out_and_too_many_give_none():
    values = np.array([np.nan, 1.0, 2.0, 3.0])

    def mean(index):
        kept = values[index][~np.isnan(values[index])]
        return float(kept.mean()) if len(kept) > 2 else None

    interval = bootstrap_interval(mean, range(4))
    assert interval.value == 2.0
    assert 1.0 <= interval.low <= 2.0 <= interval.high <= 3.0
    assert bootstrap_interval(lambda index: None, range(4)) is None
    rare = bootstrap_interval(lambda index: 1.0 if len(set(index.tolist())) == 4 else None, range(4))
    assert rare is None  # 4! / 4^4 = 9 % of the draws
    assert bootstrap_interval([lambda i: 1.0, lambda i: None], range(4)) is None


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    covered = 0
    for trial in range(200):
        interval = bootstrap_mean(rng.random(60) < 0.7, range(60), repeats=400, seed=trial)
        covered += interval.low <= 0.7 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_impossible_input_is_refused():
    with pytest.raises(ValueError, match="no item to evaluate"):
        bootstrap_mean([], [])
    with pytest.raises(ValueError, match="got 2 values and 3 groups; every value needs its group"):
        bootstrap_mean([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        bootstrap_mean([1], [1], repeats=0)
