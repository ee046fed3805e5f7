# SPDX-License-Identifier: Apache-2.0
"""The shared options."""

from __future__ import annotations

import pytest

from auricle.cli.options import check_labels, parse_thresholds
from auricle.errors import UsageError
from auricle.runtime.thresholds import Thresholds


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
