# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.runtime.calibration import (
    LEAST_CLIPS,
    apply_calibration,
    apply_logistic,
    apply_temperature,
    fit_calibration,
    fit_logistic,
    fit_temperature,
    logit,
    sigmoid,
)
from auricle.runtime.spec import CalibrationPart


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).sum())


def test_logit_and_sigmoid_undo_each_other_and_stay_finite():
    values = np.array([-30.0, -1, 0, 2, 8])
    np.testing.assert_allclose(logit(sigmoid(values))[1:], values[1:], atol=1e-6)
    assert np.isfinite(logit([0.0, 1.0])).all()
    assert sigmoid([-1e4, 1e4]).tolist() == [0, 1]


def test_temperature_by_hand():
    two = apply_temperature(np.array([0.8], np.float32), 2.0, "multi")
    assert two[0] == pytest.approx(2 / 3)  # odds 4 become odds 2
    half = apply_temperature(np.array([0.8, 0.2], np.float32), 0.5, "single")
    assert half == pytest.approx([16 / 17, 1 / 17])
    # 0.5, 0.25 and an unseen 0.25; squares 4 : 1 : 1
    unseen = apply_temperature(np.array([0.5, 0.25], np.float32), 0.5, "single", none=True)
    assert unseen == pytest.approx([4 / 6, 1 / 6])


def test_logistic_by_hand():
    found = apply_logistic(np.array([0.8, 0.5], np.float32), np.array([0.5, 1.0]), np.array([0.0, np.log(3)]))
    assert found == pytest.approx([2 / 3, 0.75])


def test_a_bundle_says_which():
    scores = np.array([0.8, 0.5], np.float32)
    assert apply_calibration(scores, None, "multi", none=False) is scores
    warm = CalibrationPart(method="temperature", temperature=2.0)
    assert apply_calibration(scores, warm, "multi", none=False) == pytest.approx([2 / 3, 0.5])
    line = CalibrationPart(method="logistic", scale=(0.5, 1.0), bias=(0.0, 0.0))
    assert apply_calibration(scores, line, "multi", none=False) == pytest.approx([2 / 3, 0.5])


@pytest.mark.parametrize(("task", "none"), [("multi", False), ("single", False), ("single", True)])
@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_the_temperature_is_the_best_of_a_fine_grid(task, none, true):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (600, 4))
    if task == "multi":
        p = sigmoid(logits)
        y = (rng.random(p.shape) < sigmoid(logits / true)).astype(float)
    else:
        z = np.exp(logits / true)
        shares = z / z.sum(1, keepdims=True)
        chosen = np.array([rng.choice(4, p=row) for row in shares])
        y = np.eye(4)[chosen]
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        if none:
            p, y = p[:, :3], y[:, :3]

    def loss(temperature: float) -> float:
        q = apply_temperature(p.astype(np.float64), temperature, task, none=none).astype(np.float64)
        if task == "multi":
            return log_loss(q, y)
        full, target = (np.column_stack([a, 1 - a.sum(1)]) if none else a for a in (q, y))
        return float(-(target * np.log(np.clip(full, 1e-12, 1))).sum())

    found = fit_temperature(p, y, task, none=none)
    assert found == pytest.approx(true, rel=0.2)
    grid = found * np.exp(np.linspace(-0.2, 0.2, 41))
    assert abs(np.argmin([loss(t) for t in grid]) - 20) <= 1


def test_perfect_scores_do_not_send_the_temperature_to_zero():
    y = np.eye(2)[[0, 1, 0]]
    assert fit_temperature(np.abs(y - 0.1), y, "multi") == pytest.approx(np.exp(-5), rel=1e-3)
    assert fit_temperature(np.abs(y - 0.1), 1 - y, "multi") == pytest.approx(np.exp(5), rel=1e-3)


