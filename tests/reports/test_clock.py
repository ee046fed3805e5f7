# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from auricle.reports.clock import spell_time, time_ticks


@pytest.mark.parametrize(
    ("duration_s", "labels"),
    [
        (0.45, ["0.0 s", "0.1 s", "0.2 s", "0.3 s", "0.4 s"]),
        (5, ["0.0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s", "2.5 s", "3.0 s", "3.5 s", "4.0 s", "4.5 s", "5.0 s"]),
        (75, ["0:00", "0:10", "0:20", "0:30", "0:40", "0:50", "1:00", "1:10"]),
        (3600, [f"{m // 60}:{m % 60:02}:00" if m == 60 else f"{m}:00" for m in range(0, 61, 5)]),
    ],
)
def test_ticks_are_round_and_few(duration_s, labels):
    ticks = time_ticks(duration_s)
    assert [label for label, _ in ticks] == labels
    assert len(ticks) <= 13
    assert ticks[0][1] == 0
    assert ticks[-1][1] <= 100


def test_two_days_still_have_an_axis():
    assert [label for label, _ in time_ticks(48 * 3600)] == ["0:00", *(f"{h}:00:00" for h in range(6, 49, 6))]


def test_no_duration_has_no_ticks():
    assert time_ticks(0) == []


def test_times_are_spelled_as_clocks_do():
    assert [spell_time(s) for s in (0, 59.6, 3599, 3600)] == ["0:00", "1:00", "59:59", "1:00:00"]
