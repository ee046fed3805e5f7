# SPDX-License-Identifier: Apache-2.0
"""Which recordings a scan takes, and which parts of them: inputs, and times of day."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from auricle.audio.decode import open_audio
from auricle.audio.listing import STDIN, Entry, Listing
from auricle.audio.origin.clocks import Clocks
from auricle.audio.origin.daytime import Daytime
from auricle.audio.origin.reader import read_origin
from auricle.errors import InputError, UsageError
from auricle.recipe.scan_requests import ScanRequest
from auricle.results import Failure

Notice = Callable[[str], None]
_NO_START = "neither name nor header says when it began; leave --from and --to out, or see docs/clock.md for names"


@dataclass(frozen=True)
class Selection:
    """What is taken.

    Attributes:
        inputs: files, folders and patterns, as the user typed them.
        follow_links: also read what is linked from within a folder and lies outside it.
        from_time: time of day from which on is taken, as it was typed.
        to_time: time of day before which is taken.
        clocks: in which these are meant.
    """

    inputs: Sequence[str]
    follow_links: bool = False
    from_time: str | None = None
    to_time: str | None = None
    clocks: Clocks = Clocks()  # noqa: RUF009 (frozen)

    @staticmethod
    def of(request: ScanRequest) -> Selection:
        """Return what a request selects; raises ``UsageError`` for a zone or a time that is none."""
        given = request.inputs
        names = [given] if isinstance(given, str | os.PathLike) else list(given)
        clocks = Clocks.of(request.time_zone, request.clock_zone)
        selection = Selection(
            [os.fspath(name) for name in names], request.follow_links, request.from_time, request.to_time, clocks
        )
        Daytime.of(request.from_time, request.to_time)
        return selection

    def plan(self) -> dict[str, Any]:
        """Return what decides which recordings are taken."""
        daytime = [self.from_time, self.to_time]
        return {"inputs": list(self.inputs), "follow_links": self.follow_links, "daytime": daytime}

    def entries(self, notice: Notice) -> Iterator[Entry]:
        """Yield the recordings in their order; what is passed over is noticed at the end.

        Raises:
            UsageError: the inputs hold no recording, or none of these times of day.
        """
        listing = Listing(self.inputs, follow_links=self.follow_links)
        daytime = Daytime.of(self.from_time, self.to_time)
        yield from listing if daytime is None else self._within(daytime, listing, notice)
        if listing.links_outside:
            notice(f"{listing.links_outside} links lead out of their folder and are not followed (see --follow-links)")

    def _within(self, daytime: Daytime, entries: Iterator[Entry] | Listing, notice: Notice) -> Iterator[Entry]:
        span = f"{self.from_time or '00:00'} to {self.to_time or '24:00'}"
        taken = passed = 0
        for entry in entries:
            parts = list(_parts(entry, daytime, self.clocks))
            taken, passed = taken + len(parts), passed + (not parts)
            yield from parts
        if not taken:
            raise UsageError(f"none of {passed} recordings was made from {span}; see auricle data deployment")
        if passed:
            notice(f"{passed} recordings lie outside {span} and are left out")


def _parts(entry: Entry, daytime: Daytime, clocks: Clocks) -> Iterator[Entry]:
    """Yield the parts of a recording that belong to a time of day; one that fails anyway is left to fail."""
    if entry.error is not None:
        yield entry
        return
    try:
        start = None if entry.path == STDIN else read_origin(entry.path, clocks)[0].start
        if start is None and entry.path != STDIN:
            open_audio(entry.path).close()  # what cannot be opened says so, and not that it has no start
        if start is None:
            yield replace(entry, error=Failure("no_start", _NO_START))
            return
        duration_s = length_of(entry.path)
    except InputError:
        yield entry
        return
    for onset, offset in daytime.parts(start, duration_s):
        whole = onset <= 0 and offset >= duration_s
        yield entry if whole else replace(entry, part=(round(onset, 6), round(offset, 6)))


def length_of(path: str) -> float:
    """Return the seconds of a recording: by its header, or counted where only decoding can tell."""
    with open_audio(path) as reader:
        if reader.info.duration is not None:
            return reader.info.duration
        for _ in reader:
            pass
        return reader.duration
