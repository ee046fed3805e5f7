# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.evaluation.curves import (
    calibration_bins,
    miss_and_false_alarm,
    precision_recall,
)
from auricle.evaluation.metrics import average_precisions, expected_calibration_error

LABELLED = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.7, 0.9])), min_size=2, max_size=30
).filter(lambda rows: 0 < sum(true for true, _ in rows) < len(rows))


def test_equal_scores_move_together():
    recall, precision = precision_recall([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.1])
    assert (recall.tolist(), precision.tolist()) == ([1.0, 1.0], [2 / 3, 0.5])


@given(LABELLED)
def test_the_area_under_the_steps_is_the_average_precision(rows):
    true, scores = (np.array(column) for column in zip(*rows, strict=True))
    recall, precision = precision_recall(true, scores)
    area = float((np.diff(recall, prepend=0) * precision).sum())
    expected = average_precisions(true[:, None].astype(int), scores[:, None])[0]
    assert area == pytest.approx(expected)


@given(LABELLED)
def test_misses_fall_and_false_alarms_rise_from_one_end_to_the_other(rows):
    true, scores = (np.array(column) for column in zip(*rows, strict=True))
    miss, alarm = miss_and_false_alarm(true, scores)
    assert (miss[0], alarm[0], miss[-1], alarm[-1]) == (1, 0, 0, 1)
    assert (np.diff(miss) <= 0).all()
    assert (np.diff(alarm) >= 0).all()


def test_bins_add_up_to_the_calibration_error():
    rng = np.random.default_rng(0)
    sure, right = rng.uniform(0, 1, 200), rng.integers(0, 2, 200)
    bins = calibration_bins(right, sure, bins=15)
    assert sum(b.n for b in bins) == 200
    error = sum(b.n * abs(b.right - b.confidence) for b in bins) / 200
    assert error == pytest.approx(expected_calibration_error(right, sure))


def test_a_curve_needs_both_kinds_and_one_shape():
    with pytest.raises(ValueError, match="needs both kinds, got 2 positives and 0 negatives"):
        precision_recall([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"one shape \(clip,\), got \(2,\) and \(3,\)"):
        precision_recall([1, 0], [0.1, 0.2, 0.3])
