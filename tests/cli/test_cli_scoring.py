# SPDX-License-Identifier: Apache-2.0
"""tag, detect and embed from the outside: what they print, write and exit with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import auricle as package


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_tag_prints_a_line_of_json_for_each_input_and_exits_1_after_a_failure(auricle, model, recordings):
    done = auricle("tag", recordings, "--model", model, "--format", "json")
    assert done.code == 1
    assert "1 of 3 inputs failed" in done.err
    found = {Path(item["path"]).name: item for item in lines(done.out)}
    assert list(found) == ["a.wav", "broken.wav", "b.wav"]
    assert [s["label"] for s in found["b.wav"]["scores"]] == ["quiet", "loud"]
    assert [s["score"] for s in found["b.wav"]["scores"]] == pytest.approx([0.75, 0.25], abs=1e-5)
    assert found["broken.wav"]["error"]["code"] == "not_audio"


def test_the_command_line_gives_what_python_gives(auricle, model, recordings):
    path = str(recordings / "a.wav")
    detector = package.load(model)
    tagged = auricle("tag", path, "--model", model, "--format", "json", "--top", 1)
    assert lines(tagged.out) == [detector.tag(path).to_dict(top=1)]
    detected = auricle("detect", path, "--model", model, "--format", "json", "--threshold", "loud=0.6")
    assert lines(detected.out) == [detector.detect(path, threshold={"loud": 0.6}).to_dict()]
    embedded = auricle("embed", path, "--model", model)
    assert lines(embedded.out) == [detector.embed(path).to_dict()]
    assert tagged.code == detected.code == embedded.code == 0


def test_detect_finds_the_loud_half_second(auricle, model, recordings):
    done = auricle("detect", recordings / "a.wav", "--model", model, "--format", "audacity", "--threshold", "0.6")
    assert [line.split("\t")[2] for line in done.out.splitlines()] == ["quiet", "loud", "quiet"]
    onset, offset, _ = done.out.splitlines()[1].split("\t")
    assert (float(onset), float(offset)) == pytest.approx((0.5, 1.0), abs=0.051)


def test_the_table_is_plain_in_a_pipe(auricle, model, recordings):
    done = auricle("tag", recordings / "deep", "--model", model, "--top", 1)
    path = recordings / "deep" / "b.wav"
    assert done.out.split() == ["path", "duration", "label", "score", str(path), "1", "quiet", "0.75"]
    assert done.err == ""


def test_tag_thresholds_hide_low_scores(auricle, model, recordings):
    done = auricle("tag", recordings / "deep", "-m", model, "-f", "json", "-t", "0.5", "-t", "loud=0.1")
    assert [s["label"] for s in lines(done.out)[0]["scores"]] == ["quiet", "loud"]
    done = auricle("tag", recordings / "deep", "-m", model, "-f", "json", "-t", "0.5")
    assert [s["label"] for s in lines(done.out)[0]["scores"]] == ["quiet"]


def test_embed_as_csv_has_a_column_for_each_number(auricle, model, recordings):
    done = auricle("embed", recordings / "deep", "--model", model, "--format", "csv")
    assert done.out.splitlines()[0] == "path,duration,e0,e1,e2,flags,error,message"
    values = np.array(done.out.splitlines()[1].split(",")[2:5], float)
    np.testing.assert_allclose(values, 0.25, atol=1e-5)


def test_out_makes_a_folder_and_leaves_stdout_empty(auricle, model, recordings, tmp_path):
    done = auricle("detect", recordings, "--model", model, "--out", tmp_path / "events", "--jobs", 2)
    assert (done.code, done.out) == (1, "")
    assert len(lines((tmp_path / "events" / "events.jsonl").read_text())) == 3
    assert [f["code"] for f in lines((tmp_path / "events" / "failures.jsonl").read_text())] == ["not_audio"]
    summary = json.loads((tmp_path / "events" / "summary.json").read_text())
    assert (summary["done"], summary["failed"], summary["audio_s"], summary["model"]) == (2, 1, 3.0, "tiny")


def test_jobs_change_neither_order_nor_scores(auricle, model, recordings):
    one = auricle("tag", recordings, "--model", model, "--format", "json")
    four = auricle("tag", recordings, "--model", model, "--format", "json", "--jobs", 4)
    assert one.out == four.out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["tag", "x.wav", "--model", "yrad"], "auricle: unknown model 'yrad'"),
        (["tag", "x.wav", "--model", "./nowhere"], "auricle: the model nowhere does not exist"),
        (["tag", "no-*.wav"], "auricle: no file matches 'no-*.wav'"),
        (["tag", "-", "-"], "auricle: - (stdin) stands twice"),
        (["tag", "x.wav", "--threshold", "2"], "auricle: --threshold 2: expected a number from 0 to 1"),
        (["tag", "x.wav", "--format", "xml"], "'--format'"),
        (["tag", "x.wav", "--top", "0"], "'--top'"),
        (["tag"], "auricle: no recordings: give files, folders or patterns (INPUT), or a list of paths (--list FILE)"),
        (["tga"], "No such command 'tga'"),
    ],
)
def test_wrong_use_exits_2_with_one_message_and_nothing_on_stdout(auricle, words, text):
    done = auricle(*words)
    assert (done.code, done.out) == (2, "")
    assert text in done.err
    assert "Traceback" not in done.err


def test_a_threshold_for_a_label_the_model_lacks(auricle, model, recordings):
    done = auricle("detect", recordings, "--model", model, "--threshold", "lod=0.5")
    assert done.code == 2
    assert "no such label (did you mean 'loud'?)" in done.err


def test_a_missing_file_is_a_failure_of_that_input(auricle, model, recordings):
    done = auricle("tag", "gone.wav", recordings / "a.wav", "--model", model, "--format", "json")
    assert done.code == 1
    assert [item["error"] and item["error"]["code"] for item in lines(done.out)] == ["not_found", None]


def test_the_default_model_is_said_once_on_stderr(auricle, recordings):
    from auricle.runtime.model_names import DEFAULT_MODEL

    assert auricle("tag", recordings).err.count(f"no --model given, using {DEFAULT_MODEL}") == 1
    assert "no --model given" not in auricle("tag", recordings, "--quiet").err


def test_stdin_is_a_recording_called_dash(process, model, recordings):
    done = process("tag", "-", "--model", model, "--format", "json", input=(recordings / "deep" / "b.wav").read_bytes())
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["path"], result["duration"]) == ("-", 1.0)


def test_a_name_that_is_not_utf8_is_read_and_escaped(process, model, recordings):
    name = os.fsencode(recordings) + b"/caf\xe9.wav"
    os.link(recordings / "a.wav", name)
    for form in ("json", "csv", "table"):
        done = process("tag", name, "--model", model, "--format", form)
        assert done.returncode == 0, done.stderr
        assert "caf" in done.stdout.decode("utf-8")


def test_a_closed_pipe_is_quiet(model, recordings):
    command = f"{sys.executable} -m auricle tag {recordings / 'a.wav'} --model {model} --format json | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert done.stderr == b""


def test_help_is_quiet_in_a_closed_pipe():
    command = f"{sys.executable} -m auricle tag --help | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == (b"Usage: auricle tag [OPTIONS] [INPUT]...\n", b"")


def test_damage_to_a_model_is_named(auricle, model, recordings, tmp_path):
    import shutil

    shutil.copytree(model, tmp_path / "damaged")
    with (tmp_path / "damaged" / "model.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"\xff")
    done = auricle("tag", recordings / "a.wav", "--model", tmp_path / "damaged")
    assert done.code == 2
    assert "is damaged or was changed" in done.err
