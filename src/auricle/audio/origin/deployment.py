# SPDX-License-Identifier: Apache-2.0
"""Recordings of one recorder in a row: when each was made, which gaps lie between them, and where they overlap.

Recordings belong together by the number of their recorder, or without one by folder and by what their names share;
folders that are called by a day are looked through. A gap is what is longer than the usual pause of that recorder (the
median), so that a schedule of ten minutes an hour has no gap until one is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from statistics import median
from typing import Any

from auricle.audio.decode import open_audio
from auricle.audio.listing import Entry
from auricle.audio.origin.clocks import Clocks, seconds_between
from auricle.audio.origin.names import read_name
from auricle.audio.origin.reader import read_origin
from auricle.errors import InputError
from auricle.results import Failure, Flag, Origin, rounded, spell_moment

_DAY_FOLDER = re.compile(r"\d{4}-?\d\d-?\d\d")
_HOUR_S = 3600.0


@dataclass(frozen=True)
class PlacedRecording:
    """A recording on the axis of time.

    Attributes:
        path: of the recording.
        recorder: what it shares with those of the same recorder.
        duration: in seconds; None where it cannot be read.
        origin: when, where and with what it was made.
        flags: what a user should know about it.
        error: why it has no place; None where it has one.
    """

    path: str
    recorder: str
    duration: float | None = None
    origin: Origin = Origin()  # noqa: RUF009 (frozen)
    flags: tuple[Flag, ...] = ()
    error: Failure | None = None

    @property
    def end(self) -> datetime | None:
        """The moment behind the last sample."""
        return None if self.duration is None else self.origin.at(self.duration)

    def to_dict(self) -> dict[str, Any]:
        """Return what ``auricle data deployment --format json`` says of it."""
        start, end = self.origin.start, self.end
        utc = None if start is None or start.tzinfo is None else spell_moment(start.astimezone(UTC))
        return {
            "path": self.path,
            "recorder_key": self.recorder,
            "duration": None if self.duration is None else rounded(self.duration),
            "flags": [flag.to_dict() for flag in self.flags],
            **self.origin.to_dict(),
            **({} if utc is None else {"start_utc": utc}),
            **({} if end is None else {"end": spell_moment(end)}),
            "error": None if self.error is None else self.error.to_dict(),
        }


@dataclass(frozen=True)
class Joint:
    """Where one recording ends and the next begins, if they do not fit.

    Attributes:
        before: path of the one.
        after: path of the next.
        at: the end of the one for a gap, the beginning of the next for an overlap.
        seconds: that are missing; below 0 those that were recorded twice.
        at_clock_change: it is an hour where clocks change: rather the recorder kept its offset from UTC.
    """

    before: str
    after: str
    at: datetime
    seconds: float
    at_clock_change: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"kind", "before", "after", "at", "seconds"}``."""
        kind = "gap" if self.seconds > 0 else "overlap"
        said = {"kind": kind, "before": self.before, "after": self.after, "at": spell_moment(self.at)}
        changed = {"at_clock_change": True} if self.at_clock_change else {}
        return {**said, "seconds": rounded(abs(self.seconds)), **changed}


@dataclass(frozen=True)
class Deployment:
    """The recordings of one recorder, by their starts.

    Attributes:
        recorder: what they share: number of the recorder, or folder and prefix.
        recordings: with a start.
        joints: gaps and overlaps between them.
        usual_pause_s: seconds between two of them, the median.
    """

    recorder: str
    recordings: tuple[PlacedRecording, ...]
    joints: tuple[Joint, ...]
    usual_pause_s: float

    @property
    def recorded_s(self) -> float:
        """Seconds of all recordings together."""
        return sum(recording.duration or 0.0 for recording in self.recordings)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of a deployment."""
        first, last = self.recordings[0].origin.start, max_end(self.recordings)
        return {
            "recorder": self.recorder,
            "start": None if first is None else spell_moment(first),
            "end": None if last is None else spell_moment(last),
            "recorded_s": rounded(self.recorded_s),
            "usual_pause_s": rounded(self.usual_pause_s),
            "joints": [joint.to_dict() for joint in self.joints],
            "recordings": [recording.to_dict() for recording in self.recordings],
        }


@dataclass(frozen=True)
class DeploymentReport:
    """What ``auricle data deployment`` found.

    Attributes:
        deployments: a recorder each.
        left_out: recordings that cannot be read or whose start nothing says.
    """

    deployments: tuple[Deployment, ...]
    left_out: tuple[PlacedRecording, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle data deployment``."""
        return {
            "deployments": [deployment.to_dict() for deployment in self.deployments],
            "left_out": [recording.to_dict() for recording in self.left_out],
        }


