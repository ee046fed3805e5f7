# SPDX-License-Identifier: Apache-2.0
"""What the metadata of a recording says: GUANO, the comment of an AudioMoth, iXML, ``bext``, ``LIST`` of type INFO.

Each function takes text and returns a ``Statement``: what it says, and nothing that it does not say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree

_AUDIOMOTH_TIME = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d) (\d\d)/(\d\d)/(\d{4})(?: \(UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?\))?"
)
_AUDIOMOTH = {
    "id": re.compile(r"by AudioMoth ([0-9A-Fa-f]{16})"),
    "deployment": re.compile(r"during deployment ([0-9A-Fa-f]{16})"),
    "gain": re.compile(r"at (?:gain setting (\d)|(low|low-medium|medium|medium-high|high) gain)"),
    "stopped": re.compile(r"Recording (?:stopped|cancelled before completion)(?: due to)? ([^.]+)\."),
}
_AUDIOMOTH_BATTERY = re.compile(r"battery (?:state )?was (less than |greater than |[<>] )?(\d+\.\d+)V")
_AUDIOMOTH_TEMPERATURE = re.compile(r"temperature was (-?\d+\.\d)C")
_BEYOND = {"less than ": "<", "< ": "<", "greater than ": ">", "> ": ">"}
_DATE = re.compile(r"(\d{4})[-_:. /](\d\d)[-_:. /](\d\d)")
_TIME = re.compile(r"(\d\d)[-_:. ](\d\d)[-_:. ](\d\d)")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Statement:
    """What one piece of metadata says.

    Attributes:
        start: with an offset where it has one.
        recorder: make, model, id, firmware, deployment, gain, battery_v or battery, temperature_c, microphone, stopped.
        position: latitude and longitude in degrees, elevation_m.
    """

    start: datetime | None = None
    recorder: dict[str, Any] = field(default_factory=dict)
    position: dict[str, float] = field(default_factory=dict)


def parse_guano(text: str) -> dict[str, str]:
    """Return the fields of GUANO metadata: lines ``key: value``, trimmed; the first of a key counts."""
    fields: dict[str, str] = {}
    for line in text.replace("\r", "\n").split("\n"):
        key, colon, value = (part.strip(" \t\0") for part in line.partition(":"))
        if colon and value:
            fields.setdefault(key, value)
    return fields


def guano_statement(text: str) -> Statement:
    """Return what GUANO metadata says (guano-md.org, version 1.0)."""
    said = parse_guano(text)
    names = {"make": "Make", "model": "Model", "id": "Serial", "firmware": "Firmware Version", "gain": "PET|Gain"}
    recorder: dict[str, Any] = {name: said[key] for name, key in names.items() if key in said}
    inside_or_out = said.get("Temperature Int", said.get("Temperature Ext"))
    if (celsius := _number(inside_or_out)) is not None:
        recorder["temperature_c"] = celsius
    position = _position(said.get("Loc Position", ""))
    if position and (elevation := _number(said.get("Loc Elevation"))) is not None:
        position["elevation_m"] = elevation
    return Statement(_iso(said.get("Timestamp", "")), recorder, position)


def audiomoth_statement(comment: str) -> Statement | None:
    """Return what the comment of an AudioMoth says, by any of its firmwares; None for another comment."""
    found = _AUDIOMOTH_TIME.search(comment)
    if found is None:
        return None
    hour, minute, second, day, month, year = map(int, found.groups()[:6])
    zone: timezone | None = None
    if "(UTC" in found[0]:
        offset = timedelta(hours=int(found[8] or 0), minutes=int(found[9] or 0))
        zone = timezone(-offset if found[7] == "-" else offset) if offset else UTC
    start = _date_time(year, month, day, hour, minute, second, zone)
    recorder: dict[str, Any] = {"model": "AudioMoth"}
    for name, pattern in _AUDIOMOTH.items():
        if match := pattern.search(comment):
            recorder[name] = next(part for part in match.groups() if part)
    if battery := _AUDIOMOTH_BATTERY.search(comment):
        beyond, volts = battery.groups()
        recorder |= {"battery": f"{_BEYOND[beyond]} {volts} V"} if beyond else {"battery_v": float(volts)}
    if temperature := _AUDIOMOTH_TEMPERATURE.search(comment):
        recorder["temperature_c"] = float(temperature[1])
    if "using external microphone" in comment:
        recorder["microphone"] = "external"
    return Statement(start, recorder)


def bext_statement(said: dict[str, str]) -> Statement:
    """Return what the fields of a ``bext`` chunk say: a local time without an offset."""
    start = _from_parts(said.get("date", ""), said.get("time", ""))
    return Statement(start, {"make": said["originator"]} if "originator" in said else {})


def info_statement(said: dict[str, str]) -> Statement:
    """Return what ``LIST`` chunks of type INFO say: ``ICRD`` is the start only where it has a time of day."""
    day, _, time = said.get("ICRD", "").strip().replace("T", " ").partition(" ")
    return Statement(_iso(said.get("ICRD", "")) or _from_parts(day, time))


def ixml_statement(text: str) -> Statement:
    """Return what iXML says; nothing where it declares a document type: entities are not expanded."""
    if "<!" in text.replace("<!--", ""):
        return Statement()
    try:
        root = ElementTree.fromstring(text[text.find("<") :])  # noqa: S314 (without a document type there is no entity)
    except ElementTree.ParseError:
        return Statement()
    said = {element.tag.upper(): (element.text or "").strip() for element in root.iter() if element.text}
    start = _from_parts(said.get("BWF_ORIGINATION_DATE", ""), said.get("BWF_ORIGINATION_TIME", ""))
    names = {"make": "BWF_ORIGINATOR", "id": "AUDIO_RECORDER_SERIAL_NUMBER", "model": "AUDIO_RECORDER_MODEL"}
    recorder = {name: said[key] for name, key in names.items() if said.get(key)}
    position = _position(said.get("LOCATION_GPS", ""))
    if position and (elevation := _number(said.get("LOCATION_ALTITUDE"))) is not None:
        position["elevation_m"] = elevation
    return Statement(start, recorder, position)


def _iso(text: str) -> datetime | None:
    """Return a time in the form of ISO 8601 with a time of day; None for anything else."""
    text = text.strip()
    if len(text) < 16:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _from_parts(date: str, time: str) -> datetime | None:
    """Return a date and a time of day with any of the separators that EBU Tech 3285 allows."""
    day, clock = _DATE.fullmatch(date.strip()), _TIME.fullmatch(time.strip())
    if day is None or clock is None:
        return None
    year, month, date_of_month, hour, minute, second = map(int, (*day.groups(), *clock.groups()))
    return _date_time(year, month, date_of_month, hour, minute, second, None)


def _date_time(
    year: int, month: int, day: int, hour: int, minute: int, second: int, zone: timezone | None
) -> datetime | None:
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None


def _position(text: str) -> dict[str, float]:
    """Return ``latitude longitude`` in degrees; nothing for 0 0, which receivers without a fix write."""
    numbers = [float(number) for number in _NUMBER.findall(text)]
    if len(numbers) != 2 or numbers == [0.0, 0.0] or abs(numbers[0]) > 90 or abs(numbers[1]) > 180:
        return {}
    return {"latitude": numbers[0], "longitude": numbers[1]}


def _number(text: str | None) -> float | None:
    found = _NUMBER.match((text or "").strip())
    return None if found is None else float(found[0])
