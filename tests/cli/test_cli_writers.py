# SPDX-License-Identifier: Apache-2.0
"""Results as lines, tables, CSV and label files, on a stream and in a folder."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from auricle.cli.views import detect_view, embed_view, tag_view
from auricle.cli.writers import Folder, open_stream
from auricle.errors import UsageError
from auricle.events.formats import parse_csv, parse_raven
from auricle.results import DetectResult, EmbedResult, Event, Failure, Flag, LabelScore, TagResult

DOG = TagResult(
    "a.wav", 5.0, (Flag("silent"),), (LabelScore("dog", 0.75), LabelScore("rain", 0.2), LabelScore("sea", 0.1))
)
GONE = TagResult("=b.wav", None, error=Failure("not_found", "no such file: =b.wav"))
BARK = DetectResult("a.wav", 5.0, events=(Event("dog", 0.5, 1.25, 0.9), Event("rain", 2.0, 5.0, 0.6)))
QUIET = DetectResult("c.wav", 5.0)
LOST = DetectResult("b.wav", None, error=Failure("not_found", "no such file: b.wav"))


def all_scores(label: str) -> float:
    return 0.0


def written(view, form, *results):
    stream = io.StringIO()
    writer = open_stream(view, form, stream)
    for result in results:
        writer.write(result)
    writer.close(True)
    return stream.getvalue()


def test_json_has_a_line_for_each_input_failed_or_not():
    lines = [json.loads(line) for line in written(tag_view(2, all_scores), "json", DOG, GONE).splitlines()]
    assert lines == [
        {
            "path": "a.wav",
            "duration": 5.0,
            "flags": [{"code": "silent"}],
            "scores": [{"label": "dog", "score": 0.75}, {"label": "rain", "score": 0.2}],
            "error": None,
        },
        {
            "path": "=b.wav",
            "duration": None,
            "flags": [],
            "scores": [],
            "error": {"code": "not_found", "message": "no such file: =b.wav"},
        },
    ]


def test_json_lines_are_visible_at_once():
    stream = io.StringIO()
    open_stream(tag_view(1, all_scores), "json", stream).write(DOG)
    assert stream.getvalue().endswith("\n")


def test_top_and_threshold_choose_the_scores():
    only_dog = tag_view(5, lambda label: 0.5 if label == "dog" else 1.0)
    assert [s["label"] for s in only_dog.to_dict(DOG)["scores"]] == ["dog"]
    none = tag_view(5, lambda label: 1.0)
    assert list(none.rows(DOG)) == [("a.wav", 5.0, None, None)]


def test_csv_of_tags_has_flags_and_failures_and_disarms_formulas():
    assert written(tag_view(2, all_scores), "csv", DOG, GONE) == (
        "path,duration,label,score,flags,error,message\n"
        "a.wav,5,dog,0.75,silent,,\n"
        "a.wav,5,rain,0.2,silent,,\n"
        "'=b.wav,,,,,not_found,no such file: =b.wav\n"
    )


def test_the_table_shows_flags_and_says_failures_on_stderr(capsys):
    assert written(tag_view(1, all_scores), "table", DOG, GONE) == (
        "path   duration  label  score  flags\na.wav         5  dog     0.75  silent\n"
    )
    assert capsys.readouterr().err == "auricle: =b.wav: no such file: =b.wav [not_found]\n"


def test_the_table_has_no_column_of_flags_where_there_are_none():
    assert written(detect_view(), "table", BARK, QUIET) == (
        "path   onset  offset  label  score\n"
        "a.wav    0.5    1.25  dog      0.9\n"
        "a.wav      2       5  rain     0.6\n"
        "c.wav\n"
    )


def test_events_as_csv_and_raven_can_be_read_back(capsys):
    csv_text = written(detect_view(), "csv", BARK, LOST, QUIET)
    assert parse_csv(csv_text.splitlines(keepends=True))[0].events == BARK.events
    raven = written(detect_view(), "raven", BARK, LOST, QUIET)
    assert parse_raven(raven.splitlines(keepends=True))[0].events == BARK.events
    assert capsys.readouterr().err.count("no such file: b.wav [not_found]") == 2


def test_audacity_labels_of_one_recording():
    assert written(detect_view(), "audacity", BARK) == "0.500000\t1.250000\tdog\n2.000000\t5.000000\train\n"


def test_audacity_labels_of_two_recordings_need_a_folder():
    with pytest.raises(UsageError, match="Audacity labels are for one recording"):
        written(detect_view(), "audacity", BARK, DetectResult("d.wav", 1.0, events=BARK.events))


def test_an_embedding_is_a_row_of_numbers():
    result = EmbedResult("a.wav", 1.0, embedding=np.array([0.5, -1], np.float32))
    assert written(embed_view(2), "csv", result) == "path,duration,e0,e1,flags,error,message\na.wav,1,0.5,-1,,,\n"


def fill(folder, view, form, *results, finished=True):
    writer = Folder(view, form, folder, model="yard", total=3)
    for result in results:
        writer.write(result)
    writer.close(finished)
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_holds_results_failures_and_a_summary(tmp_path):
    out = tmp_path / "new" / "scores"
    assert fill(out, tag_view(1, all_scores), "table", DOG, GONE) == ["failures.jsonl", "scores.jsonl", "summary.json"]
    assert [json.loads(line)["path"] for line in (out / "scores.jsonl").read_text().splitlines()] == ["a.wav", "=b.wav"]
    failure = {"path": "=b.wav", "code": "not_found", "message": "no such file: =b.wav"}
    assert json.loads((out / "failures.jsonl").read_text()) == failure
    summary = json.loads((out / "summary.json").read_text())
    assert summary.pop("elapsed_s") >= 0
    assert summary.pop("auricle")
    assert summary == {
        "model": "yard",
        "inputs": 3,
        "done": 1,
        "failed": 1,
        "failures": {"not_found": 1},
        "flags": {"silent": 1},
        "audio_s": 5.0,
        "finished": True,
    }


def test_an_interrupted_folder_keeps_what_was_done_and_says_so(tmp_path):
    fill(tmp_path, tag_view(1, all_scores), "json", DOG, finished=False)
    assert json.loads((tmp_path / "summary.json").read_text())["finished"] is False
    assert len((tmp_path / "scores.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(("form", "name"), [("csv", "events.csv"), ("raven", "events.selections.txt")])
def test_the_form_names_the_file(tmp_path, form, name):
    assert name in fill(tmp_path, detect_view(), form, BARK)


def test_audacity_labels_go_into_a_tree_of_files(tmp_path):
    results = [
        DetectResult("/data/x/a.wav", 5.0, events=BARK.events),
        DetectResult("../up/a.wav", 5.0),
        DetectResult("a.flac", 5.0),
    ]
    fill(tmp_path / "out", detect_view(), "audacity", *results, LOST)
    labels = tmp_path / "out" / "labels"
    assert sorted(str(p.relative_to(labels)) for p in labels.rglob("*.txt")) == [
        "a.flac.txt",
        "data/x/a.wav.txt",
        "up/a.wav.txt",
    ]
    assert (labels / "data/x/a.wav.txt").read_text().startswith("0.500000\t1.250000\tdog\n")
    assert json.loads((tmp_path / "out" / "failures.jsonl").read_text())["code"] == "not_found"


def test_nothing_is_named_before_it_is_whole(tmp_path):
    writer = Folder(tag_view(1, all_scores), "json", tmp_path, model="yard", total=1)
    writer.write(DOG)
    assert not (tmp_path / "scores.jsonl").exists()
    writer.close(True)
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_cannot_be_made_is_said_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .*file: cannot write there \(.*\); choose another folder"):
        Folder(tag_view(1, all_scores), "json", tmp_path / "file", model="yard", total=1)


def test_names_that_are_not_utf8_are_written_as_escapes(tmp_path):
    fill(tmp_path, tag_view(1, all_scores), "json", TagResult("caf\udce9.wav", 1.0))
    text = (tmp_path / "scores.jsonl").read_bytes().decode("utf-8")
    assert json.loads(text)["path"] == "caf\udce9.wav"
