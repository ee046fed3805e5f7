# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from auricle.evaluation.events.metrics import event_counts, false_alarms_per_hour, segment_counts
from auricle.evaluation.metrics import f1_from_counts
from auricle.results import Event

LABELS = ("a", "b")


def events(*spans: tuple[str, float, float]) -> list[Event]:
    return [Event(label, onset, offset, 1.0) for label, onset, offset in spans]


def test_collars_by_hand():
    true = events(("a", 1.0, 2.0))
    near = [(0.8, 2.2), (1.2, 1.8), (1.0, 2.0)]
    far = [(0.79, 2.0), (1.21, 2.0), (1.0, 2.21), (1.0, 1.79)]
    for onset, offset in near:
        assert event_counts(true, events(("a", onset, offset)), LABELS).tolist() == [[1, 0, 0], [0, 0, 0]]
    for onset, offset in far:
        assert event_counts(true, events(("a", onset, offset)), LABELS).tolist() == [[0, 1, 1], [0, 0, 0]]
    # long events: the end may be off by 20 % of 10 s
    assert event_counts(events(("a", 0, 10)), events(("a", 0, 8)), LABELS)[0].tolist() == [1, 0, 0]
    assert event_counts(events(("a", 0, 10)), events(("a", 0, 7.9)), LABELS)[0].tolist() == [0, 1, 1]
    assert event_counts(events(("a", 0, 10)), events(("a", 0, 8)), LABELS, offset_share=0)[0].tolist() == [0, 1, 1]


def test_labels_are_apart_and_pairs_are_one_to_one():
    true = events(("a", 0, 1), ("b", 0, 1))
    assert event_counts(true, events(("b", 0, 1)), LABELS).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert event_counts(events(("a", 0, 1)), events(("a", 0, 1), ("a", 0.1, 1)), LABELS)[0].tolist() == [1, 1, 0]
    assert event_counts([], [], LABELS).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_pairs_are_chosen_so_that_most_events_have_one():
    # Greedy in time order would pair 0.15 with 0.0 and leave 0.3 without a partner.
    true, found = events(("a", 0.0, 1.0), ("a", 0.3, 1.0)), events(("a", 0.15, 1.0), ("a", 0.0, 1.0))
    assert event_counts(true, found, LABELS)[0].tolist() == [2, 0, 0]


def reference_hits(true: list[Event], found: list[Event]) -> int:
    """Slow and obvious: try every assignment."""

    def near(a: Event, b: Event) -> bool:
        tolerance = max(0.2, 0.2 * (a.offset - a.onset))
        return abs(a.onset - b.onset) <= 0.2 + 1e-9 and abs(a.offset - b.offset) <= tolerance + 1e-9

    if len(true) > len(found):
        return max(sum(near(a, b) for a, b in zip(order, found, strict=False)) for order in permutations(true))
    return max(sum(near(a, b) for a, b in zip(true, order, strict=False)) for order in permutations(found))


def test_event_counts_equal_the_reference():
    rng = np.random.default_rng(0)
    for _ in range(150):
        true, found = (
            [Event("a", o, o + d, 1.0) for o, d in zip(rng.uniform(0, 1, n), rng.uniform(0.1, 0.6, n), strict=True)]
            for n in rng.integers(1, 6, 2)
        )
        hits, extra, missed = event_counts(true, found, LABELS)[0].tolist()
        assert hits == reference_hits(true, found)
        assert (hits + extra, hits + missed) == (len(found), len(true))


def test_segments_by_hand():
    true, found = events(("a", 0.5, 2.0), ("b", 3.2, 3.3)), events(("a", 1.9, 2.1))
    # a: true in 0 and 1, found in 1 and 2; b: true in 3
    assert segment_counts(true, found, LABELS).tolist() == [[1, 1, 1], [0, 0, 1]]
    assert segment_counts(true, found, LABELS, segment_s=10).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert segment_counts(events(("a", 1.0, 1.0)), [], LABELS)[0].tolist() == [0, 0, 0]


def test_segment_counts_equal_the_reference():
    rng = np.random.default_rng(1)
    for _ in range(50):
        true, found = (
            [Event("a", o / 8, (o + d) / 8, 1.0) for o, d in rng.integers(1, 60, (n, 2))] for n in rng.integers(0, 4, 2)
        )
        grid = (np.arange(20 * 64) + 0.5) / 64  # 64 looks a second
        active = [
            np.any([(grid > e.onset) & (grid < e.offset) for e in part] or [grid < 0], axis=0).reshape(20, 64).any(1)
            for part in (true, found)
        ]
        expected = [(active[0] & active[1]).sum(), (~active[0] & active[1]).sum(), (active[0] & ~active[1]).sum()]
        assert segment_counts(true, found, LABELS)[0].tolist() == expected


def test_counts_add_up_to_f1():
    true = events(("a", 0, 1), ("b", 2, 3))
    perfect = event_counts(true, true, LABELS) + segment_counts(true, true, LABELS)
    assert f1_from_counts(perfect) == [1.0, 1.0]
    assert f1_from_counts(event_counts(events(("a", 0, 1)), events(("b", 0, 1)), LABELS)) == [0.0, None]


def test_false_alarms_by_hand():
    true = {"x": events(("a", 1, 2))}
    found = {"x": events(("a", 1.5, 3), ("a", 2, 3), ("b", 1, 2)), "y": events(("a", 0, 1))}
    assert false_alarms_per_hour(true, found, LABELS, duration_s=1800) == {"a": 4.0, "b": 2.0}
    assert false_alarms_per_hour({}, {"x": []}, LABELS, duration_s=1) == {"a": 0.0, "b": 0.0}


def test_impossible_input_is_refused():
    with pytest.raises(ValueError, match="an event has label 'c', which is not among a, b"):
        event_counts(events(("c", 0, 1)), [], LABELS)
    with pytest.raises(ValueError, match="an event goes from 2 to 1 s; need 0 <= onset <= offset"):
        segment_counts([], events(("a", 2, 1)), LABELS)
    with pytest.raises(ValueError, match="segment_s must be above 0, got 0"):
        segment_counts([], [], LABELS, segment_s=0)
    with pytest.raises(ValueError, match="duration_s must be above 0, got 0"):
        false_alarms_per_hour({}, {}, LABELS, duration_s=0)
