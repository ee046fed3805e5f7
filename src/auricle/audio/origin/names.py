# SPDX-License-Identifier: Apache-2.0
"""Times in names of recordings, as recorders write them. What could be something else as well is not read.

AudioMoth (date and time, with a device's number in front or a T behind; hexadecimal), Song Meter (SM2, SM3, SM4, Mini),
Arbimon, BirdNET-Pi, and the forms of ISO 8601, also with - or . for : and with a position in brackets (Frontier Labs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePath

_DAY = r"(?P<Y>\d{4})(?P<dash>-?)(?P<m>\d\d)(?P=dash)(?P<d>\d\d)"
_FORMS = {
    "birdnet-pi": re.compile(
        _DAY + r"-birdnet-(?:RTSP_\d+-)?(?P<H>\d\d)[:_\-.](?P<M>\d\d)[:_\-.](?P<S>\d\d)(?P<half>[ap]m)?", re.IGNORECASE
    ),
    "iso": re.compile(
        r"(?<!\d)" + _DAY + r"T(?P<H>\d\d)(?P<sep>[:\-._]?)(?P<M>\d\d)(?:(?P=sep)(?P<S>\d\d)(?:[.,](?P<f>\d{1,6}))?)?"
        r"(?P<zone>Z|[+-]\d\d(?:[:\-._]?[0-5]\d)?)?(?![\dA-Za-z])"
    ),
    "date_time": re.compile(
        r"(?<!\d)(?P<Y>\d{4})(?P<m>\d\d)(?P<d>\d\d)[_$\- ](?P<H>\d\d)(?P<M>\d\d)(?P<S>\d\d)(?P<zone>Z)?T?(?!\d)"
    ),
    "dashed": re.compile(
        r"(?<!\d)(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)[_ \-](?P<H>\d\d)(?P<sep>[:\-._])(?P<M>\d\d)"
        r"(?:(?P=sep)(?P<S>\d\d))?(?P<zone>Z)?(?!\d)"
    ),
}
#: Seconds since 1970 in hexadecimal, by AudioMoths of 2017 to 2019: a digit 5 or 6 in front, and one letter at least,
#: since eight digits are dates and numbers of recordings more often.
_HEXADECIMAL = re.compile(r"(?=\d*[A-F])[56][0-9A-F]{7}(?![0-9A-Za-z])")
_POSITION = re.compile(r"\[([+-]\d{1,2}(?:\.\d+)?)([+-]\d{1,3}(?:\.\d+)?)\]")


@dataclass(frozen=True)
class NamedTime:
    """What a name says.

    Attributes:
        start: with an offset where the name has one.
        rest: the name without its time: what files of one recorder share.
        latitude: degrees north, with ``longitude``, degrees east, where the name has a position.
    """

    start: datetime
    rest: str
    latitude: float | None = None
    longitude: float | None = None


def read_name(path: str) -> NamedTime | None:
    """Return what the name of a recording says; None where it holds no time.

    >>> read_name("S4A01234_20190401_064500.wav").start.isoformat()
    '2019-04-01T06:45:00'
    >>> read_name("5CA1B0DC.WAV").start.isoformat()
    '2019-04-01T06:34:04+00:00'
    """
    name = PurePath(path).name
    stem = name[: -len(suffix)] if (suffix := PurePath(name).suffix) else name
    if found := _HEXADECIMAL.match(stem):
        return NamedTime(datetime.fromtimestamp(int(found[0], 16), UTC), stem[found.end() :])
    for pattern in _FORMS.values():
        for found in pattern.finditer(stem):
            start = _start(found.groupdict())
            if start is not None:
                place = _position(stem)
                rest = _POSITION.sub("", stem[: found.start()] + stem[found.end() :])
                return NamedTime(start, rest.strip("_- "), *place)
    return None


def _start(said: dict[str, str | None]) -> datetime | None:
    """Return the time of a match; None where there is no such day or hour."""
    hour = int(said["H"] or 0)
    if half := said.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.lower() == "pm" else 0)
    fraction = int((said.get("f") or "").ljust(6, "0"))
    try:
        return datetime(
            int(said["Y"] or 0), int(said["m"] or 0), int(said["d"] or 0), hour, int(said["M"] or 0),
            int(said.get("S") or 0), fraction, tzinfo=_offset(said.get("zone")),
        )  # fmt: skip
    except ValueError:
        return None


def _offset(zone: str | None) -> timezone | None:
    if not zone:
        return None
    if zone == "Z":
        return UTC
    digits = re.sub(r"\D", "", zone[1:]).ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if zone[0] == "-" else offset)


def _position(stem: str) -> tuple[float, float] | tuple[()]:
    found = _POSITION.search(stem)
    if found is None:
        return ()
    latitude, longitude = float(found[1]), float(found[2])
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else ()
