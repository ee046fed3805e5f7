# SPDX-License-Identifier: Apache-2.0
"""Exports of Label Studio and Whombat: hand-worked answers, and every refusal by its text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auricle.data.formats.registry import read_manifest, recognise_format
from auricle.errors import DataError


def save(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def refusal(path: Path, **options) -> str:
    with pytest.raises(DataError) as caught:
        read_manifest(path, **options)
    return "\n".join(caught.value.problems)


def events_of(manifest) -> dict[str, list[tuple[str, float, float]] | None]:
    return {
        c.key: None if c.events is None else [(e.label, e.onset, e.offset) for e in c.events] for c in manifest.clips
    }


# --- Label Studio


def region(start: float, end: float, *labels: str, kind: str = "labels", name: str = "label") -> dict[str, Any]:
    value = {"start": start, "end": end, "channel": 0, kind: list(labels)}
    return {"original_length": 1.0, "value": value, "id": "x", "from_name": name, "to_name": "audio", "type": kind}


def choice(*labels: str, name: str = "class") -> dict[str, Any]:
    return {"value": {"choices": list(labels)}, "from_name": name, "to_name": "audio", "type": "choices"}


def task(number: int, audio: str, *annotations: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    done = [{"id": i, "result": result, "was_cancelled": False} for i, result in enumerate(annotations)]
    return {"id": number, "annotations": done, "predictions": [], "data": {"site": "yard", "audio": audio}, **more}


@pytest.fixture
def audio(tmp_path, wav):
    for name in ("a.wav", "b.wav", "c.wav", "d.wav"):
        wav(tmp_path / "sounds" / name, 1.0)
    return tmp_path


def test_regions_are_events_whatever_label_studio_calls_their_recording(audio):
    path = save(
        audio / "project-3-at-2026-05-01.json",
        [
            task(1, "/data/upload/3/0a1b2c3d-a.wav", [region(0.1, 0.2, "owl"), region(0.5, 0.7, "frog", "owl")]),
            task(2, "/data/local-files/?d=x/sounds/b.wav", []),
            task(3, "http://host:8080/data/sounds/c.wav?token=1", [region(0.3, 0.4, "frog", kind="choices")]),
            task(4, "s3://bucket/sounds/d.wav"),
        ],
    )
    for place in (path, audio):
        assert recognise_format(place) == "labelstudio"
    manifest = read_manifest(audio)
    assert events_of(manifest) == {
        "sounds/a.wav": [("owl", 0.1, 0.2), ("frog", 0.5, 0.7), ("owl", 0.5, 0.7)],
        "sounds/b.wav": [],
        "sounds/c.wav": [("frog", 0.3, 0.4)],
    }
    assert (manifest.task, manifest.labels) == ("multi", ("frog", "owl"))
    assert "1 of 4 tasks are not annotated and are left out" in manifest.notes
    assert manifest.flags[0].to_dict() == {"code": "unlisted_file", "count": 1, "first": "d.wav"}


def test_choices_for_whole_recordings_are_classes(audio):
    labels = {"a.wav": "x", "b.wav": "y", "c.wav": "other"}
    listed = [task(i, name, [choice(label)]) for i, (name, label) in enumerate(labels.items())]
    manifest = read_manifest(save(audio / "p.json", [*listed, task(9, "d.wav", [])]))
    assert [(c.label, c.negative, c.events) for c in manifest.clips] == [
        (("x",), False, None),
        (("y",), False, None),
        ((), True, None),
    ]
    assert manifest.task == "single"


def test_a_taxonomy_names_the_end_of_its_way(audio):
    result = {"value": {"taxonomy": [["animal", "owl"]]}, "from_name": "t", "to_name": "audio", "type": "taxonomy"}
    manifest = read_manifest(
        save(audio / "p.json", [task(1, "a.wav", [result]), task(2, "b.wav", [choice("x", name="t")])])
    )
    assert [c.label for c in manifest.clips] == [("owl",), ("x",)]


def test_of_several_annotations_the_ground_truth_counts_else_the_newest(audio):
    first, second = task(1, "a.wav", [region(0, 0.1, "x")], [region(0, 0.2, "x")]), task(2, "b.wav", [], [], [])
    first["annotations"][0]["updated_at"], first["annotations"][1]["updated_at"] = "2026-02-01", "2026-01-01"
    for item, start in zip(second["annotations"], (0.1, 0.2, 0.3), strict=True):
        item["result"] = [region(start, 0.9, "x")]
    second["annotations"][1]["ground_truth"] = True
    skipped = task(3, "c.wav", [region(0, 1, "y")])
    skipped["annotations"][0]["was_cancelled"] = True
    manifest = read_manifest(save(audio / "p.json", [first, second, skipped]))
    assert events_of(manifest) == {"sounds/a.wav": [("x", 0, 0.1)], "sounds/b.wav": [("x", 0.2, 0.9)]}
    assert "2 recordings were annotated several times: the ground truth counts, else the newest" in manifest.notes
    assert "1 of 3 tasks are not annotated and are left out" in manifest.notes


def test_json_min(audio):
    own = {"annotator": 1, "annotation_id": 4, "created_at": "2026", "updated_at": "2026", "lead_time": 3.5}
    regions = [{"start": 0.1, "end": 0.2, "channel": 0, "labels": ["owl"]}]
    rows = [
        {"audio": "/data/upload/3/0a1b2c3d-a.wav", "id": 1, "label": regions, **own},
        {"audio": "b.wav", "id": 2, **own},
    ]
    assert events_of(read_manifest(save(audio / "m.json", rows))) == {
        "sounds/a.wav": [("owl", 0.1, 0.2)],
        "sounds/b.wav": [],
    }
    rows = [
        {"audio": "a.wav", "id": 1, "choice": "x", **own},
        {"audio": "b.wav", "id": 2, "choice": {"choices": ["y"]}, **own},
    ]
    assert [c.label for c in read_manifest(save(audio / "m.json", rows)).clips] == [("x",), ("y",)]


def test_several_controls_are_a_question(audio):
    path = save(audio / "p.json", [task(1, "a.wav", [region(0, 0.1, "owl"), region(0, 0.1, "hoot", name="call")])])
    assert "labels stand under 2 names ('call', 'label'); take one of them: --label-column 'call'" in refusal(path)
    assert events_of(read_manifest(path, label_column="call")) == {"sounds/a.wav": [("hoot", 0, 0.1)]}
    assert "no control of Label Studio 'x'; found: 'call', 'label'" in refusal(path, label_column="x")


def test_what_names_no_class_is_counted(audio):
    text = {"value": {"start": 0, "end": 1, "text": ["hm"]}, "from_name": "t", "to_name": "audio", "type": "textarea"}
    manifest = read_manifest(save(audio / "p.json", [task(1, "a.wav", [region(0, 0.1, "x"), region(0, 0.1), text])]))
    assert "results that name no classes are not read: 1 of textarea" in manifest.notes
    assert "1 regions have no label and are left out" in manifest.notes


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        ([task(1, "picture.png", [region(0, 1, "x")])], "p.json, task 1: none of its data is the path of a recording"),
        ([task(1, "a.wav", [region(0.2, 0.1, "x")])], "p.json, task 1: end 0.1 is not after start 0.2"),
        ([task(1, "a.wav", [region(-1, 0.1, "x")])], "p.json, task 1: start -1 is no number of seconds from 0 on"),
        ([task(1, "gone.wav", [region(0, 0.1, "x")])], "1 of 1 listed files are absent"),
        (
            [task(1, "a.wav", [region(0, 1, "x")]), task(2, "a.wav", [])],
            "task 1 and p.json, task 2 are of one recording",
        ),
        ([task(1, "a.wav", [{"type": "labels"}])], "p.json, task 1 is not as Label Studio writes it; export it again"),
    ],
)
def test_problems_of_label_studio(audio, tasks, text):
    assert text in refusal(save(audio / "p.json", tasks))


def test_the_table_of_label_studio_is_refused_by_name(audio):
    cell = '"[{""start"": 0.1, ""end"": 0.2, ""labels"": [""owl""]}]"'
    (audio / "p.csv").write_text(f"audio,id,label,annotator\na.wav,1,{cell},1\n")
    assert "line 2: the label is JSON, as in tables of Label Studio; export as JSON" in refusal(audio / "p.csv")


def test_other_json_is_named(audio):
    assert "of JSON, exports of Label Studio and Whombat are read" in refusal(save(audio / "x.json", {"a": 1}))
    (audio / "y.json").write_text('[{"annotations": [], "data": {')
    assert "y.json is no JSON document" in refusal(audio / "y.json")


# --- Whombat


def aoef(clips, events=(), tags=(), recordings=None, **more: Any) -> dict[str, Any]:
    """Return a project: clips ``(recording, start, end, tags)``, events ``(clip, geometry, tags)``."""
    names = recordings or {"a.wav": {}, "b.wav": {}}
    marked: dict[int, list[str]] = {}
    for number, (clip, _, _) in enumerate(events):
        marked.setdefault(clip, []).append(f"A{number}")
    data = {
        "uuid": "p", "collection_type": "annotation_project", "name": "yard",
        "tags": [{"id": i, "key": key, "value": value} for i, (key, value) in enumerate(tags)],
        "recordings": [
            {"uuid": n, "path": n, "duration": 1.0, "channels": 1, "samplerate": 8000, **x} for n, x in names.items()
        ],
        "clips": [
            {"uuid": f"C{i}", "recording": c[0], "start_time": c[1], "end_time": c[2]} for i, c in enumerate(clips)
        ],
        "sound_events": [{"uuid": f"S{i}", "recording": "?", "geometry": e[1]} for i, e in enumerate(events)],
        "sound_event_annotations": [
            {"uuid": f"A{i}", "sound_event": f"S{i}", "tags": e[2]} for i, e in enumerate(events)
        ],
        "clip_annotations": [
            {"uuid": f"K{i}", "clip": f"C{i}", "tags": c[3], "sound_events": marked.get(i)} for i, c in enumerate(clips)
        ],
        **more,
    }  # fmt: skip
    return {"version": "1.1.0", "created_on": "2026-05-01T00:00:00", "data": data}


def box(begin: float, end: float) -> dict[str, Any]:
    return {"type": "BoundingBox", "coordinates": [begin, 1000.0, end, 2000.0]}


TAGS = [("species", "owl"), ("species", "frog"), ("call", "hoot")]


def test_annotated_clips_are_parts_of_recordings_with_their_events(audio):
    document = aoef(
        [("a.wav", 0, 1, []), ("b.wav", 0.2, 0.6, []), ("b.wav", 0.6, 1, [])],
        [
            (0, box(0.1, 0.2), [0]),
            (0, {"type": "TimeInterval", "coordinates": [0.5, 0.75]}, [1]),
            (1, {"type": "Polygon", "coordinates": [[[0.1, 5], [0.5, 9], [0.3, 7]]]}, [1]),
            (1, {"type": "TimeStamp", "coordinates": 0.3}, [1]),
            (1, {"type": "Point", "coordinates": [0.3, 400]}, [1]),
        ],
        TAGS,
    )
    path = save(audio / "project.json", document)
    for place in (path, audio):
        assert recognise_format(place) == "whombat"
    manifest = read_manifest(path)
    assert [
        (c.key, c.onset, c.offset, [(e.label, e.onset, e.offset) for e in c.events or ()]) for c in manifest.clips
    ] == [
        ("sounds/a.wav", None, None, [("owl", 0.1, 0.2), ("frog", 0.5, 0.75)]),
        ("sounds/b.wav", 0.2, 0.6, [("frog", 0.0, 0.3)]),
        ("sounds/b.wav", 0.6, 1.0, []),
    ]
    assert "2 sound events without a length are left out" in manifest.notes
    assert manifest.labels == ("frog", "owl")


def test_clips_that_are_not_done_or_rejected_are_left_out(audio):
    tasks = [
        {"uuid": f"T{i}", "clip": f"C{i}", "status_badges": [{"state": state} for state in states]}
        for i, states in enumerate((["assigned"], ["assigned", "completed"], ["completed", "rejected"], ["verified"]))
    ]
    clips = [("a.wav", i / 4, (i + 1) / 4, []) for i in range(4)]
    document = aoef(clips, [(1, box(0.3, 0.4), [0])], TAGS, annotation_tasks=tasks)
    manifest = read_manifest(save(audio / "p.json", document))
    assert [c.onset for c in manifest.clips] == [0.25, 0.75]
    assert "2 clips are left out: their annotation is not complete, or rejected" in manifest.notes


def test_tags_of_clips_without_events_are_classes(audio):
    manifest = read_manifest(save(audio / "p.json", aoef([("a.wav", 0, 1, [0]), ("b.wav", 0, 1, [1])], tags=TAGS)))
    assert [(c.label, c.events) for c in manifest.clips] == [(("owl",), None), (("frog",), None)]
    assert manifest.task == "single"


def test_several_keys_are_a_question(audio):
    document = aoef([("a.wav", 0, 1, [])], [(0, box(0.1, 0.2), [0, 2]), (0, box(0.3, 0.4), [2])], TAGS)
    path = save(audio / "p.json", document)
    assert "labels stand under 2 names ('call', 'species'); take one of them: --label-column 'call'" in refusal(path)
    manifest = read_manifest(path, label_column="species")
    assert events_of(manifest) == {"sounds/a.wav": [("owl", 0.1, 0.2)]}
    assert "1 sound events have no tag of this key and are left out" in manifest.notes


def test_times_of_a_slowed_recording_are_turned_into_the_files(audio, wav):
    wav(audio / "sounds" / "slow.wav", 10.0)
    document = aoef([("slow.wav", 0.2, 0.6, [])], [(0, box(0.3, 0.4), [0])], TAGS, {"slow.wav": {"time_expansion": 10}})
    (clip,) = read_manifest(save(audio / "p.json", document)).clips
    assert (clip.onset, clip.offset, [(e.onset, e.offset) for e in clip.events]) == (2.0, 6.0, [(1.0, 2.0)])


def test_problems_of_whombat(audio):
    document = aoef([("a.wav", 0, 1, [])], [(0, box(0.1, 0.2), [0])], TAGS)
    document["data"]["collection_type"] = "dataset"
    path = save(audio / "p.json", document)
    assert "p.json is a dataset, which holds no annotations" in refusal(path, data_format="whombat")
    document["data"] |= {"collection_type": "annotation_set", "clips": []}
    assert "p.json is not as Whombat writes it (KeyError: 'C0'); export it again" in refusal(save(path, document))
    absent = aoef([("gone.wav", 0, 1, [])], [(0, box(0.1, 0.2), [0])], TAGS, {"gone.wav": {}})
    assert "1 of 1 listed files are absent" in refusal(save(path, absent))
    empty = aoef([("a.wav", 1, 1, [])], [(0, box(0.1, 0.2), [0])], TAGS)
    assert "p.json, a.wav from 1 s: the clip ends at 1, not after its start" in refusal(save(path, empty))
