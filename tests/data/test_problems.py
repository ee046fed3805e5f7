# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from auricle.data.problems import SHOWN_PER_KIND, Problems
from auricle.errors import DataError
from auricle.registry import shorten


def test_problems_are_grouped_by_kind_in_the_order_of_first_sight():
    problems = Problems()
    problems.add("b", "b1")
    problems.add("a", "a1")
    problems.add("b", "b2")
    assert problems.lines() == ["b1", "b2", "a1"]
    assert len(problems) == 3


def test_one_fault_repeated_is_counted_not_printed_for_ever():
    problems = Problems()
    problems.extend("x", (f"line {i}" for i in range(100_000)))
    assert len(problems.lines()) == SHOWN_PER_KIND + 1
    assert problems.lines()[-1] == "... and 99980 more like these"


def test_nothing_wrong_raises_nothing():
    Problems().stop_if_any("never said")


def test_everything_is_raised_at_once():
    problems = Problems()
    problems.extend("x", ["one", "two"])
    with pytest.raises(DataError) as caught:
        problems.stop_if_any("the data is bad")
    assert caught.value.message == "the data is bad\n  - one\n  - two"
    assert caught.value.problems == ("one", "two")


def test_shorten_names_a_few_and_counts_the_rest():
    assert shorten(["a", "b"]) == "a, b"
    assert shorten(iter("abcde")) == "a, b, c and 2 more"
    assert shorten([]) == ""
