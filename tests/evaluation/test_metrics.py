# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as golden

from auricle.evaluation.metrics import (
    accuracy,
    average_precisions,
    confusion_matrix,
    count_hits,
    expected_calibration_error,
    f1_from_counts,
    f1_scores,
    log_loss,
    macro_f1,
    mean_average_precision,
    mean_defined,
    roc_aucs,
)


@pytest.fixture(params=range(5))
def data(request):
    """Targets with every kind of label, and coarse scores with many ties."""
    rng = np.random.default_rng(request.param)
    targets = (rng.random((80, 6)) < [0.5, 0.2, 0.05, 0.8, 0.3, 0.4]).astype(int)
    targets[:2] = [[1] * 6, [0] * 6]
    scores = np.clip(0.6 * targets + rng.normal(0.2, 0.3, targets.shape), 0, 1).round(1 + request.param % 2)
    return targets, scores


def test_accuracy_and_confusion_by_hand():
    assert accuracy([0, 1, 2, 2], [0, 1, 2, 0]) == 0.75
    assert confusion_matrix([0, 1, 2, 2], [0, 1, 2, 0], 4).tolist() == [
        [1, 0, 0, 0],
        [0, 1, 0, 0],
        [1, 0, 1, 0],
        [0, 0, 0, 0],
    ]


def test_accuracy_and_confusion_equal_scikit_learn():
    rng = np.random.default_rng(0)
    true, found = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    assert accuracy(true, found) == pytest.approx(golden.accuracy_score(true, found))
    np.testing.assert_array_equal(confusion_matrix(true, found, 5), golden.confusion_matrix(true, found))


def test_f1_by_hand():
    targets, found = [[1, 0], [1, 1], [0, 1]], [[1, 0], [0, 1], [1, 1]]
    assert count_hits(targets, found).tolist() == [[1, 1, 1], [2, 0, 0]]
    assert f1_scores(targets, found) == [0.5, 1.0]
    assert macro_f1(targets, found) == 0.75


def test_f1_equals_scikit_learn(data):
    targets, scores = data
    found = scores >= 0.5
    np.testing.assert_allclose(f1_scores(targets, found), golden.f1_score(targets, found, average=None))
    assert macro_f1(targets, found) == pytest.approx(golden.f1_score(targets, found, average="macro"))


def test_average_precision_by_hand():
    # ranks: hit, miss, hit -> (1/1 + 2/3) / 2
    assert average_precisions([[1], [0], [1]], [[0.9], [0.8], [0.7]]) == [pytest.approx(5 / 6)]
    # one tie of a hit and a miss is one step of precision 1/2
    assert average_precisions([[1], [0]], [[0.5], [0.5]]) == [0.5]


def test_ranking_metrics_equal_scikit_learn(data):
    targets, scores = data
    for column, (ap, auc) in enumerate(
        zip(average_precisions(targets, scores), roc_aucs(targets, scores), strict=True)
    ):
        assert ap == pytest.approx(golden.average_precision_score(targets[:, column], scores[:, column]))
        assert auc == pytest.approx(golden.roc_auc_score(targets[:, column], scores[:, column]))
    assert mean_average_precision(targets, scores) == pytest.approx(golden.average_precision_score(targets, scores))


def test_roc_auc_equals_the_slow_definition(data):
    targets, scores = data
    for column, auc in enumerate(roc_aucs(targets, scores)):
        hits, misses = scores[targets[:, column] == 1, column], scores[targets[:, column] == 0, column]
        assert auc == pytest.approx(np.mean([(a > b) + 0.5 * (a == b) for a in hits for b in misses]))


def test_log_loss_by_hand_and_by_scikit_learn():
    assert log_loss([[1, 0], [0, 1]], [[0.5, 0.5], [0.25, 0.75]], "single") == pytest.approx(
        -(np.log(0.5) + np.log(0.75)) / 2
    )
    assert log_loss([[1, 0]], [[0.5, 0.5]], "multi") == pytest.approx(np.log(2))
    assert log_loss([[1.0]], [[0.0]], "multi") == pytest.approx(-np.log(1e-7))
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], 50)
    true = rng.integers(0, 3, 50)
    assert log_loss(np.eye(3)[true], p, "single") == pytest.approx(golden.log_loss(true, p))
    with pytest.raises(ValueError, match="task 'x' is neither 'single' nor 'multi'"):
        log_loss([[1]], [[1]], "x")