def place(entry: Entry, clocks: Clocks) -> PlacedRecording:
    """Return a recording with its start and length; nothing is decoded unless only that tells the length."""
    origin, flags = read_origin(entry.path, clocks)
    recorder = recorder_of(entry.path, origin)
    if entry.error is not None:
        return PlacedRecording(entry.path, recorder, None, origin, entry.flags, entry.error)
    try:
        with open_audio(entry.path) as reader:
            duration = reader.info.duration
            if duration is None:
                for _ in reader:
                    pass
                duration = reader.duration
            flags = (*reader.flags, *flags, *entry.flags)
    except InputError as error:
        return PlacedRecording(entry.path, recorder, None, origin, flags, Failure(error.code, error.message))
    no_start = Failure("no_start", "neither name nor header says when it began; docs/clock.md has the names that do")
    return PlacedRecording(entry.path, recorder, duration, origin, flags, no_start if origin.start is None else None)


def recorder_of(path: str, origin: Origin) -> str:
    """Return what recordings of one recorder share: its number, or their folder and the rest of their names."""
    if "id" in origin.recorder:
        return str(origin.recorder["id"])
    named = read_name(path)
    folder = PurePath(path).parent
    while _DAY_FOLDER.fullmatch(folder.name):
        folder = folder.parent
    return "/".join(part for part in (str(folder), "" if named is None else named.rest) if part)


def deployments_of(entries: Iterable[Entry], clocks: Clocks, tolerance_s: float) -> DeploymentReport:
    """Return the deployments of recordings, by the names of their recorders."""
    found: dict[str, list[PlacedRecording]] = {}
    left_out = []
    for entry in entries:
        recording = place(entry, clocks)
        if recording.error is not None:
            left_out.append(recording)
        else:
            found.setdefault(recording.recorder, []).append(recording)
    return DeploymentReport(
        tuple(_deployment(name, found[name], tolerance_s) for name in sorted(found)), tuple(left_out)
    )


def _deployment(name: str, recordings: list[PlacedRecording], tolerance_s: float) -> Deployment:
    """Put the recordings of one recorder in order; those without an offset come behind those with one."""
    ordered = sorted(recordings, key=lambda recording: (_plain(recording.origin.start or datetime.min), recording.path))
    steps = list(_steps(ordered))
    usual = median([max(0.0, seconds) for _, _, _, seconds in steps]) if steps else 0.0
    joints = [
        _joint(before, after, end, seconds, usual)
        for before, after, end, seconds in steps
        if seconds > usual + tolerance_s or seconds < -tolerance_s
    ]
    return Deployment(name, tuple(ordered), tuple(joints), usual)


def _steps(
    ordered: Sequence[PlacedRecording],
) -> Iterator[tuple[PlacedRecording, PlacedRecording, datetime, float]]:
    """Yield neighbours with the end so far, and the seconds from there to the next; recordings may lie in others."""
    latest: PlacedRecording | None = None
    for recording in ordered:
        start, end = recording.origin.start, None if latest is None else latest.end
        if latest is not None and start is not None and end is not None and _comparable(start, end):
            yield latest, recording, end, seconds_between(end, start)
        stop = recording.end
        if end is None or stop is None or not _comparable(end, stop) or seconds_between(end, stop) >= 0:
            latest = recording


def _joint(before: PlacedRecording, after: PlacedRecording, end: datetime, seconds: float, usual: float) -> Joint:
    start, earlier = after.origin.start or end, before.origin.start or end
    an_hour = abs(abs(seconds - usual) - _HOUR_S) < 60
    at = end if seconds > 0 else start
    return Joint(before.path, after.path, at, seconds, an_hour and start.utcoffset() != earlier.utcoffset())


def _comparable(first: datetime, second: datetime) -> bool:
    return (first.tzinfo is None) == (second.tzinfo is None)


def max_end(recordings: Sequence[PlacedRecording]) -> datetime | None:
    """Return the latest end."""
    ends = [recording.end for recording in recordings if recording.end is not None]
    return max(ends, key=_plain, default=None)


def _plain(moment: datetime) -> tuple[bool, datetime]:
    """Return what moments with and without an offset can be sorted by: those without come last."""
    return moment.tzinfo is None, moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
