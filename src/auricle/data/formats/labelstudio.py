# SPDX-License-Identifier: Apache-2.0
"""The format ``labelstudio``: what Label Studio exports as JSON or as JSON-MIN, beside the recordings.

    [{"id": 1, "data": {"audio": "/data/upload/2/0a1b2c3d-night.wav"}, "annotations": [{"result": [
        {"from_name": "label", "type": "labels", "value": {"start": 0.4, "end": 1.1, "labels": ["owl"]}}]}]}]

Regions are events, choices for a whole recording are its classes. Recordings are found by their names, with or without
the eight digits that an upload puts before them. Tasks that nobody annotated, or skipped, are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from auricle.data.formats.draft import Draft, data_folder
from auricle.data.formats.finder import FileIndex
from auricle.data.formats.json_labels import choose_key, head_of, json_files, load_json, seconds
from auricle.data.formats.places import part_of_table
from auricle.data.formats.registry import FORMATS, Format
from auricle.data.formats.strong_labels import StrongRecord, add_records
from auricle.data.labels import separate_negatives
from auricle.data.manifest import Manifest
from auricle.data.paths import Found, regular_size
from auricle.data.read_options import ReadOptions
from auricle.errors import DataError
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import Event

#: Types of results that name classes, each the key of its names, too.
_TYPES = ("labels", "choices", "taxonomy")
#: Keys of JSON-MIN that are no labels and no data.
_OWN = frozenset(
    (
        *("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "completed_by", "agreement"),
        *("predictions", "annotations", "total_annotations", "inner_id", "project", "data", "meta", "file_upload"),
    )
)
_UPLOAD = re.compile(r"[0-9a-f]{8}-")


def _is_export(path: Path) -> bool:
    head = head_of(path)
    if not head.startswith("[{"):
        return False
    return ('"annotations":[' in head and '"data":{' in head) or '"annotation_id":' in head


def looks_like_labelstudio(path: Path, options: ReadOptions) -> bool:
    """Recognise an export of Label Studio, or a folder that holds one."""
    return any(map(_is_export, json_files(path)))


@dataclass
class _Label:
    """One result: its classes, and from when to when if it is a region."""

    name: str
    classes: list[str]
    start: Any = None
    end: Any = None

    @property
    def is_region(self) -> bool:
        return self.start is not None or self.end is not None


@dataclass
class _Task:
    """What an export says of one recording; without labels nobody annotated it."""

    place: str
    listed: list[str]
    part: str | None
    labels: list[_Label] | None = None


@dataclass
class _Reading:
    """What has been read, and counts of what was left out."""

    draft: Draft
    tasks: list[_Task] = field(default_factory=list)
    unread: dict[str, int] = field(default_factory=dict)
    several: int = 0
    nameless: int = 0

    def read(self, path: Path) -> None:
        """Read one export."""
        tasks, part = load_json(path), part_of_table(path, data_folder(self.draft.root))
        if not isinstance(tasks, list):
            raise DataError(f"{path.name} cannot be read", [f"{path.name}: expected a list of tasks"])
        for number, task in enumerate(tasks, 1):
            place = f"{path.name}, task {task.get('id', number) if isinstance(task, dict) else number}"
            try:
                self.tasks.append(self._whole(place, task, part) if "data" in task else self._short(place, task, part))
            except (AttributeError, KeyError, TypeError, ValueError):
                self.draft.problems.add("json", f"{place} is not as Label Studio writes it; export it again")

    def _whole(self, place: str, task: Mapping[str, Any], part: str | None) -> _Task:
        """Read a task of the format JSON."""
        listed = _recordings([*task["data"].values(), task.get("file_upload")])
        if not listed:
            self.draft.problems.add("path", f"{place}: none of its data is the path of a recording")
        done = [item for item in task.get("annotations") or () if not item.get("was_cancelled")]
        if not done:
            return _Task(place, listed, part)
        self.several += len(done) > 1
        newest = max(done, key=lambda item: (bool(item.get("ground_truth")), str(item.get("updated_at", ""))))
        return _Task(place, listed, part, list(self._labels(newest["result"])))

    def _labels(self, results: Sequence[Mapping[str, Any]]) -> Iterator[_Label]:
        for item in results:
            kind, value = item["type"], item["value"]
            if kind not in _TYPES:
                self.unread[kind] = self.unread.get(kind, 0) + 1
                continue
            yield _Label(str(item["from_name"]), _names(value.get(kind)), value.get("start"), value.get("end"))

    def _short(self, place: str, task: Mapping[str, Any], part: str | None) -> _Task:
        """Read a task of the format JSON-MIN, in which data and labels stand side by side."""
        audio = [name for name, value in task.items() if name not in _OWN and _recordings([value])]
        if not audio:
            self.draft.problems.add("path", f"{place}: none of its data is the path of a recording")
        labels: list[_Label] = []
        for name, value in task.items():
            if name in _OWN or name in audio:
                continue
            if isinstance(value, list) and value and all(isinstance(item, dict) and "start" in item for item in value):
                for item in value:
                    kinds = [kind for kind in _TYPES if kind in item]
                    labels += [_Label(name, _names(item[kind]), item["start"], item["end"]) for kind in kinds]
                    if not kinds:
                        self.unread[name] = self.unread.get(name, 0) + 1
            elif isinstance(value, dict) and "choices" in value:
                labels.append(_Label(name, _names(value["choices"])))
            elif isinstance(value, str) and name in ("choice", "choices", self.draft.options.label_column):
                labels.append(_Label(name, [value]))
        return _Task(place, _recordings([task[name] for name in audio]), part, labels)


def _recordings(values: Sequence[Any]) -> list[str]:
    """Return those of some values that are paths or addresses of recordings, as paths."""
    texts = [value for value in values if isinstance(value, str)]
    return [path for path in map(_path_of, texts) if os.path.splitext(path)[1].lower() in AUDIO_EXTENSIONS]  # noqa: PTH122


def _path_of(text: str) -> str:
    """Return the path in an address: ``/data/local-files/?d=sounds/a.wav`` names a file of the server."""
    if "?d=" in text:
        return parse_qs(urlsplit(text).query).get("d", [""])[0]
    return unquote(urlsplit(text).path if "://" in text else text)


def _names(value: Any) -> list[str]:
    """Return the classes that a value names; of the way from the root that a taxonomy gives, the end."""
    listed = [value] if isinstance(value, str) else list(value or ())
    return [str(item[-1]) if isinstance(item, list) else str(item) for item in listed]


def _found(draft: Draft, index: FileIndex, task: _Task) -> Found | None:
    """Return where the recording of a task lies, by the longest end of its path that one file here has."""
    for listed in task.listed:
        folder, _, name = listed.rpartition("/")
        for path in (listed, f"{folder}/{_UPLOAD.sub('', name, count=1)}"):
            paths = index.fitting(path)
            if len(paths) > 1:
                text = f"{task.place}: {listed!r} fits {len(paths)} files ({shorten(paths)}); keep one"
                draft.problems.add("path", text)
                return None
            if paths:
                absolute = os.path.join(index.root, paths[0])  # noqa: PTH118
                return Found(absolute, paths[0], regular_size(absolute))
    first = task.listed[0] if task.listed else ""
    return Found(first, first, None) if first else None


def _record(reading: _Reading, task: _Task, found: Found, name: str, events: bool) -> StrongRecord | None:
    """Return what a task says of its recording; None if it says nothing."""
    record = StrongRecord(task.place, found, split=task.part)
    labels = [label for label in task.labels or () if label.name == name]
    reading.nameless += sum(not label.classes for label in labels)
    for label in (label for label in labels if label.is_region):
        times = [seconds(task.place, key, getattr(label, key), reading.draft.problems) for key in ("start", "end")]
        onset, offset = times
        record.strong = True
        if onset is None or offset is None:
            continue
        if offset <= onset:
            reading.draft.problems.add("time", f"{task.place}: end {offset:g} is not after start {onset:g}")
            continue
        for class_name in label.classes:
            record.add_event(Event(class_name, onset, offset, 1.0), task.place)
    chosen = sorted({class_name for label in labels if not label.is_region for class_name in label.classes})
    if chosen:
        try:
            record.weak = separate_negatives(chosen)
        except ValueError as error:
            reading.draft.problems.add("label", f"{task.place}: {error}")
    if not record.strong and not chosen:
        if not events:
            return None
        record.strong = True  # annotated, and nothing was marked
    return record


def read_labelstudio(path: Path, options: ReadOptions) -> Manifest:
    """Read exports of Label Studio; raises ``DataError`` with all problems."""
    path = Path(os.path.abspath(path))  # noqa: PTH100 (Path.absolute keeps "..")
    exports = [file for file in json_files(path) if _is_export(file) or file == path]
    if not exports:
        raise DataError(f"{path} holds no export of Label Studio", ["expected a .json that it exported as JSON"])
    draft = Draft(path, "labelstudio", options)
    reading = _Reading(draft)
    for file in exports:
        reading.read(file)
    names = sorted({label.name for task in reading.tasks for label in task.labels or () if label.classes})
    name = choose_key(names, options.label_column, "control of Label Studio", draft.problems)
    draft.problems.stop_if_any(f"{path} cannot be used as a 'labelstudio' data set")
    labels = [label for task in reading.tasks for label in task.labels or () if label.name == name]
    events, index, left_out = any(label.is_region for label in labels), FileIndex(str(data_folder(path))), 0
    records: dict[str, StrongRecord] = {}
    for task in reading.tasks:
        found = None if task.labels is None else _found(draft, index, task)
        record = None if found is None else _record(reading, task, found, str(name), events)
        left_out += record is None
        if record is not None and records.setdefault(record.found.path, record) is not record:
            text = f"{records[record.found.path].place} and {task.place} are of one recording; keep one task"
            draft.problems.add("repeat", text)
    _note(draft, reading, left_out)
    add_records(draft, records.values())
    draft.flag_unlisted(AUDIO_EXTENSIONS)
    return draft.finish(task="multi" if events else None)


def _note(draft: Draft, reading: _Reading, left_out: int) -> None:
    """Say what was left out."""
    if left_out:
        draft.notes.append(f"{left_out} of {len(reading.tasks)} tasks are not annotated and are left out")
    if reading.several:
        text = "recordings were annotated several times: the ground truth counts, else the newest"
        draft.notes.append(f"{reading.several} {text}")
    if reading.nameless:
        draft.notes.append(f"{reading.nameless} regions have no label and are left out")
    if reading.unread:
        kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(reading.unread.items()))
        draft.notes.append(f"results that name no classes are not read: {kinds}")


FORMATS.add("labelstudio", Format(looks_like_labelstudio, read_labelstudio, order=15, names_labels=True))
