# SPDX-License-Identifier: Apache-2.0
"""The head on a teacher's embedding: against scikit-learn, and where it cannot be fitted."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.errors import DataError
from auricle.teachers.heads import PENALTY, fit_head

RNG = np.random.default_rng(0)
CENTRES = RNG.standard_normal((3, 6))
CLASS = np.arange(60) % 3
VECTORS = (CENTRES[CLASS] + RNG.standard_normal((60, 6))).astype(np.float32)
TARGETS = np.eye(3, dtype=np.float32)[CLASS]


def test_one_of_n_equals_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    head = fit_head(VECTORS, TARGETS, "single")
    z = (VECTORS - VECTORS.mean(0)) / VECTORS.std(0)
    peer = LogisticRegression(C=1 / (2 * PENALTY), max_iter=1_000, tol=1e-10).fit(z, CLASS)
    np.testing.assert_allclose(head(VECTORS), peer.predict_proba(z), atol=1e-4)


def test_several_of_n_equal_scikit_learn_one_by_one():
    from sklearn.linear_model import LogisticRegression

    targets = np.stack([CLASS > 0, CLASS == 1], axis=1).astype(np.float32)
    head = fit_head(VECTORS, targets, "multi")
    z = (VECTORS - VECTORS.mean(0)) / VECTORS.std(0)
    for i in range(2):
        peer = LogisticRegression(C=1 / (2 * PENALTY), max_iter=1_000, tol=1e-10).fit(z, targets[:, i])
        np.testing.assert_allclose(head(VECTORS)[:, i], peer.predict_proba(z)[:, 1], atol=1e-4)


def test_equal_input_gives_equal_heads():
    assert np.array_equal(fit_head(VECTORS, TARGETS, "single").weight, fit_head(VECTORS, TARGETS, "single").weight)


def test_what_cannot_be_fitted():
    with pytest.raises(DataError, match=r"the teacher has no embedding; use --map to translate its classes"):
        fit_head(VECTORS[:, :0], TARGETS, "single")
    with pytest.raises(DataError, match=r"no clip of 1 of 4 classes"):
        fit_head(VECTORS, np.pad(TARGETS, ((0, 0), (0, 1))), "single")
