# SPDX-License-Identifier: Apache-2.0
"""Which events are kept, worked out by hand."""

from __future__ import annotations

import pytest

from auricle.errors import UsageError
from auricle.events.selection import EventSelection
from auricle.results import Event

OWL, WREN = "owl", "wren"
EVENTS = (
    Event(OWL, 0.0, 1.0, 0.6), Event(WREN, 0.5, 0.75, 0.9), Event(OWL, 1.5, 2.0, 0.8), Event(OWL, 4.0, 4.25, 0.7),
)  # fmt: skip


def test_nothing_asked_changes_nothing():
    assert EventSelection()(EVENTS) == EVENTS


def test_labels():
    assert EventSelection((WREN,))(EVENTS) == (EVENTS[1],)


def test_gaps_up_to_the_limit_are_bridged_and_the_higher_score_stays():
    joined = (Event(OWL, 0.0, 2.0, 0.8), EVENTS[1], EVENTS[3])
    assert EventSelection(merge_gap_s=0.5)(EVENTS) == joined
    assert EventSelection(merge_gap_s=0.49)(EVENTS) == EVENTS
    assert EventSelection(merge_gap_s=2.0)(EVENTS) == (Event(OWL, 0.0, 4.25, 0.8), EVENTS[1])
    inside = (Event(OWL, 0.0, 5.0, 0.1), Event(OWL, 1.0, 2.0, 0.3))
    assert EventSelection(merge_gap_s=0.0)(inside) == (Event(OWL, 0.0, 5.0, 0.3),)


def test_short_ones_go_after_gaps_are_bridged():
    assert EventSelection(min_duration_s=0.5)(EVENTS) == (EVENTS[0], EVENTS[2])
    assert EventSelection(merge_gap_s=0.5, min_duration_s=1.5)(EVENTS) == (Event(OWL, 0.0, 2.0, 0.8),)


def test_the_strongest_stay_in_their_order():
    assert EventSelection(top=2)(EVENTS) == (EVENTS[1], EVENTS[2])
    equal = (Event(OWL, 0.0, 1.0, 0.5), Event(OWL, 0.0, 1.0, 0.5), Event(OWL, 2.0, 3.0, 0.5))
    assert EventSelection(top=2)(equal) == equal[:2]


def test_labels_of_the_model_may_have_commas():
    known = ("Male speech, man speaking", OWL, WREN)
    assert EventSelection(("owl, wren", known[0])).of_model(known).labels == (OWL, WREN, known[0])
    with pytest.raises(UsageError) as caught:
        EventSelection(("ovl",)).of_model(known)
    assert str(caught.value) == "--labels: the model has no label 'ovl' (did you mean 'owl'?)"
