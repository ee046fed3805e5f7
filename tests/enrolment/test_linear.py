# SPDX-License-Identifier: Apache-2.0
"""Logistic regression in NumPy is that of scikit-learn, and of one line on paper."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from auricle.enrolment.linear import Linear, fit_linear, link, log_loss, minimise

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 7))
TRUTH = np.eye(4)[RNG.integers(0, 4, 60)]
WEIGHTS = RNG.uniform(0.5, 2, 60)


def test_softmax_with_none_by_hand():
    scores = link(np.log([[2.0, 1.0]]), "single")
    np.testing.assert_allclose(scores, [[0.5, 0.25]])  # none has odds 1 of 4
    np.testing.assert_allclose(log_loss(np.log([[2.0, 1.0]]), np.zeros((1, 2)), "single"), [np.log(4)])
    np.testing.assert_allclose(log_loss(np.log([[3.0]]), np.ones((1, 1)), "multi"), [-np.log(0.75)])


def test_scores_of_huge_logits_are_finite():
    assert link(np.array([[900.0, -900.0]]), "single").tolist() == [[1.0, 0.0]]
    assert link(np.array([[-900.0, -900.0]]), "single").tolist() == [[0.0, 0.0]]
    assert link(np.array([[900.0, -900.0]]), "multi").tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("penalty", [0.01, 0.3])
def test_one_of_several_or_none_is_what_scikit_learn_fits(penalty):
    classes = TRUTH[:, :3]  # the last one is "none"
    found = fit_linear(X, classes, WEIGHTS, penalty, "single")
    model = LogisticRegression(C=1 / (penalty * WEIGHTS.sum()), tol=1e-10, max_iter=5_000)
    model.fit(X, TRUTH.argmax(1), sample_weight=WEIGHTS)
    np.testing.assert_allclose(found.scores(X, "single"), model.predict_proba(X)[:, :3], atol=1e-3)


def test_each_by_itself_is_what_scikit_learn_fits():
    found = fit_linear(X, TRUTH, WEIGHTS, 0.1, "multi")
    for column in range(4):
        model = LogisticRegression(C=1 / (0.1 * WEIGHTS.sum()), tol=1e-10, max_iter=5_000)
        model.fit(X, TRUTH[:, column], sample_weight=WEIGHTS)
        np.testing.assert_allclose(found.scores(X, "multi")[:, column], model.predict_proba(X)[:, 1], atol=1e-3)


@pytest.mark.parametrize("task", ["single", "multi"])
def test_where_it_starts_changes_nothing(task):
    truth = TRUTH[:, :3]
    one = fit_linear(X, truth, WEIGHTS, 0.1, task)
    start = Linear(RNG.standard_normal((3, 7)), RNG.standard_normal(3))
    other = fit_linear(X, truth, WEIGHTS, 0.1, task, start)
    np.testing.assert_allclose(one.scores(X, task), other.scores(X, task), atol=1e-3)


def test_the_least_of_a_parabola():
    at = minimise(lambda x: (float((x - 3) @ (x - 3)), 2 * (x - 3)), np.zeros(4))
    np.testing.assert_allclose(at, 3, atol=1e-4)
