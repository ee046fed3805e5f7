# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile

from auricle.data.check.dataset import check
from auricle.data.check.recordings import choose_clips, inspect_headers
from auricle.data.formats.registry import read_manifest


def codes(report):
    return [flag.code for flag in report.flags]


def test_a_good_data_set(table):
    text = "path,label,fold\n" + "".join(f"{i}.wav,{'ab'[i % 2]},{i // 2 + 1}\n" for i in range(4))
    report = check(table(text + "n.wav,other,1\n"))
    assert report.ok
    assert report.facts["per_class"] == {
        "a": {"clips": 2, "fold 1": 1, "fold 2": 1},
        "b": {"clips": 2, "fold 1": 1, "fold 2": 1},
        "(negative)": {"clips": 1, "fold 1": 1, "fold 2": 0},
    }
    assert report.facts["durations"] == {"total": 0.5, "min": 0.1, "median": 0.1, "max": 0.1}
    assert report.facts["sample_rates"] == {"8000": 5}
    lines = report.lines()
    assert lines[1] == "format csv, task single: 5 clips, 2 classes, 1 negatives, 5 groups"
    assert lines[3:7] == [
        "  class        clips  fold 1  fold 2",
        "  a                2       1       1",
        "  b                2       1       1",
        "  (negative)       1       1       0",
    ]
    assert lines[-1] == "no problem: this can be trained on"
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False))["ok"] is True


def test_what_cannot_be_read_is_a_report_not_an_error(table):
    report = check(table("path,label\na.wav,\nb.wav,\n"))
    assert not report.ok
    assert report.problems[0] == "line 2: no label; write 'other' for a clip without any class"
    assert report.lines()[-1] == "2 problems"
    assert report.to_dict()["problems"] == list(report.problems)


def test_reading_options_are_passed_on(table):
    assert check(table("path,label\na.wav,x;y\nb.wav,x\n"), task="multi").facts["task"] == "multi"
    assert check("/nowhere/at/all").problems == ("no such file or folder",)


def test_equal_audio_across_parts_stops_within_one_is_flagged(table, tmp_path):  # A50
    rows = "a.wav,x,train\nb.wav,y,train\nc.wav,x,test\nd.wav,y,test\ne.wav,x,train\nf.wav,y,train\n"
    path = table(f"path,label,split\n{rows}")
    shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")
    report = check(path)
    assert report.ok
    assert codes(report) == ["duplicate_audio"]
    shutil.copy(tmp_path / "a.wav", tmp_path / "d.wav")
    assert check(path).problems == ("the same audio stands in test and train: a.wav = b.wav = d.wav; keep one",)


def test_deep_finds_equal_audio_in_other_containers_and_what_only_samples_show(table, tmp_path):
    path = table("path,label\na.wav,x\nb.flac,y\nc.wav,x\n")
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    soundfile.write(tmp_path / "b.flac", samples, rate)
    soundfile.write(tmp_path / "c.wav", np.zeros(800), rate)
    assert codes(check(path)) == []
    report = check(path, deep=True)
    assert codes(report) == ["silent", "duplicate_audio"]
    assert report.flags[1].details == {"count": 1, "first": "a.wav = b.flac"}


def test_leaks_of_given_parts_and_folds(table):  # L22
    path = table("path,label,split,fold,group\na.wav,x,train,1,g\nb.wav,y,test,2,g\n")
    first, second = check(path).problems
    assert "group g in test and train" in first
    assert "group g in fold 1 and fold 2" in second


def test_one_class_alone_and_parts_without_train(table):  # R18
    problems = check(table("path,label,split\na.wav,x,dev\nb.wav,x,test\n")).problems
    assert problems[0].startswith("the only class is 'x'")
    assert problems[1] == "the data names parts, but none of its clips is in train"


def test_classes_missing_in_a_part_are_flagged(table):  # L8
    report = check(table("path,label,split\na.wav,x,train\nb.wav,y,train\nc.wav,x,test\n"))
    assert codes(report) == ["class_missing"]
    assert report.flags[0].details == {"part": "test", "count": 1, "first": "y"}


def test_sample_rates_show_by_folder_where_they_differ(tmp_path, wav):  # A24
    for name, rate in (("dog/a.wav", 8_000), ("dog/b.wav", 8_000), ("cat/c.wav", 16_000)):
        wav(tmp_path / name, rate=rate)
    report = check(tmp_path)
    assert report.facts["sample_rates"] == {"8000": 2, "16000": 1}
    assert report.facts["sample_rates_by_folder"] == {"cat": {"16000": 1}, "dog": {"8000": 2}}
    assert "  cat: 16000 Hz (1)" in report.lines()


def test_a_few_unreadable_files_are_listed_many_stop(table, write, tmp_path):
    path = table("path,label\n" + "".join(f"{i}.wav,{'ab'[i % 2]}\n" for i in range(10)))
    write(tmp_path / "3.wav", "not audio, whatever its name says")
    report = check(path)
    assert report.ok
    assert report.facts["unreadable"]["not_audio"]["count"] == 1
    assert any(line.startswith("unreadable, not_audio: 1 (first: 3.wav: ") for line in report.lines())
    write(tmp_path / "4.wav", "")
    (problem,) = check(path).problems
    assert problem.startswith("2 of 10 recordings cannot be read (at most 10% may be): 1 ")
    assert "1 empty_file (first: 4.wav: " in problem


