# SPDX-License-Identifier: Apache-2.0
"""A sweep over trials of a second: its table, its stop, its way on, and that test clips take no part."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.toydata import TINY, Listener, signal_at, tiny_of, write_folders
from helpers.voicedata import write_corpus

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.data.splits import make_split, without_test
from auricle.errors import Interrupted, RunError, UsageError
from auricle.files import read_json, write_json
from auricle.recipe.schema import load_recipe

SEARCH = """
sweep:
  trials: 3
  {options}
  search:
    optim.lr: {{low: 0.001, high: 0.03, log: true}}
    model.head: [attention, linear_softmax]
"""


@pytest.fixture(scope="module", autouse=True)
def quiet_machine(tmp_path_factory):
    """One thread, and a cache of these tests' own."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURICLE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("sweep") / "clips")


@pytest.fixture
def recipe(tmp_path):
    def write(options: str = "pruner: none", search: str = SEARCH) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(search.format(options=options), encoding="utf-8")
        return path

    return write


def sweep(recipe, clips, out, *overrides, **settings):
    return api.sweep(recipe, clips, out=out, overrides=[*TINY, *overrides], **settings)


def what_counts(result):
    return [(row.number, row.state, row.score, row.epochs, row.values) for row in result.trials]


@pytest.fixture(scope="module")
def whole(clips, tmp_path_factory):
    """An undisturbed sweep."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "sweep.yaml"
    path.write_text(SEARCH.format(options="pruner: none"), encoding="utf-8")
    said = Listener()
    return sweep(path, clips, folder / "out", progress=said), said


def test_the_table_is_best_first_and_the_best_recipe_is_kept(whole):
    result, said = whole
    assert (result.metric, result.n_dev, result.keys) == ("accuracy", 2, ("optim.lr", "model.head"))
    assert sorted(row.number for row in result.trials) == [0, 1, 2]
    scores = [row.score for row in result.trials]
    assert scores == sorted(scores, reverse=True)
    assert {(row.state, row.epochs) for row in result.trials} == {("done", 2)}
    assert all(0.001 <= row.values["optim.lr"] <= 0.03 for row in result.trials)
    assert len({row.values["optim.lr"] for row in result.trials}) == 3
    out = Path(result.path)
    assert read_json(out / "results.json") == result.to_dict()
    best = load_recipe(out / "best.yaml")
    assert (best.optim.lr, best.model.head) == tuple(result.trials[0].values.values())
    assert best.data.clip_s == 0.5
    assert [text.partition(":")[0] for text in said.notices if text.startswith("trial")] == [
        f"trial {n} of 3" for n in (1, 2, 3)
    ]


def test_finished_trials_leave_their_log_and_no_checkpoints(whole):
    for folder in (Path(whole[0].path) / "trials").iterdir():
        assert {path.name for path in folder.iterdir()} == {"log.csv", "tensorboard"}


def test_the_score_of_a_trial_is_that_of_a_plain_training(whole, clips, tmp_path):
    best = whole[0].best
    recipe = Path(whole[0].path) / "best.yaml"
    run = api.train(clips, out=tmp_path / "model", recipe=recipe)
    assert run.dev["accuracy"] == best.score


def test_a_stopped_sweep_goes_on_to_the_same_table(recipe, clips, whole, tmp_path):
    """Ctrl-C in the second trial: it resumes from its checkpoint, and the third is drawn anew."""
    out = tmp_path / "out"
    stopper = signal_at(1, signal.SIGINT)
    listener = Listener()
    listener.step_done = lambda step, loss: stopper.step_done(step, loss) if len(listener.starts) == 2 else None
    with pytest.raises(Interrupted, match=r"^trial 2 of 3 stopped at step 1; continue with --resume$") as caught:
        sweep(recipe(), clips, out, progress=listener)
    assert caught.value.exit_code == 130
    assert [row["state"] for row in read_json(out / "results.json")["trials"]] == ["done", "unfinished"]

    said = Listener()
    result = sweep(recipe(), clips, out, resume=True, progress=said)
    assert said.starts[0] == (6, 1)
    expected = {row.number: row for row in whole[0].trials}
    found = {row.number: row for row in result.trials}
    assert len(found) == 3
    for number in (0, 1):
        assert found[number] == expected[number]
    assert {row.state for row in result.trials} == {"done"}

    more = sweep(recipe(), clips, out, resume=True, trials=4)
    assert len(more.trials) == 4
    assert sweep(recipe(), clips, out, resume=True, trials=4) == more
    assert len({row.values["optim.lr"] for row in more.trials}) == 4


def test_a_killed_trial_is_taken_up_again(recipe, clips, whole, tmp_path):
    """A crash leaves the trial running in the journal: nobody told Optuna how it ended."""
    out = tmp_path / "out"

    class Crash(BaseException):
        pass

    def crash() -> None:
        raise Crash

    with pytest.raises(Crash):
        sweep(recipe(), clips, out, "run.checkpoint_every_steps=1", progress=Listener(3, crash))
    result = sweep(recipe(), clips, out, "run.checkpoint_every_steps=1", resume=True, trials=1)
    (row,) = result.trials
    assert row == next(other for other in whole[0].trials if other.number == 0)


def test_trials_that_fall_behind_are_given_up(recipe, clips, tmp_path):
    """Two good trials, then learning rates that cannot learn: the median gives them up after the first epoch."""
    search = """
sweep:
  trials: 7
  startup_trials: 2
  warmup_epochs: 0
  search: {{optim.lr: [0.03, 1.0e-9]}}
