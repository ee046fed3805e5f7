# SPDX-License-Identifier: Apache-2.0
"""The origin of a recording: everything that its name and header say, in an order of trust.

The start is taken from the first that has one: GUANO, the comment of an AudioMoth, the name, iXML, ``bext``, ``LIST``.
Recorders write the first three themselves; editors write the last three anew. Where a later one says another time, by
more than a minute, that is flagged. Recorder and position are put together of all, the first of each field counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from auricle.audio.headers.tags import untagged
from auricle.audio.origin.clocks import Clocks, seconds_between
from auricle.audio.origin.metadata import (
    Statement,
    audiomoth_statement,
    bext_statement,
    guano_statement,
    info_statement,
    ixml_statement,
)
from auricle.audio.origin.names import read_name
from auricle.audio.origin.riff_metadata import parse_bext, parse_info, read_chunks, text_of
from auricle.audio.source import AudioSource, Source, open_source
from auricle.errors import InputError
from auricle.results import Flag, Origin, spell_moment

#: The clock of a recorder that nobody has set begins in 1970, 1980 or so.
FIRST_YEAR = 1990
_CONFLICT_S = 60.0
_AS_SAID = Clocks()


def read_origin(source: AudioSource, clocks: Clocks = _AS_SAID) -> tuple[Origin, tuple[Flag, ...]]:
    """Return the origin of a recording, and what a user should know about it; what cannot be read says nothing."""
    try:
        opened = open_source(source)
    except InputError:
        return Origin(), ()
    try:
        return origin_of(list(statements(opened)), clocks)
    except InputError:
        return Origin(), ()
    finally:
        opened.close()


def statements(source: Source) -> Iterator[tuple[str, Statement]]:
    """Yield what each piece of metadata says, with its name, in the order of trust."""
    chunks, order = read_chunks(untagged(source))
    info = parse_info(chunks.get("info", b""), order)
    if "guano" in chunks:
        yield "guano", guano_statement(text_of(chunks["guano"]))
    if comment := audiomoth_statement(info.get("ICMT", "")):
        yield "audiomoth", comment
    if (named := read_name(source.path)) is not None:
        where = {} if named.latitude is None else {"latitude": named.latitude, "longitude": float(named.longitude or 0)}
        yield "name", Statement(named.start, {}, where)
    if "ixml" in chunks:
        yield "ixml", ixml_statement(text_of(chunks["ixml"]))
    if "bext" in chunks:
        yield "bext", bext_statement(parse_bext(chunks["bext"]))
    if info:
        yield "info", info_statement(info)


def origin_of(said: list[tuple[str, Statement]], clocks: Clocks) -> tuple[Origin, tuple[Flag, ...]]:
    """Put statements together, the first of each field counts."""
    recorder: dict[str, Any] = {}
    position: dict[str, float] = {}
    for _, statement in said:
        recorder = {**statement.recorder, **recorder}
        position = position or statement.position
    origin, first, flags = Origin(None, "", recorder, position), None, {}
    for name, statement in said:
        if statement.start is None:
            continue
        if statement.start.year < FIRST_YEAR:
            flags["clock_unset"] = Flag("clock_unset", {"start": spell_moment(statement.start), "from": name})
            continue
        start, reading = clocks.moment(statement.start)
        if origin.start is None or first is None:
            origin, first = replace(origin, start=start, source=name), statement.start
            if reading:
                flags["clock_change"] = Flag("clock_change", {"said": spell_moment(statement.start), "hour": reading})
        elif _apart(first, statement.start, origin.start, start) > _CONFLICT_S:
            details = {origin.source: spell_moment(origin.start), name: spell_moment(start)}
            flags.setdefault("start_conflict", Flag("start_conflict", details))
    return origin, tuple(flags.values())


def _apart(said: datetime, other: datetime, start: datetime, other_start: datetime) -> float:
    """Return how far two sources are apart in seconds, with the best of what they can mean.

    A time without an offset may be of the clock of the other source, as names of AudioMoths are of that of the comment.
    """
    readings = []
    if (start.tzinfo is None) == (other_start.tzinfo is None):
        readings.append(abs(seconds_between(start, other_start)))
    if (said.tzinfo is None) != (other.tzinfo is None):
        readings.append(abs(seconds_between(said.replace(tzinfo=None), other.replace(tzinfo=None))))
    return min(readings)
