# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from auricle.reports.pairing import Pair, count_verdicts, overlap, pair_events
from auricle.results import Event


def event(label: str, onset: float, offset: float) -> Event:
    return Event(label, onset, offset, 0.5)


def test_hits_misses_and_false_events_in_time_order():
    truth = [event("dog", 5, 6), event("dog", 1, 2), event("rain", 8, 9)]
    found = [event("rain", 1, 2), event("dog", 5.5, 7), event("dog", 4, 5.2), event("rain", 8.9, 12)]
    pairs = pair_events(truth, found)
    assert pairs == [
        Pair("dog", truth[1], ()),
        Pair("rain", None, (found[0],)),
        Pair("dog", truth[0], (found[2], found[1])),
        Pair("rain", truth[2], (found[3],)),
    ]
    assert [pair.verdict for pair in pairs] == ["missed", "false", "found", "found"]
    assert count_verdicts(pairs) == {"found": 2, "missed": 1, "false": 1}


def test_one_long_event_finds_all_it_covers():
    truth = [event("dog", 1, 2), event("dog", 3, 4)]
    assert count_verdicts(pair_events(truth, [event("dog", 0, 9)])) == {"found": 2, "missed": 0, "false": 0}


def test_perfect_is_perfect_and_nothing_is_nothing():
    truth = [event("dog", 1, 2), event("rain", 1, 2)]
    assert count_verdicts(pair_events(truth, truth)) == {"found": 2, "missed": 0, "false": 0}
    assert pair_events([], []) == []


@pytest.mark.parametrize(
    ("other", "expected"),
    [(("dog", 1.9, 3), True), (("dog", 2, 3), False), (("dog", 0, 1), False), (("rain", 1, 2), False)],
)
def test_overlap_needs_the_label_and_some_time(other, expected):
    assert overlap(event("dog", 1, 2), event(*other)) is expected
