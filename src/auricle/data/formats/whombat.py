# SPDX-License-Identifier: Apache-2.0
"""The format ``whombat``: annotation projects and sets as Whombat and soundevent export them (AOEF), beside the audio.

    {"data": {"collection_type": "annotation_project", "tags": [{"id": 0, "key": "species", "value": "Myotis"}],
              "recordings": [{"uuid": R, "path": "night.wav", ...}],
              "clips": [{"uuid": C, "recording": R, "start_time": 0, "end_time": 3}],
              "sound_events": [{"uuid": S, "recording": R, "geometry": {"type": "BoundingBox", ...}}],
              "sound_event_annotations": [{"uuid": A, "sound_event": S, "tags": [0]}],
              "clip_annotations": [{"uuid": ..., "clip": C, "sound_events": [A], "tags": []}], ...}}

Each annotated clip is one of ours, a part of its recording, with the sound events in it; one whose task is not
complete, or was rejected, is left out. Times of recordings that were slowed down (``time_expansion``) are turned into
those of the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from auricle.data.formats.draft import Draft, data_folder
from auricle.data.formats.finder import FileIndex
from auricle.data.formats.json_labels import choose_key, head_of, json_files, load_json, seconds
from auricle.data.formats.places import part_of_table
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.formats.strong_labels import EVENT_TOLERANCE_S, StrongRecord, add_records
from auricle.data.labels import separate_negatives
from auricle.data.manifest import Manifest
from auricle.data.paths import Found, regular_size
from auricle.data.read_options import ReadOptions
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import Event

_SETS = ("annotation_project", "annotation_set", "evaluation_set")
_DONE, _REJECTED = frozenset({"completed", "verified"}), "rejected"
#: Sums of times are as exact as the documents they come from.
_DECIMALS = 9


def _kind(path: Path) -> str | None:
    """Return what collection a document is; None for what soundevent did not write."""
    _, found, rest = head_of(path).partition('"collection_type":"')
    return rest.partition('"')[0] if found else None


def looks_like_whombat(path: Path, options: ReadOptions) -> bool:
    """Recognise an export of Whombat, or a folder that holds one."""
    return any(_kind(file) in _SETS for file in json_files(path))


@dataclass
class _Clip:
    """An annotated part of a recording: tags of the whole, and sound events with theirs, by key."""

    place: str
    recording: Mapping[str, Any]
    start: Any
    end: Any
    part: str | None
    tags: list[tuple[str, str]]
    events: list[tuple[Mapping[str, Any], list[tuple[str, str]]]]


@dataclass
class _Reading:
    """What the documents have said so far."""

    draft: Draft
    clips: list[_Clip] = field(default_factory=list)
    unfinished: int = 0
    nameless: int = 0
    points: int = 0

    def read(self, path: Path) -> None:
        """Read one document."""
        try:
            self._read(path.name, load_json(path)["data"], part_of_table(path, data_folder(self.draft.root)))
        except (AttributeError, KeyError, TypeError) as error:
            text = f"{path.name} is not as Whombat writes it ({type(error).__name__}: {error}); export it again"
            raise DataError(f"{path.name} cannot be read", [text]) from error

    def _read(self, name: str, data: Mapping[str, Any], part: str | None) -> None:
        def by(kind: str, key: str = "uuid") -> dict[Any, Any]:
            return {item[key]: item for item in data.get(kind) or ()}

        tags = {item["id"]: (str(item["key"]), str(item["value"])) for item in data.get("tags") or ()}
        recordings, clips, events, annotations = map(
            by, ("recordings", "clips", "sound_events", "sound_event_annotations")
        )
        open_clips = set(_unfinished(data.get("annotation_tasks") or ()))
        for item in data.get("clip_annotations") or ():
            clip = clips[item["clip"]]
            if item["clip"] in open_clips:
                self.unfinished += 1
                continue
            marked = [annotations[one] for one in item.get("sound_events") or ()]
            inside = [(events[m["sound_event"]]["geometry"], [tags[t] for t in m.get("tags") or ()]) for m in marked]
            recording = recordings[clip["recording"]]
            place = f"{name}, {recording['path']} from {clip['start_time']} s"
            whole = [tags[t] for t in item.get("tags") or ()]
            self.clips.append(_Clip(place, recording, clip["start_time"], clip["end_time"], part, whole, inside))

    def record(self, clip: _Clip, found: Found, key: str, strong: bool) -> StrongRecord | None:
        """Return what is known of a clip; None if its labels say nothing under this key."""
        problems, expansion = self.draft.problems, clip.recording.get("time_expansion")
        pace = float(expansion) if expansion else 1.0  # none, and 0, which is no pace
        begin, end = (seconds(clip.place, n, getattr(clip, n), problems) for n in ("start", "end"))
        if begin is None or end is None or end <= begin:
            problems.add("time", f"{clip.place}: the clip ends at {clip.end!r}, not after its start")
            return None
        whole = begin == 0 and end >= float(clip.recording["duration"]) - EVENT_TOLERANCE_S
        record = StrongRecord(
            clip.place, found, strong=strong, duration=round((end - begin) * pace, _DECIMALS), split=clip.part,
            onset=None if whole else round(begin * pace, _DECIMALS),
            offset=None if whole else round(end * pace, _DECIMALS),
        )  # fmt: skip
        for geometry, tags in clip.events:
            times = _times(geometry)
            classes = [value for name, value in tags if name == key]
            self.nameless += not classes
            if max(times) <= min(times):
                self.points += 1
                continue
            onset, offset = max(min(times), begin) - begin, min(max(times), end) - begin
            for name in classes if offset > onset else ():
                event = Event(name, round(onset * pace, _DECIMALS), round(offset * pace, _DECIMALS), 1.0)
                record.add_event(event, clip.place)
        named = sorted({value for name, value in clip.tags if name == key})
        if named and not strong:
            record.weak = separate_negatives(named)
        return record if strong or named else None


def _unfinished(tasks: Any) -> Iterator[Any]:
    """Yield the clips whose annotation is not complete, or was rejected."""
    for task in tasks:
        states = {badge["state"] for badge in task.get("status_badges") or ()}
        if not states & _DONE or _REJECTED in states:
            yield task["clip"]


def _times(geometry: Mapping[str, Any]) -> list[float]:
    """Return the times of a geometry.

    >>> _times({"type": "BoundingBox", "coordinates": [0.5, 2000, 1.5, 3000]})
    [0.5, 1.5]
    >>> _times({"type": "LineString", "coordinates": [[0.5, 2000], [1.5, 3000]]})
    [0.5, 1.5]
    """
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "TimeStamp":
        return [float(coordinates)]
    if kind == "TimeInterval":
        return [float(coordinates[0]), float(coordinates[1])]
    if kind == "BoundingBox":
        return [float(coordinates[0]), float(coordinates[2])]
    return list(_times_of_points(coordinates))


def _times_of_points(coordinates: Any) -> Iterator[float]:
    """Yield the times of points (time, frequency) in lists of any depth."""
    if isinstance(coordinates[0], int | float):
        yield float(coordinates[0])
    else:
        for item in coordinates:
            yield from _times_of_points(item)


def _found(draft: Draft, index: FileIndex, clip: _Clip) -> Found | None:
    """Return where the recording of a clip lies, by the longest end of its path that one file here has."""
    listed = str(clip.recording["path"])
    paths = index.fitting(listed)
    if len(paths) > 1:
        draft.problems.add("path", f"{clip.place}: {listed!r} fits {len(paths)} files ({shorten(paths)}); keep one")
        return None
    absolute = os.path.join(index.root, paths[0]) if paths else listed  # noqa: PTH118
    return Found(absolute, paths[0] if paths else listed, regular_size(absolute) if paths else None)


def read_whombat(path: Path, options: ReadOptions) -> Manifest:
    """Read exports of Whombat; raises ``DataError`` with all problems."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    kinds = {file: _kind(file) for file in json_files(path)}
    if not any(kind in _SETS for kind in kinds.values()):
        others = [f"{file.name} is a {kind}, which holds no annotations" for file, kind in kinds.items() if kind]
        expected = "expected a .json that Whombat exported of an annotation project"
        raise DataError(f"{path} holds no annotations of Whombat", [*others, expected])
    draft = Draft(path, "whombat", options)
    reading = _Reading(draft)
    for file in (file for file, kind in kinds.items() if kind in _SETS):
        reading.read(file)
    strong = any(clip.events for clip in reading.clips)
    said = [tags for clip in reading.clips for tags in ([t for _, t in clip.events] if strong else [clip.tags])]
    used = {name for tags in said for name, _ in tags}
    key = choose_key(sorted(used), options.label_column, "key of tags", draft.problems)
    draft.problems.stop_if_any(f"{path} cannot be used as a 'whombat' data set")
    index = FileIndex(str(data_folder(path)))
    records = []
    for clip in reading.clips:
        found = _found(draft, index, clip)
        try:
            record = None if found is None else reading.record(clip, found, str(key), strong)
        except (IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
            draft.problems.add("json", f"{clip.place} is not as Whombat writes it ({error}); export it again")
            continue
        records += [] if record is None else [record]
    _note(draft, reading, len(records))
    add_records(draft, records)
    draft.flag_unlisted(AUDIO_EXTENSIONS)
    return draft.finish(task="multi" if strong else None)


def _note(draft: Draft, reading: _Reading, used: int) -> None:
    """Say what was left out."""
    if reading.unfinished:
        draft.notes.append(f"{reading.unfinished} clips are left out: their annotation is not complete, or rejected")
    if len(reading.clips) > used and not draft.problems:
        draft.notes.append(f"{len(reading.clips) - used} annotated clips have no tag of this key and are left out")
    if reading.nameless:
        draft.notes.append(f"{reading.nameless} sound events have no tag of this key and are left out")
    if reading.points:
        draft.notes.append(f"{reading.points} sound events without a length are left out")


FORMATS.add("whombat", Format(looks_like_whombat, read_whombat, order=15, names_labels=True))
