# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.events.intersections import Criteria, event_spans, intersection_counts, true_spans
from auricle.results import Event

LABELS = ("a", "b")


def events(*spans: tuple[str, float, float]) -> list[Event]:
    return [Event(label, onset, offset, 1.0) for label, onset, offset in spans]


def test_counts_by_hand():
    true = events(("a", 0, 10))
    assert intersection_counts(true, events(("a", 0, 5)), LABELS).tolist() == [[1, 0, 0], [0, 0, 0]]
    assert intersection_counts(true, events(("a", 0, 4.99)), LABELS)[0].tolist() == [0, 0, 1]  # relevant, too short
    assert intersection_counts(true, events(("a", 5, 15)), LABELS)[0].tolist() == [1, 0, 0]
    assert intersection_counts(true, events(("a", 5.01, 15)), LABELS)[0].tolist() == [0, 1, 1]
    assert intersection_counts(true, events(("a", 0, 3), ("a", 5, 8)), LABELS)[0].tolist() == [1, 0, 0]
    assert intersection_counts(true, events(("b", 0, 10)), LABELS).tolist() == [[0, 0, 1], [0, 1, 0]]
    assert intersection_counts([], [], LABELS).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert intersection_counts(true, events(("a", 0, 4.5)), LABELS, Criteria(0.9, 0.4))[0].tolist() == [1, 0, 0]


def test_one_detection_can_find_several_events():
    true = events(("a", 0, 4), ("a", 5, 9))
    assert intersection_counts(true, events(("a", 0, 9)), LABELS)[0].tolist() == [2, 0, 0]


def test_true_events_that_touch_are_one_and_empty_ones_none():
    spans = true_spans(events(("a", 5, 6), ("a", 0, 2), ("a", 2, 3), ("a", 0.5, 1), ("a", 4, 4)))
    assert (spans.begin / 1e9).tolist() == [0, 5]
    assert (spans.end / 1e9).tolist() == [3, 6]
    assert len(event_spans(events(("a", 0, 2), ("a", 1, 3)))) == 2  # detections stay as they are
    assert len(true_spans([])) == 0


def test_covered_time_equals_the_sum_over_spans():
    rng = np.random.default_rng(0)
    for _ in range(100):
        edges = np.sort(rng.choice(100, 2 * int(rng.integers(0, 6)), replace=False)).reshape(-1, 2)
        spans = true_spans(events(*(("a", float(a), float(b)) for a, b in edges)))
        begin, end = np.sort(rng.integers(0, 100, (2, 7)), axis=0) * 10**9
        wanted = [sum(max(0, min(b, y) - max(a, x)) for a, b in edges * 10**9) for x, y in zip(begin, end, strict=True)]
        assert spans.covered(begin, end).tolist() == wanted


@pytest.mark.parametrize("name", ["dtc", "gtc", "cttc"])
def test_shares_above_one_are_refused(name: str):
    with pytest.raises(ValueError, match=f"{name} is a share above 0 and at most 1, got 1.5"):
        Criteria(**{name: 1.5})
