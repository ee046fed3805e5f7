# SPDX-License-Identifier: Apache-2.0
"""What is done with each recording of a scan, and the record that stands for its result in the journal.

A ``Task`` is a few plain values, so it travels to other processes and machines; ``open`` loads the model there and
returns the work itself: an ``Entry`` of the listing in, a record (JSON) out. Numbers in a record are exact, so what is
written from it is what would have been written at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args
from zoneinfo import ZoneInfo

import numpy as np

from auricle.audio.channels import read_channel
from auricle.audio.cutouts import CutoutOptions, write_cutouts
from auricle.audio.listing import Entry
from auricle.audio.web import is_address
from auricle.errors import InputError, UsageError
from auricle.events.selection import EventSelection
from auricle.recipe.scan_requests import DEFAULT_MODEL, ScanRequest
from auricle.results import DetectResult, EmbedResult, Event, Failure, Flag, LabelScore, Origin, TagResult
from auricle.runtime.class_groups import classes_of
from auricle.runtime.detector import Detector, load
from auricle.runtime.inputs import Excerpt
from auricle.runtime.long_file_progress import EVERY_S, Bookmark, bookmark_in
from auricle.runtime.thresholds import Thresholds, strongest
from auricle.scanning.pulse import tell_pulse
from auricle.tabular import library

Command = Literal["tag", "detect", "embed"]
Result = TagResult | DetectResult | EmbedResult
Source = str | BinaryIO | Excerpt
Record = dict[str, Any]
Work = Callable[[Entry], Record]

#: Digits with which a float32 comes back as it was.
_FLOAT32_DIGITS = 9


@dataclass(frozen=True)
class Task:
    """What to do with each recording.

    Attributes:
        command: which result is wanted.
        model: folder or name.
        precision: ``float32`` or ``int8``.
        device: where to compute.
        top: for ``tag``: how many of the highest scores to keep; None keeps all.
        classes: for ``tag`` and ``detect``: labels that are kept; all if empty. Before the model is open, names of
            labels and groups.
        thresholds: for ``tag``: scores below are not kept; for ``detect``: where an event begins.
        prior_spoof: for ``tag``, see ``Detector.tag``.
        abstain: for ``tag``, see ``Detector.tag``.
        time_zone: in which starts are shown; None leaves them as they are said.
        clock_zone: of recorders whose names and headers have no offset from UTC.
        clock: tables have columns for when and where.
        channel: which channel is taken, from 1 on; None is the mean of all, or as the listing says.
        channels: tables have a column for the channel.
        events: for ``detect``: which are kept.
        bookmarks: for ``detect``: folder in which to mark how far it got in a recording, and to resume from there.
        bookmark_every_s: seconds of work between two marks; what takes less has none.
        cutouts: for ``detect``: write each event as a file too; a recording of which that fails has failed.
    """

    command: Command
    model: str
    precision: str = "float32"
    device: str = "cpu"
    top: int | None = None
    classes: tuple[str, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    prior_spoof: float | None = None
    abstain: float | None = None
    time_zone: str | None = None
    clock_zone: str | None = None
    clock: bool = False
    channel: int | None = None
    channels: bool = False
    events: EventSelection = EventSelection()  # noqa: RUF009 (frozen)
    bookmarks: str | None = None
    bookmark_every_s: float = EVERY_S
    cutouts: CutoutOptions | None = None

    @staticmethod
    def of(request: ScanRequest) -> Task:
        """Return what a request asks of each recording.

        Raises:
            UsageError: an unknown command, or something that it does not do.
        """
        command = request.command
        if command not in get_args(Command):
            raise UsageError(f"command {command!r} is unknown; known: {', '.join(get_args(Command))}")
        if request.jobs < 1:
            raise UsageError(f"jobs = {request.jobs}; at least 1 does the work")
        if request.format == "parquet" and request.out is None:
            raise UsageError("parquet is written into a folder: give --out DIR too")
        if request.format == "parquet":
            library("pyarrow", "arrow")
        events = EventSelection(tuple(request.labels), request.merge_gap_s, request.min_duration_s, request.top_events)
        if events != EventSelection() and command != "detect":
            raise UsageError(f"{command} finds no events, of which labels, gaps, durations or a top are: use detect")
        if request.abstain is not None and command != "tag":
            raise UsageError(f"abstain is about what is named by clip scores, which {command} does not give: use tag")
        classes = (request.classes,) if isinstance(request.classes, str) else tuple(request.classes)
        if classes and command == "embed":
            raise UsageError("classes are about what is found, and embed gives one vector for all: use tag or detect")
        if request.cutouts is not None and command != "detect":
            raise UsageError(f"cut-outs are of events, which {command} does not find: use detect")
        channel = read_channel(request.channel)
        if channel == "each" and request.cutouts is not None:
            raise UsageError("cut-outs have all channels of a recording: take --clips with one channel or the mix")
        by_clock = (request.time_zone, request.clock_zone, request.from_time, request.to_time)
        return Task(
            command,
            DEFAULT_MODEL if request.model is None else request.model,
            request.precision,
            request.device,
            request.top,
            classes,
            Thresholds.from_argument(request.threshold),
            request.prior_spoof,
            request.abstain,
            time_zone=request.time_zone,
            clock_zone=request.clock_zone,
            clock=any(value is not None for value in by_clock),
            channel=None if channel == "each" else channel,
            channels=channel is not None,
            events=events,
            cutouts=request.cutouts,
        )

    def open(self) -> Work:
        """Load the model and return the work."""
        return self.work_of(self.load().reporting(tell_pulse))

    def load(self) -> Detector:
        """Load the model, with the clocks and the channel of the task."""
        lean = self.command != "detect"
        detector = load(self.model, precision=self.precision, device=self.device, lean=lean)
        return detector.in_time_zone(self.time_zone, self.clock_zone).of_channel(self.channel)

    def work_of(self, detector: Detector) -> Work:
        """Return the work, done by a model that is loaded already."""

        def work(entry: Entry) -> Record:
            start = time.perf_counter()
            result = self._result(detector, entry)
            return {**encode_result(result), "work_s": round(time.perf_counter() - start, 6)}

        return work

    def _result(self, detector: Detector, entry: Entry) -> Result:
        """Return the result of one recording, failed or not."""
        if entry.error is not None:
            return decode_result(self.command, failed_record(entry, entry.error))
        found = self.results(detector, [source_of(entry)], bookmark_of=lambda _: self._bookmark(entry))
        return completed(next(found), entry)

    def results(
        self,
        detector: Detector,
        sources: Iterable[Source],
        *,
        jobs: int = 1,
        bookmark_of: Callable[[Any], Bookmark | None] = lambda source: None,
    ) -> Iterator[Result]:
        """Yield the result of each source in their order, failed or not; ``jobs`` at a time, in threads."""
        if self.command == "tag":
            return map(
                self.kept, detector.tag_many(sources, prior_spoof=self.prior_spoof, abstain=self.abstain, jobs=jobs)
            )
        if self.command == "embed":
            return detector.embed_many(sources, jobs=jobs)
        threshold = self.thresholds.as_argument(detector.labels)
        if self.cutouts is None:
            found = detector.detect_many(sources, threshold=threshold, jobs=jobs, bookmark_of=bookmark_of)
            return map(self.with_events, found)
        waiting: deque[Source] = deque()
        noted = (waiting.append(source) or source for source in sources)  # type: ignore[func-returns-value]
        found = detector.detect_many(noted, threshold=threshold, jobs=jobs, bookmark_of=bookmark_of)
        return (cut_out(waiting.popleft(), self.with_events(result), self.cutouts) for result in found)

    def with_events(self, result: DetectResult) -> DetectResult:
        """Return a result with the events that are kept."""
        events = result.events
        if self.classes:
            events = tuple(event for event in events if event.label in self.classes)
        return replace(result, events=self.events(events))

    def kept(self, result: TagResult) -> TagResult:
        """Return a result with the scores that are wanted: the highest ``top`` of those that reach their threshold."""
        if self.classes:
            result = replace(result, scores=tuple(score for score in result.scores if score.label in self.classes))
        return strongest(result, self.top, self.thresholds)

    def of_model(self, detector: Detector) -> Task:
        """Return the task with labels of a model in place of what was asked for.

        Raises:
            UsageError: the model has no such label or group.
        """
        classes = classes_of(self.classes, detector.spec) if self.classes else ()
        return replace(self, events=self.events.of_model(detector.labels), classes=classes)

    def _bookmark(self, entry: Entry) -> Bookmark | None:
        if self.bookmarks is None or entry.part is not None or is_address(entry.path):
            return None
        channel = entry.channel if self.channel is None else self.channel
        return bookmark_in(Path(self.bookmarks), entry.path, self.bookmark_every_s, channel)


def source_of(entry: Entry) -> Source:
    """Return what the detector is given: a path, or a part of it."""
    if entry.part is None and entry.channel is None:
        return entry.path
    start, stop = (0.0, None) if entry.part is None else entry.part
    return Excerpt(entry.path, start, None if stop is None else stop - start, entry.channel)


def cut_out(source: Source, result: DetectResult, options: CutoutOptions) -> DetectResult:
    """Write the events of a recording as files; returns the result, failed if that failed."""
    if result.error is not None:
        return result
    try:
        recording = source.path if isinstance(source, Excerpt) else source
        write_cutouts(recording, result.path, result.events, options)
    except InputError as error:
        return replace(result, events=(), error=Failure(error.code, f"its events were not cut out: {error.message}"))
    return result


def completed(result: Result, entry: Entry) -> Result:
    """Return a result with what only the listing knows: its flags, and that a file which is gone was there."""
    error = result.error
    if error is not None and error.code == "not_found" and not entry.named:
        error = Failure("vanished", "the file disappeared between listing and reading")
    return replace(result, flags=(*result.flags, *entry.flags), error=error)


def failed_record(entry: Entry, failure: Failure) -> Record:
    """Return the record of a recording that gave no result."""
    path = entry.path.encode("utf-8", "backslashreplace").decode("utf-8")
    flags = [_flag(flag) for flag in entry.flags]
    channel = {} if entry.channel is None else {"channel": entry.channel}
    return {"path": path, "duration": None, "flags": flags, "error": failure.to_dict(), **channel}


def encode_result(result: Result) -> Record:
    """Return the record of a result."""
    record: Record = {
        "path": result.path,
        "duration": result.duration,
        "flags": [_flag(flag) for flag in result.flags],
        "error": None if result.error is None else result.error.to_dict(),
    }
    if result.part is not None:
        record["part"] = list(result.part)
    if result.channel is not None:
        record["channel"] = result.channel
    if result.origin is not None:
        record["origin"] = _encode_origin(result.origin)
    if isinstance(result, TagResult):
        record["scores"] = [
            [s.label, s.score] if s.share is None else [s.label, s.score, s.share] for s in result.scores
        ]
        if result.llr is not None:
            record |= {"llr": result.llr, "prior_spoof": result.prior_spoof}
    elif isinstance(result, DetectResult):
        record["events"] = [[e.label, e.onset, e.offset, e.score] for e in result.events]
    elif result.embedding is not None:
        record["embedding"] = [float(f"{value:.{_FLOAT32_DIGITS}g}") for value in result.embedding.tolist()]
    return record


def decode_result(command: Command, record: Record) -> Result:
    """Return the result that a record stands for."""
    flags = tuple(Flag(f["code"], {k: v for k, v in f.items() if k != "code"}) for f in record["flags"])
    error = None if record["error"] is None else Failure(**record["error"])
    origin = None if record.get("origin") is None else _decode_origin(record["origin"])
    part = None if record.get("part") is None else (record["part"][0], record["part"][1])
    head: dict[str, Any] = {
        "path": record["path"], "duration": record["duration"], "flags": flags, "origin": origin, "part": part,
        "channel": record.get("channel"), "error": error,
    }  # fmt: skip
    if command == "tag":
        scores = tuple(LabelScore(*values) for values in record.get("scores", ()))
        return TagResult(**head, scores=scores, llr=record.get("llr"), prior_spoof=record.get("prior_spoof"))
    if command == "detect":
        return DetectResult(**head, events=tuple(Event(*values) for values in record.get("events", ())))
    values = record.get("embedding")
    return EmbedResult(**head, embedding=None if values is None else np.array(values, np.float32))


def _encode_origin(origin: Origin) -> Record:
    """Return an origin as JSON; the name of its time zone goes with the moment, since clocks may change later."""
    start, zone = origin.start, None
    if start is not None and start.tzinfo is not None:
        zone = getattr(start.tzinfo, "key", None)
    moment = None if start is None else start.isoformat()
    return {"start": moment, "zone": zone, "source": origin.source, "recorder": dict(origin.recorder),
            "position": dict(origin.position)}  # fmt: skip


def _decode_origin(record: Record) -> Origin:
    """Return the origin of a record."""
    start = None if record["start"] is None else datetime.fromisoformat(record["start"])
    if start is not None and record["zone"] is not None:
        start = start.astimezone(ZoneInfo(record["zone"]))
    return Origin(start, record["source"], record["recorder"], record["position"])


def _flag(flag: Flag) -> dict[str, Any]:
    return {"code": flag.code, **flag.details}