"""
    settings = ("optim.epochs=6", "augment.mixup_alpha=0", "model.dropout=0", "run.early_stop=null")
    result = sweep(recipe("", search), clips, tmp_path / "out", *settings)
    states = {row.state for row in result.trials}
    assert states == {"done", "pruned"}
    assert all(row.epochs < 6 for row in result.trials if row.state == "pruned")
    assert all(row.epochs == 6 for row in result.trials if row.state == "done")


def test_values_that_cannot_be_trained_fail_and_the_sweep_goes_on(recipe, clips, tmp_path):
    search = "sweep: {{trials: 4, pruner: none, search: {{data.hop_s: [0.45], data.clip_s: [0.3, 0.5]}}}}"
    result = sweep(recipe("", search), clips, tmp_path / "out", "seed=3", "optim.epochs=1")
    by_state = {state: [row for row in result.trials if row.state == state] for state in ("done", "failed")}
    assert len(by_state["done"]) + len(by_state["failed"]) == 4
    assert len(by_state["failed"]) > 0
    for row in by_state["failed"]:
        assert row.values == {"data.hop_s": 0.45, "data.clip_s": 0.3}
        assert "data.hop_s 0.45 is above data.clip_s 0.3" in row.reason
        assert row.score is None


def test_no_trial_hears_test_clips(recipe, tmp_path):
    """Test clips that cannot be read would stop any run that opens them."""
    clips = tmp_path / "parts"
    for part in ("train", "dev", "test"):
        write_folders(clips / part, clips=4)
    for path in (clips / "test").rglob("*.wav"):
        path.write_text("not audio")
    result = sweep(recipe(), clips, tmp_path / "out", trials=1)
    assert (result.n_dev, result.trials[0].state) == (8, "done")


def test_another_sweep_or_other_data_are_refused(recipe, clips, whole, tmp_path):
    out = Path(whole[0].path)
    with pytest.raises(RunError, match=r"out holds a sweep already; --resume resumes it$"):
        sweep(recipe(), clips, out)
    with pytest.raises(RunError, match=r"was begun with another recipe .*sweep.json"):
        sweep(recipe(), clips, out, "optim.epochs=9", resume=True)
    other = write_folders(tmp_path / "other", clips=7)
    with pytest.raises(RunError, match="was begun with another data_hash"):
        sweep(recipe(), other, out, resume=True)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "x").touch()
    with pytest.raises(RunError, match=r"foreign holds other things than a sweep \(x\); choose another folder$"):
        sweep(recipe(), clips, tmp_path / "foreign", resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file; --out takes a folder"):
        sweep(recipe(), clips, tmp_path / "file")


def test_dev_is_what_the_recipe_says(recipe, tmp_path):
    """Given dev: 2 labels of 4 clips. Inside: about a share of the 8 clips of train."""
    clips = tmp_path / "parts"
    for part in ("train", "dev"):
        write_folders(clips / part, clips=4)
    given = sweep(recipe(), clips, tmp_path / "given", trials=1)
    inside = sweep(recipe(), clips, tmp_path / "inside", "data.dev=inside", "data.dev_fraction=0.25", trials=1)
    assert (given.n_dev, inside.n_dev) == (8, 2)
    with pytest.raises(UsageError, match=r"data\.dev none leaves it none; give given or inside$"):
        sweep(recipe(), clips, tmp_path / "none", "data.dev=none", trials=1)


def test_systems_of_dev_alone_are_in_no_trial(recipe, tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    words = ("data.dev=inside", "data.dev_systems=[S1]", "optim.epochs=1")
    result = sweep(recipe(), corpus, tmp_path / "out", *words, trials=1)
    manifest = without_test(read_manifest(corpus))
    split = make_split(manifest, dev="inside", dev_systems=["S1"])
    assert "S1" not in {manifest.clips[i].extra.get("system") for i in split.train}
    assert result.n_dev == len(split.dev) != len(make_split(manifest, dev="inside").dev)


def test_the_network_that_the_recipe_names_brings_its_defaults(recipe, clips, tmp_path):
    search = "model: {{name: rawnet}}\nsweep: {{trials: 1, search: {{optim.lr: [0.001, 0.002]}}}}"
    words = [*tiny_of("rawnet"), "optim.epochs=1", "data.dev=given"]
    result = api.sweep(recipe("", search), clips, out=tmp_path / "out", overrides=words)
    assert [row.state for row in result.trials] == ["done"]
    assert load_recipe(tmp_path / "out" / "best.yaml").data.pad == "repeat"


def test_a_sweep_that_an_earlier_version_began_goes_on(recipe, clips, tmp_path):
    """Its recipe lacks a section that recipes have now."""
    out = tmp_path / "out"
    sweep(recipe(), clips, out, trials=1)
    stored = read_json(out / "sweep.json")
    del stored["recipe"]["init"]
    write_json(out / "sweep.json", stored)
    assert len(sweep(recipe(), clips, out, trials=2, resume=True).trials) == 2


def test_without_dev_clips_there_is_nothing_to_compare(recipe, tmp_path):
    clips = tmp_path / "clips"
    write_folders(clips, clips=1)
    with pytest.raises(UsageError):
        sweep(recipe(), clips, tmp_path / "out")


def test_the_command_prints_the_table_in_three_forms(whole, capsys):
    from auricle.cli.sweep import print_sweep

    result = whole[0]
    print_sweep(result, "table", sys.stdout)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["trial", "dev", "accuracy", "state", "epochs", "optim.lr", "model.head"]
    assert len(lines) == 6
    assert lines[-1].startswith("2 dev clips; the best of many is flattered")
    print_sweep(result, "csv", sys.stdout)
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "trial,dev accuracy,state,epochs,optim.lr,model.head"
    np.testing.assert_allclose(float(rows[1].split(",")[4]), result.best.values["optim.lr"], rtol=1e-5)
    print_sweep(result, "json", sys.stdout)
    assert json.loads(capsys.readouterr().out) == result.to_dict()
