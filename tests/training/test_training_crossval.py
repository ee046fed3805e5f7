# SPDX-License-Identifier: Apache-2.0
"""Cross-validation: every clip scored once by a model that never saw its fold."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from concurrent.futures import Future

import numpy as np
import pytest
from helpers.toydata import TINY, Listener, signal_at, tiny, write_folders

from auricle import api
from auricle.errors import Interrupted, RunError, TrainingError
from auricle.files import read_json, write_json
from auricle.progress import Progress
from auricle.runtime.bundle import load_bundle
from auricle.runtime.detector import load
from auricle.training import crossval
from auricle.training.crossval import _file_name, run_crossval
from auricle.training.preparation import read_training_data

RECIPE = tiny("optim.epochs=1")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Ten clips in two folds."""
    folder = write_folders(tmp_path_factory.mktemp("crossval") / "clips", clips=5)
    rows = [f"{label}/{i}.wav,{label},{'a' if i < 3 else 'b'}" for label in ("low", "high") for i in range(5)]
    (folder / "t.csv").write_text("\n".join(["filename,label,fold", *rows]) + "\n")
    return folder / "t.csv"


@pytest.fixture(scope="module")
def manifest(data):
    return read_training_data(data, RECIPE)


@pytest.fixture(scope="module")
def done(manifest, tmp_path_factory):
    """The folder of a finished cross-validation, and its result."""
    out = tmp_path_factory.mktemp("crossval") / "cv"
    return out, run_crossval(manifest, RECIPE, seeds=[0], out=out, jobs=1, progress=Progress())


def scores_of(folder) -> np.ndarray:
    return np.load(folder / "scores.npz", allow_pickle=False)["scores"]


def test_every_clip_is_scored_by_the_other_folds_model(done, manifest):
    out, result = done
    assert (result.n, set(result.by_fold), set(result.by_seed)) == (10, {"a", "b"}, {0})
    right = []
    for fold in "ab":
        test = [clip for clip in manifest.clips if clip.fold == fold]
        scores = scores_of(out / f"fold{fold}")
        detector = load(out / f"fold{fold}")
        for clip, row in zip(test, scores, strict=True):
            tagged = {s.label: s.score for s in detector.tag(clip.path).scores}
            np.testing.assert_allclose(row, [tagged[label] for label in manifest.labels], atol=1e-5)
            right.append(manifest.labels[int(row.argmax())] in clip.label)
    assert result.metrics["accuracy"].value == pytest.approx(np.mean(right))
    assert result.by_seed[0]["accuracy"] == pytest.approx(np.mean(right))
    assert result.metrics["accuracy"].n == 10


def test_nothing_selects(done):
    """No dev part: all clips of the other folds train, the last averaged weights are scored."""
    out, _ = done
    assert "dev_" not in (out / "folda" / "run" / "log.csv").read_text()
    assert set(load_bundle(out / "folda").spec.thresholds.values()) == {0.5}


def test_the_name_of_a_fold_stays_in_its_folder():
    assert [_file_name(name) for name in ("1", "site-A", "../../x", "a b/c")] == ["1", "site-A", ".._.._x", "a_b_c"]


def test_what_is_written(done):
    out, result = done
    written = json.loads((out / "results.json").read_text())
    assert written == json.loads(json.dumps(result.to_dict()))
    assert set(written) == {"n", "data_hash", "parameters", "metrics", "by_seed", "by_fold", "recipe", "failures"}
    assert written["failures"] == []
    assert written["parameters"] == load_bundle(out / "foldb").spec.provenance.parameters
    assert not (out / "lock").exists()


def test_finished_folds_are_kept(manifest, done, tmp_path):
    out = shutil.copytree(done[0], tmp_path / "cv")
    (out / "foldb" / "scores.npz").unlink()
    shutil.rmtree(out / "foldb" / "run" / "checkpoints")
    listener = Listener()
    again = run_crossval(manifest, RECIPE, seeds=[0], out=out, jobs=1, progress=listener)
    assert [text for text in listener.notices if text.startswith("fold")] == ["fold b, seed 0 (1 of 1)"]
    assert again.to_dict() == done[1].to_dict()