def test_segments_against_the_length_of_their_files(table):  # L17
    path = table("path,label,onset,offset\na.wav,x,0.05,0.5\nb.wav,y,0,0.05\nc.wav,y,0.3,0.4\n")
    report = check(path)
    assert report.problems == ("c.wav: onset 0.3 s is beyond the end at 0.1 s",)
    assert codes(report) == ["clipped_event"]
    assert report.facts["durations"]["total"] == 0.1
    assert check(path, deep=True).facts["durations"]["total"] == 0.1


def test_a_large_data_set_is_sampled_with_a_seed(table):
    manifest = read_manifest(table("path,label\n" + "".join(f"{i}.wav,{'ab'[i % 2]}\n" for i in range(10))))
    findings = inspect_headers(manifest, limit=4)
    assert (findings.sampled, len(findings.durations)) == (4, 4)
    chosen = [[clip.key for clip in choose_clips(manifest, 4, seed)] for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert chosen[0] == sorted(chosen[0])
    assert choose_clips(manifest, 10) == list(manifest.clips)


@pytest.mark.parametrize("deep", [False, True])
def test_progress_counts_to_the_end(table, deep):
    seen = []
    check(table("path,label\na.wav,x\nb.wav,y\n"), deep=deep, progress=lambda *counts: seen.append(counts))
    assert seen == [(1, 2), (2, 2)]


def test_a_class_without_clips_has_no_ratio(table):
    report = check(table("path,label\na.wav,x\nb.wav,y\n"), labels=["x", "y", "z"])
    assert report.facts["balance"]["ratio"] is None
    assert any(line.startswith("balance: a class has no clip") for line in report.lines())


def test_logmels_are_checked_too(tmp_path, write):
    np.save(tmp_path / "a.npy", np.zeros((4, 9), np.float32))
    np.save(tmp_path / "b.npy", np.full((4, 9), np.nan, np.float32))
    write(tmp_path / "labels.csv", "filename,x,y\na.npy,1,0\nb.npy,0,1\n")
    write(tmp_path / "features.json", '{"kind": "logmel", "sample_rate": 8000, "frontend": {"n_mels": 4}}')
    assert check(tmp_path).facts["formats"] == {"NPY logmel": 2}
    assert check(tmp_path).facts["durations"] is None
    assert list(check(tmp_path, deep=True).facts["unreadable"]) == ["nonfinite"]


def test_esc10_is_good(shared):
    report = check(shared / "data" / "esc10")
    assert report.ok
    assert report.flags == ()
    assert report.facts["sample_rates"] == {"44100": 400}
    assert (report.facts["durations"]["min"], report.facts["durations"]["max"]) == (3.64408, 7.24027)


@pytest.mark.parametrize("label", ["barn\u00a0owl", "x\u200b", "a\u2028b"])
def test_a_class_with_an_invisible_character_is_refused_before_training(table, label):
    report = check(table(f"path,label\na.wav,{label}\nb.wav,dog\nc.wav,dog\n"))
    assert "holds an invisible character, U+" in report.problems[0]
    assert "(first: line 2); type the name anew" in report.problems[0]


def arrays(folder, make, kind="waveform", frontend=None):
    """Write twelve arrays with labels, and what they hold."""
    rows = []
    for i in range(12):
        np.save(folder / f"{i}.npy", make(i))
        rows.append(f"{i}.npy,{i % 2},{1 - i % 2}\n")
    (folder / "labels.csv").write_text("filename,x,y\n" + "".join(rows))
    features = {"kind": kind, "sample_rate": 8_000, **({} if frontend is None else {"frontend": frontend})}
    (folder / "features.json").write_text(json.dumps(features))
    return folder


MELS = {"sample_rate": 8_000, "n_mels": 40, "window_ms": 25.0, "hop_ms": 10.0, "f_min": 50.0, "f_max": 4_000.0}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda i: np.zeros((2, 80) if i % 3 == 0 else 80, np.float32), "waveform", "0.npy: shape (2, 80) (2 channels"),
        (lambda i: np.zeros(80, np.int16), "waveform", "0.npy: int16 is either PCM (scale 3.05176e-05) or values"),
        (
            lambda i: np.zeros((9, 40), np.float32),
            "logmel",
            "0.npy: shape (9, 40), but the front end has 40 mels first",
        ),
        (lambda i: np.zeros((1, 40, 9), np.float32), "logmel", "0.npy: shape (1, 40, 9); a log-mel has shape"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_not_called_ready(tmp_path, make, kind, text, deep):
    report = check(arrays(tmp_path, make, kind, MELS if kind == "logmel" else None), deep=deep)
    assert not report.ok
    assert any(text in problem for problem in report.problems), report.problems
