# SPDX-License-Identifier: Apache-2.0
"""Which recordings a scan takes, and which parts of them: inputs, lists of paths, times of day, channels."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from auricle.audio.channels import read_channel
from auricle.audio.decode import open_audio, probe
from auricle.audio.listing import STDIN, Entry, Listing
from auricle.audio.origin.clocks import Clocks
from auricle.audio.origin.daytime import Daytime
from auricle.audio.origin.reader import read_origin
from auricle.audio.web import is_address
from auricle.errors import InputError, UsageError
from auricle.files import printable, sha256_file
from auricle.recipe.scan_requests import ScanRequest
from auricle.results import Failure
from auricle.scanning.path_list import read_paths

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
        list_file: a file with further paths, ``-`` for stdin.
        each_channel: every channel of a recording is taken by itself.
    """

    inputs: Sequence[str]
    follow_links: bool = False
    from_time: str | None = None
    to_time: str | None = None
    clocks: Clocks = Clocks()  # noqa: RUF009 (frozen)
    list_file: str | None = None
    each_channel: bool = False

    @staticmethod
    def of(request: ScanRequest) -> Selection:
        """Return what a request selects; raises ``UsageError`` for nothing, or a zone or time that is none."""
        given = request.inputs
        names = [given] if isinstance(given, str | os.PathLike) else list(given)
        clocks = Clocks.of(request.time_zone, request.clock_zone)
        listed = None if request.list_file is None else os.fspath(request.list_file)
        if not names and listed is None:
            raise UsageError("no recordings: give files, folders or patterns (INPUT), or a list of paths (--list FILE)")
        if STDIN in names and listed == STDIN:
            raise UsageError("- (stdin) is the list and an input; it can be read once")
        each = read_channel(request.channel) == "each"
        if each and STDIN in names:
            raise UsageError(
                "- (stdin) is read once, and --channel each reads a recording more often; save it to a file"
            )
        Daytime.of(request.from_time, request.to_time)
        return Selection(
            [os.fspath(name) for name in names], request.follow_links, request.from_time, request.to_time, clocks,
            listed, each,
        )  # fmt: skip

    def plan(self) -> dict[str, Any]:
        """Return what decides which recordings are taken."""
        daytime = [self.from_time, self.to_time]
        plan = {"inputs": list(self.inputs), "follow_links": self.follow_links, "daytime": daytime}
        return {**plan, **self._listed_plan(), **({"channel": "each"} if self.each_channel else {})}

    def _listed_plan(self) -> dict[str, Any]:
        """Return which list it is; what came through stdin is in the journal and nowhere else."""
        if self.list_file is None:
            return {}
        try:
            content = None if self.list_file == STDIN else sha256_file(Path(self.list_file))
        except OSError as error:
            raise UsageError(f"--list {self.list_file}: {error.strerror}; check the path of the list") from error
        return {"list": [self.list_file, content]}

    def entries(self, notice: Notice) -> Iterator[Entry]:
        """Yield the recordings in their order; what is passed over is noticed at the end.

        Raises:
            UsageError: the inputs hold no recording, or none of these times of day.
        """
        listings = [Listing(self.inputs, follow_links=self.follow_links)]
        if self.list_file is not None:
            listings.append(Listing(read_paths(self.list_file), follow_links=self.follow_links, literal=True))
        entries: Iterator[Entry] = chain.from_iterable(listings)
        daytime = Daytime.of(self.from_time, self.to_time)
        entries = entries if daytime is None else self._within(daytime, entries, notice)
        yield from chain.from_iterable(map(_channels, entries)) if self.each_channel else entries
        if links := sum(listing.links_outside for listing in listings):
            notice(f"{links} links lead out of their folder and are not followed (see --follow-links)")

    def _within(self, daytime: Daytime, entries: Iterator[Entry], notice: Notice) -> Iterator[Entry]:
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
    _require_file(entry, "times of day (--from, --to)")
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


def _channels(entry: Entry) -> Iterator[Entry]:
    """Yield a recording once for each of its channels; one that cannot be opened is left to fail once."""
    _require_file(entry, "--channel each")
    if entry.error is not None:
        yield entry
        return
    try:
        channels = probe(entry.path).channels
    except InputError:
        yield entry
        return
    yield from (replace(entry, channel=channel) for channel in range(1, channels + 1))


def _require_file(entry: Entry, option: str) -> None:
    """Refuse an address where the header must be read before the recording is."""
    if is_address(entry.path):
        raise UsageError(f"{printable(entry.path)}: {option} needs a file; download it first")


def length_of(path: str) -> float:
    """Return the seconds of a recording: by its header, or counted where only decoding can tell."""
    with open_audio(path) as reader:
        if reader.info.duration is not None:
            return reader.info.duration
        for _ in reader:
            pass
        return reader.duration
