# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from scipy.stats import chi2

from auricle.evaluation.events.false_alarms import false_alarm_report, poisson_interval
from auricle.results import DetectResult, Event


@pytest.mark.parametrize("count", [0, 1, 2, 5, 30, 500, 1_001])
def test_intervals_are_those_of_a_poisson_count(count: int):
    """Exact limits from chi-squared quantiles (Garwood)."""
    found = poisson_interval(count, 2.0, 7)
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = chi2.ppf(0.975, 2 * count + 2) / 2
    assert (found.value, found.n) == (count / 2, 7)
    assert found.low == pytest.approx(low / 2, rel=1e-3, abs=1e-9)
    assert found.high == pytest.approx(high / 2, rel=1e-3)


def test_counts_by_hand():
    events = (Event("a", 0, 1, 0.9), Event("a", 5, 6, 0.9), Event("b", 0, 1, 0.9))
    results = [DetectResult("x", 900.0, events=events), DetectResult("y", 900.0, events=events[:1])]
    report = false_alarm_report(results, ["a", "b", "c"], {"a": 0.5, "b": 0.6, "c": 0.7})
    assert report.metrics["false_alarms_per_hour"].value == 8
    assert [report.per_class[label]["alarms"] for label in "abc"] == [3, 1, 0]
    assert [report.per_class[label]["per_hour"] for label in "abc"] == [6, 2, 0]
    assert report.to_dict()["hours"] == 0.5
    assert report.n == 2
    with pytest.raises(ValueError, match="there is no sound to count false alarms in"):
        false_alarm_report([], ["a"], {"a": 0.5})