def test_the_logistic_map_equals_scikit_learn_on_smoothed_targets():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    z = rng.normal(0, 2, 300)
    y = (rng.random(300) < sigmoid(0.7 * z - 1)).astype(float)
    scale, bias = fit_logistic(sigmoid(z)[:, None], y[:, None])
    positives, negatives = y.sum(), 300 - y.sum()
    soft = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    golden = LogisticRegression(C=np.inf, tol=1e-10).fit(
        np.tile(z, 2)[:, None], np.repeat([1, 0], 300), np.concatenate([soft, 1 - soft])
    )
    assert scale[0] == pytest.approx(golden.coef_[0, 0], abs=1e-4)
    assert bias[0] == pytest.approx(golden.intercept_[0], abs=1e-4)


def test_the_logistic_map_stays_finite_and_leaves_one_sided_labels_alone():
    scores = np.array([[0.1, 0.3], [0.2, 0.4], [0.8, 0.5], [0.9, 0.6]])
    scale, bias = fit_logistic(scores, [[0, 1], [0, 1], [1, 1], [1, 1]])
    assert np.isfinite([scale, bias]).all()
    assert scale[0] > 0
    assert (scale[1], bias[1]) == (1.0, 0.0)


def test_targets_are_checked():
    with pytest.raises(ValueError, match=r"one shape \(clip, label\), got \(2, 1\) and \(1, 1\)"):
        fit_logistic(np.zeros((2, 1)), [[1]])
    with pytest.raises(ValueError, match="targets must be 0 or 1"):
        fit_temperature(np.zeros((1, 1)), [[0.5]], "multi")
    with pytest.raises(ValueError, match="need scores and targets of one shape"):
        fit_temperature(np.zeros((0, 1)), np.zeros((0, 1)), "multi")


def overconfident(clips: int, labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose log-odds are three times too large, and outcomes drawn from the true ones."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1, (clips, labels))
    true = (rng.random(z.shape) < sigmoid(z)).astype(float)
    return sigmoid(3 * z).astype(np.float32), true


def test_scores_that_are_too_sure_are_taken_back_by_what_made_them_so():
    scores, true = overconfident(4000, 3)
    found = fit_calibration(scores, true, "multi")
    assert found is not None
    if found.method == "temperature":
        assert found.temperature == pytest.approx(3, rel=0.1)
    else:
        assert found.scale == pytest.approx((1 / 3,) * 3, rel=0.15)
    assert found.log_loss_after < found.log_loss_before


def test_scores_that_are_right_already_are_left_alone():
    rng = np.random.default_rng(1)
    p = rng.random((60, 1))
    scores = np.repeat(p, 1, axis=1).astype(np.float32)
    true = (rng.random(p.shape) < p).astype(float)
    found = fit_calibration(scores, true, "multi")
    # By chance a map may still win on 60 clips; then it must have won on clips that it was not fitted on.
    assert found is None or found.log_loss_after < found.log_loss_before


def test_few_clips_calibrate_nothing():
    scores, true = overconfident(LEAST_CLIPS - 1, 2)
    assert fit_calibration(scores, true, "multi") is None


def test_a_logistic_map_needs_clips_of_both_kinds_of_each_label():
    scores, true = overconfident(400, 2)
    true[:, 1] = 0
    true[:4, 1] = 1
    found = fit_calibration(scores, true, "multi")
    assert found is None or found.method == "temperature"


def test_a_group_is_never_fitted_and_judged_at_once():
    # Two groups of equal scores and opposite truth: what fits one makes the other worse, so no map may be chosen.
    scores = np.full((40, 1), 0.9, np.float32)
    true = np.repeat([[1.0], [0.0]], 20, axis=0)
    assert fit_calibration(scores, true, "multi", groups=["a"] * 20 + ["b"] * 20) is None


def test_none_of_the_labels_counts_where_negatives_took_part():
    rng = np.random.default_rng(2)
    z = rng.normal(0, 2, (4000, 3))
    shares = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    drawn = np.array([rng.choice(3, p=row) for row in shares])
    true = np.eye(3)[drawn][:, :2]  # the third is "none"
    sharp = np.exp(2 * z) / np.exp(2 * z).sum(1, keepdims=True)
    found = fit_calibration(sharp[:, :2].astype(np.float32), true, "single", none=True)
    assert found is not None
    assert found.temperature == pytest.approx(2, rel=0.15)