def test_a_stopped_fold_goes_on(manifest, done, tmp_path):
    with pytest.raises(Interrupted):
        run_crossval(manifest, RECIPE, seeds=[0], out=tmp_path / "cv", jobs=1, progress=signal_at(1, signal.SIGTERM))
    again = run_crossval(manifest, RECIPE, seeds=[0], out=tmp_path / "cv", jobs=1, progress=Progress())
    assert again.to_dict() == done[1].to_dict()


def test_other_recipes_and_data_are_not_mixed(manifest, done):
    out, _ = done
    expected = r"holds a cross-validation of other data or another recipe; choose another folder$"
    with pytest.raises(RunError, match=expected):
        run_crossval(manifest, tiny("optim.epochs=2"), seeds=[0], out=out, jobs=1, progress=Progress())
    with pytest.raises(RunError, match=expected):
        run_crossval(manifest.select(range(8)), RECIPE, seeds=[0], out=out, jobs=1, progress=Progress())


def test_a_folder_of_an_earlier_version_goes_on(manifest, done, tmp_path):
    """It kept the initial weights beside its recipe, which had no such section."""
    out = shutil.copytree(done[0], tmp_path / "cv")
    stored = read_json(out / "crossval.json")
    init = stored["recipe"].pop("init")
    assert init == {"model": "none", "new_head": False, "keep": 0.0}
    write_json(out / "crossval.json", stored)
    assert (
        run_crossval(manifest, RECIPE, seeds=[0], out=out, jobs=1, progress=Progress()).to_dict() == done[1].to_dict()
    )
    write_json(out / "crossval.json", {**stored, "start": {"model": "esc10", "new_head": True}})
    with pytest.raises(RunError, match="another recipe"):
        run_crossval(manifest, RECIPE, seeds=[0], out=out, jobs=1, progress=Progress())


@pytest.mark.slow
def test_several_seeds_are_averaged_and_stand_apart(data, tmp_path):
    result = api.crossval(data, overrides=[*TINY, "optim.epochs=1"], seeds=2, out=tmp_path / "cv")
    assert {path.name for path in (tmp_path / "cv").glob("seed*/fold*")} == {"folda", "foldb"}
    figures = [result.by_seed[seed]["accuracy"] for seed in (0, 1)]
    assert result.metrics["accuracy"].value == pytest.approx(np.mean(figures))
    assert [len(values) for values in result.by_fold.values()] == [2, 2]
    first, second = (scores_of(tmp_path / "cv" / f"seed{seed}" / "folda") for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_without_a_folder_nothing_stays(data, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert api.crossval(data, overrides=[*TINY, "optim.epochs=1"]).n == 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_folds_side_by_side_give_the_same(manifest, done, tmp_path):
    listener = Listener()
    result = run_crossval(manifest, RECIPE, seeds=[0], out=tmp_path / "cv", jobs=2, progress=listener)
    assert result.to_dict() == done[1].to_dict()
    assert sorted(text.split(":")[0] for text in listener.notices if text.startswith("fold")) == [
        "fold a, seed 0",
        "fold b, seed 0",
    ]


def killed(*_arguments) -> str:
    """Stand in for the training of a fold whose process dies."""
    os._exit(9)


@pytest.mark.slow
def test_a_killed_fold_is_told_in_one_line(manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(crossval, "train_fold", killed)
    with pytest.raises(TrainingError, match=r"a process that trained a fold was killed .* give the same command again"):
        run_crossval(manifest, RECIPE, seeds=[0], out=tmp_path / "cv", jobs=2, progress=Listener())


def test_an_interrupted_call_leaves_processes_of_others_alone(manifest, tmp_path, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(crossval.ProcessPoolExecutor, "submit", lambda *_: Future())
    monkeypatch.setattr(crossval, "as_completed", interrupted)
    other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    other.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_crossval(manifest, RECIPE, seeds=[0], out=tmp_path / "cv", jobs=2, progress=Listener())
        other.join(0.2)
        assert other.is_alive()
    finally:
        other.kill()
        other.join()
