# SPDX-License-Identifier: Apache-2.0
"""A scan from the outside: what it leaves, what it refuses, and that nothing stops it for good."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    """A finished scan of three recordings, one of them broken: (recordings, out, finished process)."""
    import numpy as np
    import soundfile

    folder = tmp_path_factory.mktemp("scan")
    (folder / "in").mkdir()
    for name, level in (("a", 0.5), ("b", 0.25)):
        soundfile.write(
            folder / "in" / f"{name}.wav", np.tile(np.float32([level, -level]), 1000), 1000, subtype="FLOAT"
        )
    (folder / "in" / "broken.wav").write_text("<html>404</html>")
    done = scan(folder / "in", model, folder / "out", "--jobs", 2)
    return folder / "in", folder / "out", done


def scan(inputs, model, out, *words):
    command = [sys.executable, "-m", "auricle", "tag", inputs, "--model", model, "--out", out, *words]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300, check=False)


def test_a_scan_leaves_results_failures_summary_and_journal(finished):
    _, out, done = finished
    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(path.name for path in out.iterdir()) == ["failures.jsonl", "journal", "scores.jsonl", "summary.json"]
    assert [Path(line["path"]).name for line in lines(out / "scores.jsonl")] == ["a.wav", "b.wav", "broken.wav"]
    assert [line["code"] for line in lines(out / "failures.jsonl")] == ["not_audio"]
    summary = json.loads((out / "summary.json").read_text())
    assert summary.pop("elapsed_s") > 0
    assert summary.pop("files_per_s") > 0
    assert summary.pop("auricle")
    assert summary == {
        "model": "tiny",
        "inputs": 3,
        "done": 2,
        "failed": 1,
        "failures": {"not_audio": 1},
        "flags": {},
        "audio_s": 4.0,
        "finished": True,
    }
    assert "3 recordings, 0.00111 h, in" in done.stderr


def test_a_scan_gives_what_the_stream_gives(finished, model, auricle):
    inputs, out, _ = finished
    assert auricle("tag", inputs, "--model", model, "--format", "json").out == (out / "scores.jsonl").read_text()


def test_a_finished_scan_is_not_done_again(finished, model, auricle):
    inputs, out, _ = finished
    before = (out / "summary.json").read_bytes()
    done = auricle("tag", inputs, "--model", model, "--out", out, "--resume")
    assert done.code == 1, "as the scan itself: a recording failed"
    assert "is finished; nothing to do" in done.err
    assert (out / "summary.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "holds a scan already; --resume resumes it, --overwrite replaces it"),
        (["--resume", "--overwrite"], "--resume resumes a scan and --overwrite throws it away: give one of them"),
        (["--resume", "--top", "1"], "started differently: top was 5, is 1; give the same options, or start anew"),
        (["--resume", "--format", "csv"], "format was 'json', is 'csv'"),
        (["--resume", "--threshold", "loud=0.5"], "threshold.loud was None, is 0.5"),
        (["--resume", "--follow-links"], "follow_links was False, is True"),
    ],
)
def test_what_is_refused(finished, model, auricle, words, text):
    inputs, out, _ = finished
    before = sorted(out.rglob("*"))
    done = auricle("tag", inputs, "--model", model, "--out", out, *words)
    assert done.code == 2
    assert text in done.err
    assert sorted(out.rglob("*")) == before


def test_another_model_of_the_same_name_is_refused(finished, model, auricle, tmp_path):
    from helpers.tinybundle import make_bundle

    other = make_bundle(tmp_path / "tiny", hop_s=1.0).path
    inputs, out, _ = finished
    done = auricle("tag", inputs, "--model", other, "--out", out, "--resume")
    assert done.code == 2
    assert "started differently: model was 'tiny (" in done.err


def test_a_relative_input_is_bound_to_its_folder(finished, model, auricle, tmp_path, monkeypatch):
    inputs, _, _ = finished
    monkeypatch.chdir(inputs)
    auricle("tag", "a.wav", "--model", model, "--out", tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    done = auricle("tag", "a.wav", "--model", model, "--out", tmp_path / "out", "--resume")
    assert f"working_folder was '{inputs}', is '{tmp_path}'" in done.err


def test_a_foreign_folder_is_left_alone(model, auricle, tmp_path):
    (tmp_path / "thesis.txt").touch()
    for words in ([], ["--overwrite"], ["--resume"]):
        done = auricle("tag", "x.wav", "--model", model, "--out", tmp_path, *words)
        assert done.code == 2
        assert "holds other things than a scan (thesis.txt); choose another folder" in done.err
    assert (tmp_path / "thesis.txt").exists()


def test_overwrite_starts_anew(finished, model, auricle, tmp_path):
    inputs, out, _ = finished
    shutil.copytree(out, tmp_path / "out")
    done = auricle(
        "tag", inputs / "a.wav", "--model", model, "--out", tmp_path / "out", "--format", "csv", "--overwrite"
    )
    assert done.code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["failures.jsonl", "journal", "scores.csv", "summary.json"]


def test_resume_before_there_is_anything_starts(finished, model, auricle, tmp_path):
    done = auricle("tag", finished[0] / "a.wav", "--model", model, "--out", tmp_path / "out", "--resume")
    assert done.code == 0
    assert "no journal yet: starting from the first recording" in done.err


def test_a_folder_in_use_is_refused(finished, model, auricle, tmp_path):
    from auricle.files import FolderLock

    with FolderLock(tmp_path / "out" / "journal"):
        done = auricle("tag", finished[0], "--model", model, "--out", tmp_path / "out")
    assert done.code == 2
    assert f"is in use by process {os.getpid()}" in done.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-", "--out", "OUT"], "- (stdin) cannot be read again, so it goes without --out; save it to a file"),
        (["x.wav", "--resume"], "--resume is for a scan into a folder: give --out DIR too"),
        (["x.wav", "--overwrite"], "--overwrite is for a scan into a folder: give --out DIR too"),
    ],
)
def test_wrong_use(model, auricle, tmp_path, words, text):
    done = auricle("tag", *(str(tmp_path / "out") if word == "OUT" else word for word in words), "--model", model)
    assert (done.code, text in done.err) == (2, True)


def test_a_file_as_folder(finished, model, auricle, tmp_path):
    (tmp_path / "out").touch()
    done = auricle("tag", finished[0], "--model", model, "--out", tmp_path / "out")
    assert f"{tmp_path}/out is a file; --out takes a folder" in done.err


def make_archive(folder, count):
    """Hard links of a few recordings, every tenth of them bad."""
    import numpy as np
    import soundfile

    (folder / "kinds").mkdir(parents=True)
    noise = np.random.default_rng(0)
    kinds = []
    for i in range(9):
        path = folder / "kinds" / f"{i}.wav"
        samples = noise.uniform(-0.1 * i, 0.1 * i, 1000 + 100 * i).astype(np.float32)
        soundfile.write(path, samples, 1000, subtype="FLOAT")
        kinds.append(path)
    kinds.append(folder / "kinds" / "bad.wav")
    kinds[-1].write_text("not a sound")
    (folder / "archive").mkdir()
    for i in range(count):
        os.link(kinds[i % 10], folder / "archive" / f"{i:05d}.wav")
    return folder / "archive"


def stop_at_random(command, signals, chance, shortest_s, longest_s):
    """Start the scan again and again, stopping it after a random time; returns the exit codes."""
    codes = []
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for number in signals:
        try:
            process.wait(chance.uniform(shortest_s, longest_s))
        except subprocess.TimeoutExpired:
            process.send_signal(number)
        codes.append(process.wait())
        process = subprocess.Popen([*command, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    codes.append(process.wait())
    return codes


@pytest.mark.slow
def test_a_scan_killed_at_random_ends_as_the_unbroken_one(model, tmp_path):
    archive = make_archive(tmp_path, 2_000)
    base = [sys.executable, "-m", "auricle", "tag", str(archive), "--model", model, "--jobs", "2", "--quiet", "--out"]
    start = time.monotonic()
    unbroken = subprocess.run([*base, str(tmp_path / "whole")], check=False)
    length_s = time.monotonic() - start
    chance = random.Random(1)
    signals = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL]
    codes = stop_at_random([*base, str(tmp_path / "broken")], signals, chance, 0.1 * length_s, 0.6 * length_s)
    assert unbroken.returncode == codes[-1] == 1
    assert sum(code != 1 for code in codes) >= 2, "some of the runs were really stopped"
    for name in ("scores.jsonl", "failures.jsonl"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    summaries = [json.loads((tmp_path / run / "summary.json").read_text()) for run in ("broken", "whole")]
    for summary in summaries:
        assert summary.pop("elapsed_s") >= 0
        assert summary.pop("files_per_s") >= 0
    assert summaries[0] == summaries[1]
    assert summaries[0]["failures"] == {"not_audio": 200}


def test_ctrl_c_keeps_what_was_done_and_says_how_to_go_on(model, tmp_path):
    archive = make_archive(tmp_path, 3_000)
    command = [sys.executable, "-m", "auricle", "tag", str(archive), "--model", model, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    records = tmp_path / "out" / "journal" / "records"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (records.exists() and records.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "of 3000 are recorded; continue with --resume" in error
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["finished"], 0 < summary["recorded"] < 3000) == (False, True)
    assert not (tmp_path / "out" / "scores.jsonl").exists()