def test_calibration_error_by_hand():
    # two bins: (0, .5] holds 0.2 (wrong) and 0.5 (right), (.5, 1] holds 0.9 (right)
    assert expected_calibration_error([0, 1, 1], [0.2, 0.5, 0.9], bins=2) == pytest.approx((abs(1 - 0.7) + 0.1) / 3)
    assert expected_calibration_error([1, 0], [1.0, 0.0]) == 0


def test_calibration_error_equals_the_slow_definition():
    rng = np.random.default_rng(1)
    p = rng.random(500)
    right = (rng.random(500) < p**2).astype(int)
    total = 0.0
    for b in range(15):
        inside = (p > b / 15) & (p <= (b + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - p[inside].mean())
    assert expected_calibration_error(right, p) == pytest.approx(total)


# --- laws


def test_l8_what_is_unknown_is_none_and_no_part_of_a_mean():
    targets, scores = [[1, 0, 1], [0, 0, 1]], [[0.9, 0.9, 0.1], [0.1, 0.1, 0.2]]
    assert average_precisions(targets, scores) == [1.0, None, 1.0]
    assert roc_aucs(targets, scores) == [1.0, None, None]
    assert f1_scores(targets, [[1, 1, 1], [0, 0, 0]]) == [1.0, None, pytest.approx(2 / 3)]
    assert mean_average_precision(targets, scores) == 1.0
    assert mean_average_precision([[0]], [[0.5]]) is None
    assert macro_f1([[0]], [[1]]) is None
    assert mean_defined([None, None]) is None
    assert mean_defined([1.0, None, 2.0]) == 1.5
    assert f1_from_counts(np.array([[0, 5, 0], [0, 0, 2]])) == [None, 0.0]


def test_perfect_is_one_and_order_does_not_matter(data):
    targets, scores = data
    assert mean_average_precision(targets, targets) == 1
    assert roc_aucs(targets, targets) == [1.0] * 6
    assert macro_f1(targets, targets) == 1
    order = np.random.default_rng(0).permutation(len(targets))
    assert average_precisions(targets[order], scores[order]) == pytest.approx(average_precisions(targets, scores))
    assert roc_aucs(targets[order], scores[order]) == pytest.approx(roc_aucs(targets, scores))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: accuracy([], []), r"targets must be class numbers of shape \(clip,\), got float64 of \(0,\)"),
        (lambda: accuracy([0.5], [1]), r"targets must be class numbers"),
        (lambda: accuracy([0], [-1]), r"predictions must be class numbers"),
        (lambda: accuracy([0, 1], [1]), r"one shape with at least one clip, got \(2,\) and \(1,\)"),
        (lambda: confusion_matrix([0, 3], [1, 1], 3), r"class numbers reach 3, but there are 3 classes"),
        (lambda: f1_scores([[2]], [[1]]), r"targets must be 0 or 1"),
        (lambda: f1_scores([[1]], [[0.5]]), r"predictions must be 0 or 1"),
        (lambda: f1_scores([1], [1]), r"targets must have shape \(clip, label\), got \(1,\)"),
        (lambda: roc_aucs([[1]], [[np.nan]]), r"scores hold NaN or infinity"),
        (lambda: average_precisions([[1]], [[1, 2]]), r"got \(1, 1\) and \(1, 2\)"),
        (lambda: average_precisions(np.zeros((0, 2)), np.zeros((0, 2))), r"at least one clip"),
        (lambda: expected_calibration_error([], []), r"at least one; got 0 and 0"),
        (lambda: expected_calibration_error([1], [1.5]), r"confidences lie in \[0, 1\]"),
    ],
)
def test_impossible_input_is_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
