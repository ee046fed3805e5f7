# SPDX-License-Identifier: Apache-2.0
"""Which candidates are asked about, and what the answers say: worked out by hand, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from auricle.evaluation.intervals import proportion_interval
from auricle.studio.selection import (
    NO,
    UNSEEN,
    UNSURE,
    YES,
    Candidates,
    least_verdicts,
    precision_of,
    queue,
    review_order,
    strata_of,
    threshold_for,
    useful_strata,
    verdicts_to_go,
)


def candidates(score, verdict=None, key=None, recording=None) -> Candidates:
    n = len(score)
    return Candidates(
        np.array(score, np.float64),
        np.full(n, UNSEEN) if verdict is None else np.array(verdict, np.int64),
        np.arange(n) / n if key is None else np.array(key, np.float64),
        np.arange(n) if recording is None else np.array(recording, np.int64),
        10.0 * np.arange(n),
        10.0 * np.arange(n) + 2,
    )


def test_a_sample_is_what_was_judged_up_to_the_first_gap():
    # By key: 3 (yes), 1 (no), 0 (unseen), 2 (yes): the last one was not drawn, it was judged for another reason.
    found = candidates([0.9] * 4, [UNSEEN, NO, YES, YES], [0.3, 0.2, 0.4, 0.1])
    (stratum,) = strata_of(found, 0.5, 1)
    assert stratum.members.tolist() == [3, 1, 0, 2]
    assert (stratum.sampled, stratum.hits) == (2, 1)


def test_strata_are_parts_of_equal_size_by_score_and_leave_out_the_unsure():
    found = candidates([0.2, 0.9, 0.6, 0.8, 0.7, 0.95], [UNSEEN] * 5 + [UNSURE])
    assert [sorted(s.members.tolist()) for s in strata_of(found, 0.5, 2)] == [[2, 4], [1, 3]]


def test_precision_of_one_stratum_is_wilsons_for_a_large_folder():
    n = 100_000
    verdict = np.full(n, UNSEEN)
    verdict[:10] = [YES] * 8 + [NO] * 2
    found = candidates(np.full(n, 0.9), verdict)  # of more strata than one, some would have no verdict
    assert len(useful_strata(found, 0.5)) == 1
    interval, wilson = precision_of(found, 0.5), proportion_interval(8, 10)
    assert interval.value == pytest.approx(0.8)
    assert interval.n == 10
    assert (interval.low, interval.high) == pytest.approx((wilson.low, wilson.high), abs=1e-3)


def test_precision_of_two_strata_by_hand():
    # Low stratum: 4 candidates, 2 judged, 1 right. High stratum: 4 candidates, all 4 judged and right.
    score = [0.6, 0.6, 0.6, 0.6, 0.9, 0.9, 0.9, 0.9]
    verdict = [YES, NO, UNSEEN, UNSEEN, YES, YES, YES, YES]
    found = candidates(score, verdict, [0.1, 0.2, 0.3, 0.4, 0.9, 0.8, 0.7, 0.6])
    assert [(s.sampled, s.hits) for s in strata_of(found, 0.5, 2)] == [(2, 1), (4, 4)]
    assert len(useful_strata(found, 0.5)) == 2  # one of three would be judged too little
    interval = precision_of(found, 0.5)
    assert interval.value == pytest.approx(0.5 * 0.5 + 0.5 * 1.0)
    # Variance: the high one is known; the low one has share (1 + .5) / 3, weight 1/2, half of it unseen.
    variance = 0.25 * 0.5 * 0.5 / 2 * (1 - 2 / 4)
    share = 0.5 * 0.5 + 0.5 * (4.5 / 5)
    n, z = share * (1 - share) / variance, 1.959964
    centre = (0.75 + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(0.75 * 0.25 / n + z * z / (4 * n * n))
    assert (interval.low, interval.high) == pytest.approx((centre - half, centre + half))


def test_what_is_judged_whole_is_known():
    found = candidates([0.6, 0.7, 0.8, 0.9], [NO, YES, YES, YES])
    interval = precision_of(found, 0.5)
    assert (interval.value, interval.low, interval.high, interval.n) == (0.75, 0.75, 0.75, 4)
    assert verdicts_to_go(found, 0.5) == 0


def test_nothing_is_said_of_what_nobody_judged():
    assert precision_of(candidates([0.9, 0.8]), 0.5) is None
    assert precision_of(candidates([0.1, 0.2]), 0.5) is None
    assert verdicts_to_go(candidates([0.1, 0.2]), 0.5) == 0


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Law: of many folders with a known precision, about 95 % of the intervals hold it, whatever else was judged."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        n = 400
        score = rng.uniform(0.5, 1, n)
        true = rng.uniform(size=n) < score
        verdict = np.full(n, UNSEEN)
        found = candidates(score, verdict, rng.uniform(size=n))
        for stratum in strata_of(found, 0.5):
            verdict[stratum.members[:10]] = np.where(true[stratum.members[:10]], YES, NO)
        surest = np.argsort(-score)[:15]
        verdict[surest] = np.where(true[surest], YES, NO)
        interval = precision_of(candidates(score, verdict, found.key), 0.5)
        inside += interval.low <= true.mean() <= interval.high
    assert 0.91 <= inside / 300 <= 0.99


def test_verdicts_to_go_lead_there():
    """Law: after so many random verdicts the interval is within 5 points to each side, about."""
    rng = np.random.default_rng(1)
    n = 3000
    score, key = rng.uniform(0.5, 1, n), rng.uniform(size=n)
    true = rng.uniform(size=n) < 0.85
    verdict = np.full(n, UNSEEN)
    for stratum in strata_of(candidates(score, verdict, key), 0.5):
        verdict[stratum.members[:8]] = np.where(true[stratum.members[:8]], YES, NO)
    more = verdicts_to_go(candidates(score, verdict, key), 0.5)
    assert 80 < more < 300
    asked = 0
    while asked < more:
        for one, reason in queue(candidates(score, verdict, key), 0.5, 40):
            if reason == "random" and asked < more:
                verdict[one] = YES if true[one] else NO
                asked += 1
    interval = precision_of(candidates(score, verdict, key), 0.5)
    assert interval.high - interval.low < 0.12
    assert verdicts_to_go(candidates(score, verdict, key), 0.5) < 60
    assert verdicts_to_go(candidates(score), 0.5) == pytest.approx(130, abs=20)  # 90 % is assumed


def test_the_queue_has_three_kinds_in_turn():
    found = candidates([0.1, 0.3, 0.45, 0.55, 0.8, 0.9, 0.99], key=[0.1, 0.2, 0.3, 0.9, 0.5, 0.1, 0.8])
    assert queue(found, 0.5, 4) == [(2, "least_sure"), (3, "random"), (1, "least_sure"), (6, "surest")]


@pytest.mark.parametrize("seed", range(5))
def test_laws_of_the_queue(seed):
    rng = np.random.default_rng(seed)
    n = 200
    recording = np.sort(rng.integers(0, 20, n))
    onset = rng.uniform(0, 30, n)
    verdict = rng.choice([UNSEEN, UNSEEN, YES, NO, UNSURE], n)
    found = Candidates(rng.uniform(size=n), verdict, rng.uniform(size=n), recording, onset, onset + 2)
    asked = queue(found, 0.5, 24)
    numbers = [one for one, _ in asked]
    assert asked == queue(found, 0.5, 24)
    assert len(set(numbers)) == len(numbers) == 24
    assert all(verdict[one] == UNSEEN for one in numbers)
    assert not any(found.overlap(one, numbers[:k]) for k, one in enumerate(numbers))
    assert {reason for _, reason in asked} == {"least_sure", "surest", "random"}
    assert queue(found, 0.5, 10) == asked[:10]
    counts = np.bincount([recording[one] for one, reason in asked if reason != "random"])
    assert counts.max() <= 2


def test_a_queue_of_few_candidates_ends():
    found = candidates([0.4, 0.6, 0.7], [UNSEEN, YES, UNSEEN], recording=[1, 1, 1])
    assert sorted(one for one, _ in queue(found, 0.5, 20)) == [0, 2]
    assert queue(candidates([]), 0.5, 5) == []


def test_the_lowest_threshold_with_the_wanted_precision():
    score = np.linspace(0.5, 0.99, 50)
    verdict = np.where(score > 0.7, YES, NO)
    threshold, interval = threshold_for(candidates(score, verdict), 0.9)
    # 29 of the upper ones are right; with three wrong ones below, 29 of 32 are.
    assert interval.value == pytest.approx(29 / 32)
    assert score[17] < threshold <= score[18]
    assert (score >= threshold).sum() == 32


def test_a_threshold_keeps_what_it_was_measured_on_however_near_scores_lie():
    score = np.append(np.linspace(0.973201, 0.973219, 39), [0.97320099] * 2)
    threshold, interval = threshold_for(candidates(score, [YES] * 39 + [NO] * 2), 0.97)
    assert (interval.value, (score >= threshold).sum()) == (1.0, 39)


def test_why_there_is_no_threshold():
    assert threshold_for(candidates([]), 0.9) == "nothing was detected"
    few = threshold_for(candidates([0.6, 0.7], [YES, UNSEEN]), 0.9)
    assert few == (
        "of 1 verdicts on detections 0 count, those before the first gap in the mixed order; 90% can be told from 10 "
        "or more: judge on in that order (`stratified`)"
    )
    bad = threshold_for(candidates(np.linspace(0.5, 0.9, 20), [YES, NO] * 10), 0.9)
    assert bad == (
        "at most 50.0% are right (50% to 50%, by 20 verdicts); teach on the false alarms, then detect again"
    ), "all are judged: it is known"
    assert least_verdicts(0.95) == 20


def test_review_goes_through_strata_in_turn():
    found = candidates([0.5, 0.6, 0.7, 0.8], [UNSEEN, YES, UNSURE, UNSEEN], [0.4, 0.3, 0.2, 0.1])
    assert sorted(review_order(found)) == [0, 1, 2, 3]
    assert review_order(found)[-1] == 2
