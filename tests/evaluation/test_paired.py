# SPDX-License-Identifier: Apache-2.0
"""Two models on the same clips, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.clip_metrics import CLIP_METRICS, ClipMetric
from auricle.evaluation.paired import Agreement, agreement, paired_metrics

TARGETS = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
#: Right in clips 0, 1 and 3; right in clip 0 alone.
FIRST = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.8]], np.float32)
SECOND = np.array([[0.6, 0.4], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3]], np.float32)


def test_clips_that_one_has_right_are_counted():
    assert agreement(FIRST, SECOND, TARGETS, "single") == Agreement(both=1, first_only=2, second_only=0, neither=1)
    assert agreement(SECOND, FIRST, TARGETS, "single") == Agreement(both=1, first_only=0, second_only=2, neither=1)


def test_of_several_classes_all_decisions_must_be_right():
    targets = np.array([[1, 1], [1, 0], [0, 0]], np.float32)
    first = np.array([[0.9, 0.4], [0.9, 0.1], [0.1, 0.1]], np.float32)
    second = np.array([[0.9, 0.9], [0.9, 0.6], [0.2, 0.2]], np.float32)
    assert agreement(first, second, targets, "multi") == Agreement(both=1, first_only=1, second_only=1, neither=0)


def test_the_difference_is_that_of_the_figures():
    found = paired_metrics(FIRST, SECOND, TARGETS, range(4), "single")
    assert list(found) == list(CLIP_METRICS.of_task("single"))
    accuracy = found["accuracy"]
    assert (accuracy.first.value, accuracy.second.value, accuracy.change.value) == (0.75, 0.25, 0.5)
    assert accuracy.change.n == 4
    for difference in found.values():
        assert difference.change.value == pytest.approx(difference.first.value - difference.second.value)
        assert difference.change.low <= difference.change.value <= difference.change.high


def test_a_model_beside_itself_differs_in_nothing():
    for difference in paired_metrics(FIRST, FIRST, TARGETS, range(4), "single").values():
        assert (difference.change.low, difference.change.value, difference.change.high) == (0, 0, 0)
        assert not difference.is_beyond_chance


def test_what_is_hard_for_both_cancels_out():
    """The first is right in 30 clips of 60, the second in 25 of these: a difference of 5 clips that always shows."""
    targets = np.repeat(np.array([[1, 0]], np.float32), 60, axis=0)
    wrong, right = [0.1, 0.9], [0.9, 0.1]
    first = np.array([right] * 30 + [wrong] * 30, np.float32)
    second = np.array([right] * 25 + [wrong] * 35, np.float32)
    accuracy = paired_metrics(first, second, targets, range(60), "single")["accuracy"]
    assert accuracy.first.low < accuracy.second.high, "apart, the intervals overlap"
    assert accuracy.is_beyond_chance


def test_a_metric_of_two_kinds_is_refused(monkeypatch):
    shapes = iter([np.ones(4), lambda index: 1.0])
    odd = {"odd": ClipMetric(lambda clips: next(shapes))}
    monkeypatch.setattr(CLIP_METRICS, "of_task", lambda task: odd)
    with pytest.raises(TypeError, match="a metric is one figure a clip, or a function of clips"):
        paired_metrics(FIRST, SECOND, TARGETS, range(4), "single")
