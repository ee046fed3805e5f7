# SPDX-License-Identifier: Apache-2.0
"""Scores are rounded as everything else in JSON is, and many at once."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.results import rounded
from auricle.server.responses import rounded_rows

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "values",
    [
        RNG.random((40, 50)),
        10.0 ** RNG.uniform(-25, 0, (40, 50)),
        np.arange(2_001) / 2_000,
        [0, 1, 0.1, 0.01, 1e-5, 0.9999999, 0.99999994, 0.0999999999, 1e-16, 1e-17, 1e-30, 1.5],
    ],
)
def test_many_scores_are_rounded_as_one_is(values):
    scores = np.asarray(values, np.float32)
    expected = [rounded(value) for value in scores.ravel().tolist()]
    assert np.asarray(rounded_rows(scores)).ravel().tolist() == expected
    assert np.shape(rounded_rows(scores)) == scores.shape


def test_no_scores_are_no_rows():
    assert rounded_rows(np.zeros((0, 3), np.float32)) == []
