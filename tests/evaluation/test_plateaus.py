# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.tuning.plateaus import middle_of_plateau, middle_setting, with_neighbours


def test_a_figure_counts_with_its_neighbours():
    """1 2 1 over 4, ends beside themselves: 0 0 8 0 is 0 2 4 2, and 8 0 0 is 6 2 0."""
    assert with_neighbours(np.array([0.0, 0, 8, 0]), 0).tolist() == [0, 2, 4, 2]
    assert with_neighbours(np.array([8.0, 0, 0]), 0).tolist() == [6, 2, 0]
    assert with_neighbours(np.array([5.0]), 0).tolist() == [5]


def test_neighbours_lie_on_one_axis():
    figures = np.array([[0.0, 4], [8, 0], [0, 0]])
    assert with_neighbours(figures, 0).tolist() == [[2, 3], [4, 1], [2, 0]]
    assert with_neighbours(figures, 1).tolist() == [[1, 3], [6, 2], [0, 0]]


@pytest.mark.parametrize(
    ("figures", "middle"),
    [
        ([0.2, 0.9, 0.3], 1),  # one best
        ([0.2, 0.89, 0.9, 0.88, 0.3], 2),  # what is 0.02 below counts, to both sides
        ([0.9, 0.89, 0.88, 0.3], 1),
        ([0.2, 0.89, 0.9], 1),  # of two in the middle, the first
        ([0.9, 0.1, 0.89, 0.89, 0.89], 0),  # a plateau without a best one does not count
        ([0.9, 0.1, 0.9, 0.9, 0.9], 3),  # of those with one, the longest does
        ([0.9, 0.9, 0.1, 0.9, 0.9], 0),  # and the first of equally long ones
        ([0.0] * 5, 2),
        ([0.4], 0),
    ],
)
def test_middle_of_a_plateau(figures, middle):
    assert middle_of_plateau(np.array(figures), 0.02) == middle


@pytest.mark.parametrize(
    ("figures", "setting"),
    [
        ([[0.1, 0.2], [0.3, 0.9]], (1, 1)),
        ([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1]], (1, 0)),  # not the longest filter, the middle one
        ([[0.9, 0.1], [0.9, 0.1], [0.1, 0.1]], (1, 0)),  # of two, the later one
        ([[0.9, 0.9, 0.9], [0.1, 0.1, 0.1]], (0, 1)),
        ([[0.9, 0.9, 0.9], [0.1, 0.896, 0.1]], (0, 1)),  # each setting counts, so rows with many draw
        ([[0.9, 0.1, 0.1], [0.1, 0.1, 0.896], [0.896, 0.1, 0.1]], (1, 2)),  # the column is one of the row's own
    ],
)
def test_middle_of_equal_settings(figures, setting):
    assert middle_setting(np.array(figures), 0.005) == setting
