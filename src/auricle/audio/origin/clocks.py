# SPDX-License-Identifier: Apache-2.0
"""Clocks of recorders: from what a name or header says to a moment.

- A time with an offset (``Z``, ``+02:00``) is a moment as it stands.
- A time without one was read off the recorder's clock: ``clock_zone``, else ``time_zone`` says where that clock stood.
- With neither it stays a local time without an offset: nothing is guessed.
- Where clocks go back, an hour comes twice: the first is taken. Where they go forward, an hour is missing: a time in it
  is read with the offset from before. Both are flagged. A recorder that keeps its offset has a fixed ``clock_zone``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from auricle.errors import UsageError
from auricle.registry import nearest

_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?([0-5]\d))?")


def parse_zone(text: str) -> tzinfo:
    """Return the time zone of a name (``Europe/Berlin``), of ``UTC``, or of an offset (``+02:00``).

    Raises:
        UsageError: there is none of this name.
    """
    if text.upper() in {"UTC", "Z"}:
        return UTC
    if found := _OFFSET.fullmatch(text):
        sign, hours, minutes = found.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if offset < timedelta(hours=24):
            return timezone(-offset if sign == "-" else offset)
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        known = nearest(text, available_timezones())
        raise UsageError(
            f"time zone {text!r} is unknown{known}; expected a name such as Europe/Berlin, UTC, or an offset: +02:00"
        ) from None


def seconds_between(first: datetime, second: datetime) -> float:
    """Return how many seconds ``second`` is after ``first``; both have an offset, or neither."""
    if first.tzinfo is not None:
        first, second = first.astimezone(UTC), second.astimezone(UTC)
    return (second - first).total_seconds()


@dataclass(frozen=True)
class Clocks:
    """The time zones of a question.

    Attributes:
        time_zone: in which times are shown; None leaves them as they were said.
        clock_zone: of recorders whose times have no offset; None is ``time_zone``.
    """

    time_zone: tzinfo | None = None
    clock_zone: tzinfo | None = None

    @staticmethod
    def of(time_zone: str | None = None, clock_zone: str | None = None) -> Clocks:
        """Return the clocks of two names; raises ``UsageError`` for unknown ones."""
        return Clocks(*(None if name is None else parse_zone(name) for name in (time_zone, clock_zone)))

    def moment(self, said: datetime) -> tuple[datetime, str]:
        """Return what was said as a moment, and how it had to be read: ``repeated``, ``skipped``, or empty."""
        clock = self.clock_zone or self.time_zone
        reading = ""
        if said.tzinfo is None and clock is not None:
            reading = _reading(said, clock)
            said = said.replace(tzinfo=clock)
        if said.tzinfo is None or self.time_zone is None:
            return said, reading
        return said.astimezone(UTC).astimezone(self.time_zone), reading


def _reading(local: datetime, clock: tzinfo) -> str:
    """Tell whether a local time comes twice or not at all on a clock."""
    first, second = (local.replace(tzinfo=clock, fold=fold) for fold in (0, 1))
    if first.utcoffset() == second.utcoffset():
        return ""
    there_and_back = first.astimezone(UTC).astimezone(clock).replace(tzinfo=None)
    return "repeated" if there_and_back == local else "skipped"
