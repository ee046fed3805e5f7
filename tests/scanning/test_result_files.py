# SPDX-License-Identifier: Apache-2.0
"""Results as files in a folder."""

from __future__ import annotations

import json

import pytest

from auricle.results import DetectResult, Event, Failure, Flag, LabelScore, TagResult
from auricle.runtime.thresholds import Thresholds
from auricle.scanning.result_files import Tally, write_results
from auricle.scanning.views import detect_view, tag_view

DOG = TagResult("a.wav", 5.0, (Flag("silent"),), (LabelScore("dog", 0.75), LabelScore("rain", 0.2)))
GONE = TagResult("=b.wav", None, (Flag("name_collision"),), error=Failure("not_found", "no such file: =b.wav"))
BARK = DetectResult("a.wav", 5.0, events=(Event("dog", 0.5, 1.25, 0.9), Event("rain", 2.0, 5.0, 0.6)))
LOST = DetectResult("b.wav", None, error=Failure("not_found", "no such file: b.wav"))


def one_tag():
    return tag_view(1, Thresholds())


def fill(folder, view, form, *results):
    tally = write_results(folder, view, form, lambda: iter(results))
    return tally, sorted(path.name for path in folder.iterdir())


def test_a_folder_holds_results_and_failures_and_their_counts_are_returned(tmp_path):
    tally, names = fill(tmp_path, one_tag(), "json", DOG, GONE)
    assert names == ["failures.jsonl", "scores.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == ["a.wav", "=b.wav"]
    failure = {"path": "=b.wav", "code": "not_found", "message": "no such file: =b.wav"}
    assert json.loads((tmp_path / "failures.jsonl").read_text()) == failure
    assert tally.to_dict() == {
        "done": 1,
        "failed": 1,
        "failures": {"not_found": 1},
        "flags": {"name_collision": 1, "silent": 1},
        "audio_s": 5.0,
    }
    assert Tally.from_dict(tally.to_dict()).to_dict() == tally.to_dict()


@pytest.mark.parametrize(
    ("view", "form", "name"),
    [
        (one_tag(), "csv", "scores.csv"),
        (detect_view(), "csv", "events.csv"),
        (detect_view(), "raven", "events.selections.txt"),
    ],
)
def test_the_form_names_the_file(tmp_path, view, form, name):
    _, names = fill(tmp_path, view, form, *((BARK, LOST) if name.startswith("events") else (DOG, GONE)))
    assert names == sorted(["failures.jsonl", name])


def test_csv_and_raven_are_what_the_stream_gives(tmp_path):
    fill(tmp_path, one_tag(), "csv", DOG, GONE)
    assert (tmp_path / "scores.csv").read_text() == (
        "path,duration,label,score,share,flags,error,message\n"
        "a.wav,5,dog,0.75,,silent,,\n"
        "'=b.wav,,,,,name_collision,not_found,no such file: =b.wav\n"
    )
    fill(tmp_path, detect_view(), "raven", BARK, LOST)
    assert len((tmp_path / "events.selections.txt").read_text().splitlines()) == 3


def test_audacity_labels_go_into_a_tree_of_files(tmp_path):
    results = [
        DetectResult("/data/x/a.wav", 5.0, events=BARK.events),
        DetectResult("../up/a.wav", 5.0),
        DetectResult("a.flac", 5.0),
    ]
    _, names = fill(tmp_path, detect_view(), "audacity", *results, LOST)
    assert names == ["failures.jsonl", "labels"]
    labels = tmp_path / "labels"
    assert sorted(str(p.relative_to(labels)) for p in labels.rglob("*.txt")) == [
        "a.flac.txt",
        "data/x/a.wav.txt",
        "up/a.wav.txt",
    ]
    assert (labels / "data/x/a.wav.txt").read_text().startswith("0.500000\t1.250000\tdog\n")
    assert json.loads((tmp_path / "failures.jsonl").read_text())["code"] == "not_found"


def test_labels_of_a_recording_that_came_in_parts_are_one_file(tmp_path):
    parts = [
        DetectResult("night.wav", 2.0, events=(Event("owl", 0.5, 1.0, 0.9),), part=(0.0, 2.0)),
        DetectResult("night.wav", 2.0, events=(Event("owl", 8.5, 9.0, 0.9),), part=(8.0, 10.0)),
    ]
    fill(tmp_path, detect_view(), "audacity", *parts)
    text = (tmp_path / "labels" / "night.wav.txt").read_text()
    assert text == "0.500000\t1.000000\towl\n8.500000\t9.000000\towl\n"


def test_names_that_are_not_utf8_are_written_as_escapes(tmp_path):
    fill(tmp_path, one_tag(), "json", TagResult("caf\udce9.wav", 1.0))
    text = (tmp_path / "scores.jsonl").read_bytes().decode("utf-8")
    assert json.loads(text)["path"] == "caf\udce9.wav"


def test_nothing_is_named_before_it_is_whole(tmp_path):
    def broken():
        yield DOG
        assert not (tmp_path / "scores.jsonl").exists()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(tmp_path, one_tag(), "json", broken)
    assert list(tmp_path.iterdir()) == []


def test_failures_hold_no_control_characters(tmp_path):
    name = "\x9b2J\x85\u202e\x7f.wav"
    fill(tmp_path, detect_view(), "json", DetectResult(name, None, error=Failure("not_found", f"no such file: {name}")))
    text = (tmp_path / "failures.jsonl").read_text(encoding="utf-8")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert json.loads(text)["path"] == name
