# SPDX-License-Identifier: Apache-2.0
"""train, evaluate and crossval from the outside, on a toy of seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.toydata import in_two_folds

from auricle.recipe.requests import TrainRequest
from auricle.synth.toy import synthesise
from auricle.training.request_recipe import recipe_of

SMALL = [
    "--set",
    "model.width=0.125",
    "--set",
    "data.clip_s=0.5",
    "--set",
    "data.batch_size=8",
    "--set",
    "data.workers=0",
]
SMALL += ["--set", "frontend.sample_rate=8000", "--set", "frontend.n_mels=16", "--set", "run.threads=1"]
SMALL += ["--set", "model.texture=false"]  # a third of the time; the laws have it


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Seven folders of three clips of half a second."""
    return synthesise(tmp_path_factory.mktemp("toy") / "toy", clips_per_class=3, clip_s=0.5, sample_rate=8_000)


def test_short_options_come_after_set_and_win():
    words = ["optim.epochs=9", "optim.lr=0.01", "seed=1"]
    asked = TrainRequest("clips", out="m", overrides=words, epochs=5, device="cpu", seed=0, exclude_systems=["A1"])
    recipe = recipe_of(asked)
    assert (recipe.optim.epochs, recipe.optim.lr, recipe.run.device, recipe.seed) == (5, 0.01, "cpu", 0)
    assert recipe.data.exclude_systems == ("A1",)
    assert recipe_of(TrainRequest("clips", out="m", overrides=words)).seed == 1


def test_train_makes_a_model_that_all_other_commands_take(auricle, toy, tmp_path):
    model = tmp_path / "model"
    trained = auricle("train", toy, "--out", model, "--epochs", 1, "--format", "json", *SMALL)
    assert trained.code == 0, trained.err
    run = json.loads(trained.out)
    assert (run["path"], run["epochs"], run["finished"]) == (str(model), 1, True)
    assert "train: " in trained.err

    assert auricle("doctor", model).code == 0
    assert auricle("detect", toy / "siren", "--model", model, "--format", "csv").code == 0
    tagged = auricle("tag", toy / "siren", "--model", model, "--format", "json", "--top", 9)
    assert {s["label"] for s in json.loads(tagged.out.splitlines()[0])["scores"]} == {
        *("buzz", "chirp", "clicks", "engine", "rain", "siren")
    }
    report = json.loads(auricle("evaluate", toy, "--model", model, "--format", "json").out)
    assert report["n"] > 0
    assert all({"value", "low", "high", "n"} == set(metric) for metric in report["metrics"].values())
    table = auricle("evaluate", toy, "--model", model)
    assert table.out.split()[:2] == ["metric", "value"]

    again = auricle("train", toy, "--out", model, "--epochs", 1, *SMALL)
    assert again.code == 2
    assert "--resume" in again.err
    resumed = auricle("train", toy, "--out", model, "--epochs", 1, "--resume", *SMALL)
    assert resumed.code == 0, resumed.err


def test_crossval_prints_pooled_figures_and_each_fold(auricle, toy, tmp_path):
    data = in_two_folds(toy, tmp_path / "data")
    done = auricle("crossval", data, "--epochs", 1, "--out", tmp_path / "cv", "--quiet", "--set", "seed=1", *SMALL)
    assert done.code == 0, done.err
    head, folds = done.out.split("\n\n")
    assert head.split()[:2] == ["metric", "value"]
    assert folds.splitlines()[0].split() == ["fold", "seed", "0"]
    assert (tmp_path / "cv" / "results.json").is_file()
    assert done.err == ""


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--set", "optim.epoch=3"], "unknown key optim.epoch (did you mean 'epochs'?)"),
        (["--set", "optim.lr=-1"], "optim.lr = -1"),
        (["--model", "crn"], "'crn'"),
        (["--test-fold", "1"], "the data has no column 'fold'"),
        (["--recipe", "nowhere.yaml"], "the recipe nowhere.yaml cannot be read"),
    ],
)
def test_wrong_choices_exit_2_before_any_work(auricle, toy, tmp_path, words, text):
    done = auricle("train", toy, "--out", tmp_path / "m", *words)
    assert (done.code, done.out) == (2, "")
    assert text in done.err


def processor_seconds(pid: int) -> float:
    """Return what a process has used of the processor so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_signal_saves_and_resume_goes_on(auricle, toy, tmp_path):
    """One signal, as batch systems send it; ``test_stop_signals`` and ``test_loop`` have both, with their codes."""
    number, code = signal.SIGTERM, 143
    model = tmp_path / "model"
    command = [sys.executable, "-m", "auricle", "train", str(toy), "--out", str(model), "--epochs", "5000", *SMALL]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    with process:
        for line in process.stderr:
            if line.startswith("train: "):
                break
        time.sleep(0.3)
        before = processor_seconds(process.pid)
        os.kill(process.pid, number)
        rest = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == code, rest
    # Batch systems kill after ten seconds. Counted on the processor, which a busy machine does not stretch; neither
    # waiting for batches nor scoring dev may add to it, which the tests of the loop show.
    assert usage.ru_utime + usage.ru_stime - before < 10
    assert "continue with --resume" in rest
    assert "Traceback" not in rest
