# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments of a run, again and again: the weights and figures are those of a run left alone."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch
from helpers.forks import DONE, fork
from helpers.toydata import TINY, make_loop, tiny, write_folders
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from auricle import api
from auricle.files import sweep_orphans
from auricle.progress import Progress
from auricle.runtime.bundle import load_bundle
from auricle.training.checkpoint import State, find_checkpoints, last_good_state, load_checkpoint
from auricle.training.preparation import Material, prepare, read_training_data

EPOCHS = 8
#: A run is killed within this share of the time that a whole one takes, so that it is killed several times.
SHARE_TO_LIVE = 0.4


@pytest.fixture(scope="module")
def material_with(tmp_path_factory):
    """Make material of 16 clips, four steps an epoch; checkpoints at every third step, so that kills lose some."""
    clips = write_folders(tmp_path_factory.mktemp("kills") / "clips")

    def make(workers: int) -> Material:
        recipe = tiny(f"data.workers={workers}", f"optim.epochs={EPOCHS}", "run.checkpoint_every_steps=3")
        return prepare(read_training_data(clips, recipe), recipe, Progress())

    return make


def train(material: Material, folder: Path) -> None:
    """Begin a run, or resume it, as ``--resume`` does."""
    sweep_orphans(folder / "checkpoints")
    state = last_good_state(folder / "checkpoints", print)
    make_loop(material, folder, state=State() if state is None else state).fit()


@pytest.fixture(scope="module")
def whole(material_with, tmp_path_factory):
    """The folder of a run that nobody disturbed. It also warms this process, from which the others are forked."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(material_with(0), folder)
    return folder


def final(folder: Path) -> State:
    return load_checkpoint(find_checkpoints(folder / "checkpoints")[-1])


def assert_same_run(folder: Path, expected: Path) -> None:
    found, wanted = final(folder), final(expected)
    assert (found.step, found.history, found.losses) == (wanted.step, wanted.history, wanted.losses)
    assert (found.best_score, found.best_epoch) == (wanted.best_score, wanted.best_epoch)
    assert set(found.tensors) == set(wanted.tensors)
    assert [k for k, v in wanted.tensors.items() if not torch.equal(found.tensors[k], v)] == []
    assert (folder / "log.csv").read_bytes() == (expected / "log.csv").read_bytes()
    assert events_of(folder) == events_of(expected)


def events_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows: step and value of every figure."""
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def run_child(material: Material, folder: Path, kill_after_s: float | None = None) -> int:
    child = fork(lambda: train(material, folder))
    child.go()
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child.pid, signal.SIGKILL)
    return child.wait()


def kill_runs(material: Material, base: Path, kills: int, rng: random.Random) -> list[Path]:
    """Kill runs until ``kills`` kills have hit; a run that comes to its end gives way to another one.

    Returns:
        the folders of all runs, each brought to its end.
    """
    start = time.monotonic()
    assert run_child(material, base / "0") == DONE
    longest_s = SHARE_TO_LIVE * (time.monotonic() - start)
    folders, hits = [base / "0", base / "1"], 0
    while hits < kills:
        code = run_child(material, folders[-1], rng.uniform(0, longest_s))
        assert code in (DONE, -signal.SIGKILL)
        hits += code != DONE
        if code == DONE:
            folders.append(base / str(len(folders)))
    assert run_child(material, folders[-1]) == DONE
    return folders


def check(material: Material, whole: Path, base: Path, kills: int, seed: int) -> None:
    for folder in kill_runs(material, base, kills, random.Random(seed)):
        assert_same_run(folder, whole)


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.slow), 2])
def test_r2_r6_killed_six_times_it_ends_in_the_same_bits(material_with, whole, tmp_path, workers):
    check(material_with(workers), whole, tmp_path, kills=6, seed=workers)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_r2_r6_killed_two_hundred_times_it_ends_in_the_same_bits(material_with, whole, tmp_path, workers):
    check(material_with(workers), whole, tmp_path, kills=200, seed=7 + workers)


def test_r6_another_number_of_workers_at_every_start(material_with, whole, tmp_path):
    rng, start = random.Random(1), time.monotonic()
    assert run_child(material_with(1), tmp_path / "0") == DONE
    longest_s = SHARE_TO_LIVE * (time.monotonic() - start)
    for workers in (2, 0, 1, 2):
        run_child(material_with(workers), tmp_path / "1", rng.uniform(0.3, 1) * longest_s)
    assert run_child(material_with(0), tmp_path / "1") == DONE
    for name in ("0", "1"):
        assert_same_run(tmp_path / name, whole)


@pytest.mark.slow
def test_r2_a_whole_run_killed_anywhere_ends_in_the_same_model(tmp_path):
    """From reading the data to the finished folder: preparing, training, exporting, thresholds, scoring, the card."""
    clips = write_folders(tmp_path / "clips", labels=("low", "high", "other"))
    overrides = [*TINY, "optim.epochs=3", "run.checkpoint_every_steps=2"]

    def command(out: Path) -> None:
        api.train(clips, out=out, overrides=overrides, resume=True)

    command(tmp_path / "whole")
    rng, start = random.Random(3), time.monotonic()
    child = fork(lambda: command(tmp_path / "timed"))
    child.go()
    assert child.wait() == DONE
    whole_s = time.monotonic() - start
    folders, hits = [tmp_path / "killed0"], 0
    while hits < 40:
        child = fork(lambda: command(folders[-1]))
        child.go()
        time.sleep(rng.uniform(0, whole_s))
        os.kill(child.pid, signal.SIGKILL)
        code = child.wait()
        assert code in (DONE, -signal.SIGKILL)
        hits += code != DONE
        if code == DONE:
            folders.append(tmp_path / f"killed{len(folders)}")
    command(folders[-1])
    for folder in folders:
        for name in ("model.safetensors", "model.onnx", "golden.npz", "run/log.csv"):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), (folder, name)
        assert load_bundle(folder).spec.thresholds == load_bundle(tmp_path / "whole").spec.thresholds
        assert not list(folder.rglob(".auricle-*"))
