# SPDX-License-Identifier: Apache-2.0
"""Times of day: which parts of a recording were made between two of them.

A moment belongs to 04:30 to 07:00 if the clock on the wall shows a time in that span, its beginning included and its
end not. Where clocks go back, an hour comes twice and both belong; where they go forward, a missing hour has no moment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auricle.errors import UsageError

_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_DAY_S = 86_400.0
_STEP_S = 900.0


@dataclass(frozen=True)
class Daytime:
    """From ``begin_s`` to ``end_s``, in seconds from midnight; over midnight where the end is before the beginning."""

    begin_s: float
    end_s: float

    @staticmethod
    def of(begin: str | None, end: str | None) -> Daytime | None:
        """Return the span between two times such as ``04:30``; None without any, midnight where one is missing.

        Raises:
            UsageError: it is no time, or both are the same.
        """
        if begin is None and end is None:
            return None
        span = Daytime(
            0.0 if begin is None else _seconds(begin, "--from"), 86_400.0 if end is None else _seconds(end, "--to")
        )
        if span.begin_s % _DAY_S == span.end_s % _DAY_S:
            raise UsageError(
                f"--from {begin or '00:00'} and --to {end or '24:00'} are the same time: nothing lies between"
            )
        return span

    def parts(self, start: datetime, duration_s: float) -> list[tuple[float, float]]:
        """Return the parts of a recording, from where to where in its seconds, in order."""
        found: list[tuple[float, float]] = []
        for first, last, clock_s in _steady(start, duration_s):
            for onset, offset in self._within(first, last, clock_s):
                if found and onset <= found[-1][1]:
                    found[-1] = (found[-1][0], offset)
                else:
                    found.append((onset, offset))
        return found

    def _within(self, first: float, last: float, clock_s: float) -> Iterator[tuple[float, float]]:
        """Yield the parts of a span whose clock shows ``clock_s`` at its beginning and does not change."""
        length = self.end_s - self.begin_s
        length += _DAY_S if length <= 0 else 0.0
        begin = first + self.begin_s - clock_s - _DAY_S
        while begin < last:
            onset, offset = max(first, begin), min(last, begin + length)
            if onset < offset:
                yield onset, offset
            begin += _DAY_S


def _seconds(text: str, option: str) -> float:
    """Return a time of day in seconds from midnight."""
    found = _TIME.fullmatch(text.strip())
    if found is not None:
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        total = 3600 * hours + 60 * minutes + seconds
        if minutes < 60 and seconds < 60 and total <= _DAY_S:
            return float(total)
    raise UsageError(f"{option} {text} is no time of day; expected hours and minutes, such as 04:30 or 16:05:30")


def _steady(start: datetime, duration_s: float) -> Iterator[tuple[float, float, float]]:
    """Yield spans of a recording in which the clock does not change: from, to, and what it shows there, in seconds."""
    first = 0.0
    while first < duration_s:
        last = _next_change(start, first, duration_s)
        clock = _local(start, first)
        yield first, last, (clock - clock.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
        first = last


def _next_change(start: datetime, first: float, duration_s: float) -> float:
    """Return where the clock changes next, to the second; the end where it does not."""
    shift, at = _shift(start, first), first
    while at < duration_s:
        ahead = min(at + _STEP_S, duration_s)
        if _shift(start, ahead) != shift:
            low, high = at, ahead
            while high - low > 1e-3:
                middle = (low + high) / 2
                low, high = (middle, high) if _shift(start, middle) == shift else (low, middle)
            return round(high, 2)
        at = ahead
    return duration_s


def _shift(start: datetime, seconds: float) -> timedelta | None:
    if start.tzinfo is None:
        return None
    return (start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(start.tzinfo).utcoffset()


def _local(start: datetime, seconds: float) -> datetime:
    """Return what the clock on the wall shows, without an offset."""
    if start.tzinfo is None:
        return start + timedelta(seconds=seconds)
    moment = start.astimezone(UTC) + timedelta(seconds=seconds)
    return moment.astimezone(start.tzinfo).replace(tzinfo=None)
