# SPDX-License-Identifier: Apache-2.0
"""Thresholds as people write them."""

from __future__ import annotations

import pytest

from auricle.errors import UsageError
from auricle.results import LabelScore, TagResult
from auricle.runtime.thresholds import Thresholds, check_labels, parse_thresholds, strongest


def test_no_threshold_changes_nothing():
    assert parse_thresholds(None) == Thresholds()
    assert Thresholds().of("dog", 0.3) == 0.3


def test_the_last_one_of_each_kind_wins():
    found = parse_thresholds(["0.5", "dog=0.7", "0.2", "dog=0", "a=b=1"])
    assert found == Thresholds(0.2, {"dog": 0.0, "a=b": 1.0})
    assert [found.of(label, 0.9) for label in ("dog", "a=b", "rain")] == [0.0, 1.0, 0.2]


def test_what_the_detector_gets():
    labels = ("cat", "dog")
    assert parse_thresholds(None).as_argument(labels) is None
    assert parse_thresholds(["0"]).as_argument(labels) == 0.0
    assert parse_thresholds(["dog=0.7"]).as_argument(labels) == {"dog": 0.7}
    assert parse_thresholds(["dog=0.7", "0.2"]).as_argument(labels) == {"cat": 0.2, "dog": 0.7}


@pytest.mark.parametrize("text", ["high", "dog=", "=0.5", "1.5", "dog=-0.1", "nan", ""])
def test_what_is_no_threshold_is_refused(text):
    with pytest.raises(UsageError, match=r"--threshold .*: expected a number from 0 to 1, or LABEL=number"):
        parse_thresholds([text])


def test_a_label_that_the_model_lacks_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"--threshold dgo=...: the model has no such label \(did you mean 'dog'\?\)"):
        check_labels(Thresholds(None, {"dgo": 0.5}), ("cat", "dog"))


def test_a_label_of_the_model_passes():
    check_labels(Thresholds(0.1, {"dog": 0.5}), ("cat", "dog"))


def test_an_error_uses_the_name_that_the_user_typed():
    with pytest.raises(UsageError, match=r"^threshold 7: expected"):
        parse_thresholds(["7"], "threshold")
    with pytest.raises(UsageError, match=r"^threshold sea=\.\.\.: the model has no such label"):
        check_labels(Thresholds(None, {"sea": 0.5}), ("cat",), "threshold")


def test_the_strongest_scores_are_those_that_reach_their_threshold():
    result = TagResult("a.wav", 1.0, scores=(LabelScore("dog", 0.9), LabelScore("cat", 0.5), LabelScore("sea", 0.1)))

    def kept(top, **labels):
        return [score.label for score in strongest(result, top, Thresholds(None, labels)).scores]

    assert kept(None) == ["dog", "cat", "sea"]
    assert kept(1) == ["dog"]
    assert kept(2, dog=0.95, cat=0.5) == ["cat", "sea"]
