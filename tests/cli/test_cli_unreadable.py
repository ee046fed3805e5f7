# SPDX-License-Identifier: Apache-2.0
"""Commands that measure continue without recordings that cannot be read: named, counted, and exit code 1."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import RATE, make_bundle
from helpers.toydata import TINY, write_folders

from auricle import api
from auricle.errors import InputError


@pytest.fixture
def model(tmp_path):
    return str(make_bundle(tmp_path / "model", task="single", provenance={"data_hash": "x"}).path)


@pytest.fixture
def clips(tmp_path):
    """Ten clips of two classes, three of which are no recordings: text, a cut header, nothing."""
    folder = tmp_path / "clips"
    for label, level in (("loud", 0.9), ("quiet", 0.1)):
        (folder / label).mkdir(parents=True)
        for i in range(5):
            samples = np.full(RATE, level, np.float32) * np.tile(np.array([1, -1], np.float32), RATE // 2)
            soundfile.write(folder / label / f"{i}.wav", samples, RATE, subtype="FLOAT")
    (folder / "loud" / "1.wav").write_text("<html>404</html>")
    (folder / "quiet" / "2.wav").write_bytes((folder / "quiet" / "3.wav").read_bytes()[:20])
    (folder / "quiet" / "4.wav").write_bytes(b"")
    return folder


@pytest.fixture
def many(tmp_path):
    """Two folds of short sounds; of one recording only the name is left."""
    folder = write_folders(tmp_path / "many", clips=12)
    rows = [f"{label}/{i}.wav,{label},{i % 2}" for label in ("low", "high") for i in range(12)]
    (folder / "t.csv").write_text("\n".join(["filename,label,fold", *rows]) + "\n")
    (folder / "low" / "3.wav").write_bytes(b"")
    return folder / "t.csv"


def check_one(done) -> None:
    assert done.code == 1, done.err
    assert "auricle: low/3.wav: " in done.err
    assert done.err.splitlines()[-1] == "auricle: 1 recording could not be read; the figures are over the others"


def test_crossval_measures_the_others(auricle, many):
    words = [item for text in (*TINY, "optim.epochs=1") for item in ("--set", text)]
    done = auricle("crossval", many, *words, "--format", "json", "--quiet")
    check_one(done)
    result = json.loads(done.out)
    assert result["n"] == 23
    assert [(f["path"], f["error"]["code"]) for f in result["failures"]] == [("low/3.wav", "empty_file")]


def test_a_sweep_trains_on_the_others(auricle, many, tmp_path):
    recipe = tmp_path / "sweep.yaml"
    recipe.write_text("sweep: {trials: 1, pruner: none, search: {optim.lr: {low: 0.001, high: 0.03, log: true}}}")
    words = [item for text in (*TINY, "optim.epochs=1") for item in ("--set", text)]
    out = tmp_path / "out"
    done = auricle("sweep", recipe, many, *words, "--out", out, "--format", "json", "--quiet")
    check_one(done)
    assert [f["path"] for f in json.loads(done.out)["failures"]] == ["low/3.wav"]
    done = auricle("sweep", recipe, many, *words, "--out", out, "--resume", "--quiet")
    check_one(done)  # what is done already is told with what it is over


NAMES = ("loud/1.wav", "quiet/2.wav", "quiet/4.wav")


def check(done) -> None:
    assert done.code == 1, done.err
    for name in NAMES:
        assert sum(f"auricle: {name}: " in line for line in done.err.splitlines()) == 1, done.err
    assert "auricle: 3 recordings could not be read; the figures are over the others" in done.err


def test_evaluate_measures_the_others(auricle, model, clips):
    done = auricle("evaluate", clips, "--model", model, "--format", "json")
    check(done)
    report = json.loads(done.out)
    assert (report["n"], report["unreadable"]) == (7, 3)
    assert report["metrics"]["accuracy"]["value"] == 1.0


def test_a_page_is_written_over_the_others(auricle, model, clips, tmp_path):
    check(auricle("report", model, "--data", clips, "--out", tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text()
    assert "3 recordings could not be read; the figures are over the others" in page
    assert all(f"<li>{name}: " in page for name in NAMES)


def test_python_is_told_or_gets_the_error(model, clips):
    told = {}
    report = api.evaluate(clips, model=model, on_failure=lambda key, failure: told.setdefault(key, failure.code))
    assert told == dict(zip(NAMES, ("not_audio", "bad_header", "empty_file"), strict=True))
    assert report.n == 7
    with pytest.raises(InputError):
        api.evaluate(clips, model=model)


def test_false_alarms_are_counted_in_the_others(auricle, model, clips):
    done = auricle("evaluate", "--model", model, "--false-alarms", clips, "--format", "json")
    assert done.code == 1, done.err
    for name in NAMES:
        assert f"auricle: {clips / name}: " in done.err
    assert done.err.splitlines()[-1] == "auricle: 3 recordings could not be read; the figures are over the others"
    assert json.loads(done.out)["unreadable"] == 3


def test_where_none_can_be_read_the_first_reason_is_the_error(auricle, model, clips):
    for path in clips.rglob("*.wav"):
        path.write_text("version https://git-lfs.github.com/spec/v1")
    done = auricle("evaluate", clips, "--model", model)
    assert done.code == 1
    assert "git-LFS" in done.err.splitlines()[-1]


def test_where_all_can_be_read_nothing_is_said(auricle, model, clips):
    for name in NAMES:
        (clips / name).unlink()
    done = auricle("evaluate", clips, "--model", model)
    assert (done.code, "could not be read" in done.err) == (0, False)
