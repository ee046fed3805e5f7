# SPDX-License-Identifier: Apache-2.0
"""Time zones, hours that come twice or not at all, and times of day, each worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auricle.audio.origin.clocks import Clocks, parse_zone, seconds_between
from auricle.audio.origin.daytime import Daytime
from auricle.errors import UsageError
from auricle.results import Origin, spell_moment

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "hours"),
    [("UTC", 0), ("z", 0), ("+02:00", 2), ("-0330", -3.5), ("UTC+2", 2), ("GMT-3", -3), ("+5:45", 5.75)],
)  # fmt: skip
def test_zones_with_one_offset(text, hours):
    assert parse_zone(text).utcoffset(None) == timedelta(hours=hours)


def test_zones_by_name():
    assert parse_zone("Europe/Berlin") == BERLIN


@pytest.mark.parametrize("text", ["Europe/Berln", "", "../etc/passwd", "Europe", "+25:00", "/etc/localtime"])
def test_an_unknown_zone_says_what_is_expected(text):
    with pytest.raises(UsageError) as caught:
        parse_zone(text)
    near = " (did you mean 'Europe/Berlin'?)" if text == "Europe/Berln" else ""
    start = f"time zone {text!r} is unknown{near}"
    assert str(caught.value).startswith(start)
    assert str(caught.value).endswith("; expected a name such as Europe/Berlin, UTC, or an offset: +02:00")


@pytest.mark.parametrize(
    ("said", "time_zone", "clock_zone", "moment", "reading"),
    [
        # nothing is guessed
        ("2024-07-01T12:00:00", None, None, "2024-07-01T12:00:00", ""),
        ("2024-07-01T12:00:00+09:00", None, None, "2024-07-01T12:00:00+09:00", ""),
        # summer and winter
        ("2024-07-01T12:00:00", "Europe/Berlin", None, "2024-07-01T12:00:00+02:00", ""),
        ("2024-01-01T12:00:00", "Europe/Berlin", None, "2024-01-01T12:00:00+01:00", ""),
        ("2024-07-01T12:00:00Z", "Europe/Berlin", None, "2024-07-01T14:00:00+02:00", ""),
        # an AudioMoth in UTC, shown in local time; a recorder that kept summer time
        ("2024-10-27T01:30:00", "Europe/Berlin", "UTC", "2024-10-27T02:30:00+01:00", ""),
        ("2024-10-27T03:30:00", "Europe/Berlin", "+02:00", "2024-10-27T02:30:00+01:00", ""),
        ("2024-07-01T12:00:00", None, "+02:00", "2024-07-01T12:00:00+02:00", ""),
        # 02:30 comes twice: the first; 02:30 is missing: the offset from before, so an hour later on the new clock
        ("2024-10-27T02:30:00", "Europe/Berlin", None, "2024-10-27T02:30:00+02:00", "repeated"),
        ("2024-03-31T02:30:00", "Europe/Berlin", None, "2024-03-31T03:30:00+02:00", "skipped"),
        ("2024-10-27T03:00:00", "Europe/Berlin", None, "2024-10-27T03:00:00+01:00", ""),
    ],
)
def test_what_was_said_as_a_moment(said, time_zone, clock_zone, moment, reading):
    found, how = Clocks.of(time_zone, clock_zone).moment(datetime.fromisoformat(said))
    assert (found.isoformat(), how) == (moment, reading)


def test_a_moment_into_the_recording_is_told_by_the_clock_on_the_wall():
    start = datetime(2024, 10, 27, 2, 50, tzinfo=BERLIN)
    assert spell_moment(Origin(start).at(1200.5)) == "2024-10-27T02:10:00.500+01:00"
    assert Origin(datetime(2024, 10, 27, 2, 50)).at(1200).isoformat() == "2024-10-27T03:10:00"
    assert Origin().at(5) is None
    assert seconds_between(start, Origin(start).at(7200)) == 7200  # 02:50 to 03:50 on the clock, two hours


def parts(begin, end, start, duration_s):
    return Daytime.of(begin, end).parts(start, duration_s)


MAY = datetime(2024, 5, 1, 4, 0)


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        ("04:30", "07:00", [(1800, 10_800)]),
        ("04:30", "05:00", [(1800, 3600)]),
        ("07:00", "09:00", []),
        ("22:00", "04:10", [(0, 600)]),
        ("05:00", None, [(3600, 10_800)]),
        (None, "05:00", [(0, 3600)]),
        ("06:59:30", "24:00", [(10_770, 10_800)]),
        ("05:00", "04:30", [(0, 1800), (3600, 10_800)]),
    ],
)
def test_three_hours_from_four_o_clock(begin, end, expected):
    assert parts(begin, end, MAY, 10_800) == expected


def test_two_days_have_two_mornings():
    assert parts("04:30", "07:00", MAY, 2 * 86_400) == [(1800, 10_800), (88_200, 97_200)]


def test_an_hour_that_comes_twice_counts_twice_and_a_missing_one_not_at_all():
    autumn = datetime(2024, 10, 27, 1, 0, tzinfo=BERLIN)  # 02:00 to 03:00 comes twice: hours 1 to 3
    assert parts("02:00", "03:00", autumn, 6 * 3600) == [(3600, 10_800)]
    assert parts("02:30", "03:00", autumn, 6 * 3600) == [(5400, 7200), (9000, 10_800)]
    spring = datetime(2024, 3, 31, 1, 0, tzinfo=BERLIN)  # at 02:00 it is 03:00
    assert parts("02:00", "03:00", spring, 6 * 3600) == []
    assert parts("01:30", "03:30", spring, 6 * 3600) == [(1800, 5400)]


@given(
    minute=st.integers(0, 3 * 1440), length=st.integers(1, 4000), begin=st.integers(0, 1439), span=st.integers(1, 1439)
)
def test_a_moment_belongs_if_the_wall_clock_says_so(minute, length, begin, span):
    start = (datetime(2024, 10, 26, tzinfo=UTC) + timedelta(minutes=minute)).astimezone(BERLIN)
    end = (begin + span) % 1440
    found = Daytime(60.0 * begin, 60.0 * end).parts(start, 60.0 * length)
    for k in range(0, length, 7):
        seconds = 60.0 * k + 30
        wall = Origin(start).at(seconds)
        belongs = (60 * wall.hour + wall.minute - begin) % 1440 < span
        assert belongs == any(onset <= seconds < offset for onset, offset in found)


@pytest.mark.parametrize(
    ("begin", "end", "message"),
    [
        ("25:00", None, "--from 25:00 is no time of day; expected hours and minutes, such as 04:30 or 16:05:30"),
        (None, "half past", "--to half past is no time of day; expected hours and minutes, such as 04:30 or 16:05:30"),
        ("04:60", None, "--from 04:60 is no time of day; expected hours and minutes, such as 04:30 or 16:05:30"),
        ("04:30", "4:30", "--from 04:30 and --to 4:30 are the same time: nothing lies between"),
    ],
)
def test_times_that_are_none(begin, end, message):
    with pytest.raises(UsageError) as caught:
        Daytime.of(begin, end)
    assert str(caught.value) == message
