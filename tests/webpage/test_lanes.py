# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.results import Event, Scores
from auricle.webpage.lanes import pick_lanes


@pytest.fixture
def scores():
    values = np.array([[0.1, 0.9, 0.3, 0.5], [0.2, 0.1, 0.4, 0.5]], np.float32)
    return Scores(np.array([0.5, 1.5], np.float32), values, ("a", "b", "c", "d"), 1.0)


def test_labels_with_events_come_first_then_the_highest_scores(scores):
    chosen, peaks = pick_lanes(scores, [Event("a", 0, 1, 0.2)], 3)
    assert chosen.labels == ("a", "b", "d"), "in the order of the model"
    np.testing.assert_array_equal(chosen.values, scores.values[:, [0, 1, 3]])
    assert peaks == pytest.approx({"a": 0.2, "b": 0.9, "c": 0.4, "d": 0.5})


def test_more_lanes_than_labels_and_no_frame_at_all(scores):
    assert pick_lanes(scores, [], 9)[0].labels == scores.labels
    empty = Scores(scores.times[:0], scores.values[:0], scores.labels, 1.0)
    chosen, peaks = pick_lanes(empty, [], 2)
    assert chosen.labels == ("a", "b")
    assert set(peaks.values()) == {0.0}
