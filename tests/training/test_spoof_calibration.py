# SPDX-License-Identifier: Apache-2.0
"""One command gives a calibrated model of synthetic voices, though nothing is held out of its training part."""

from __future__ import annotations

import os
import shutil
import signal

import numpy as np
import pytest
from helpers.toydata import TINY, Listener, usable, write_folders
from helpers.voicedata import write_corpus

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.data.leave_out import leave_out, split_systems
from auricle.data.splits import make_split
from auricle.errors import ConfigError, Interrupted
from auricle.recipe.schema import load_recipe
from auricle.runtime.bundle import load_bundle
from auricle.runtime.llr import fit_llr, raw_llr

SETTINGS = [
    *(s for s in usable("rawnet", TINY) if not s.startswith(("optim", "augment", "model.dropout"))),
    *("data.pad=repeat", "data.dev=none", "data.calibration_folds=2", "augment.mixup_alpha=0"),
    *("optim.epochs=5", "optim.lr=0.02", "optim.weight_decay=0.01", "model.raw.kernel=32", "model.raw.stride=8"),
    *("model.dropout=0", "model.raw.filter_mask=0", "augment.masks=0", "augment.speed=[1, 1]"),
    *(f"augment.{change}_share=0" for change in ("noise", "filter", "impulse")),
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("voices") / "corpus")


def train(corpus, out, *more, progress=None, resume=False):
    progress = Listener() if progress is None else progress
    return api.train(corpus, out=out, model="rawnet", overrides=[*SETTINGS, *more], progress=progress, resume=resume)


@pytest.fixture(scope="module")
def said():
    return Listener()


@pytest.fixture(scope="module")
def model(corpus, said, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "voice"
    train(corpus, out, progress=said)
    return out


def test_the_calibration_is_that_of_the_left_out_scores(model, corpus, said):
    manifest = read_manifest(corpus)
    split = make_split(manifest, dev="none")
    folds = split_systems(manifest, split.train, 2, 0)
    raw, bonafide = [], []
    for turn in leave_out(manifest, split.train, folds, 0):
        with np.load(model / "run" / "calibration" / turn.name / "scores.npz") as stored:
            scores = stored["scores"]
        assert scores.shape == (len(turn.test), 2)
        raw.append(raw_llr(scores, manifest.labels))
        bonafide += [manifest.clips[i].label == ("bonafide",) for i in turn.test]
    spec = load_bundle(model).spec
    assert len(bonafide) == 48  # all of train: no clip has a held system and a heard speaker
    assert spec.calibration == fit_llr(np.concatenate(raw), bonafide)
    assert spec.calibration.scale > 0
    assert "`llr` is calibrated on recordings that the weights did not learn from" in (model / "README.md").read_text()
    assert any(
        n.startswith("calibrated on 48 recordings of systems and speakers left out: equal") for n in said.notices
    )
    assert sum("calibration, fold" in n and "and a share of the speakers" in n for n in said.notices) == 2


def test_changed_recordings_train_and_do_not_calibrate(corpus, tmp_path):
    """With every second clip a variant, half as many are scored."""
    shutil.copytree(corpus, tmp_path / "corpus")
    protocol = tmp_path / "corpus/protocols/train.txt"
    lines = protocol.read_text().splitlines()
    changed = [line.replace(" - ", " variant ", 1) if i % 2 else line for i, line in enumerate(lines)]
    protocol.write_text("\n".join(changed) + "\n")
    heard = Listener()
    train(tmp_path / "corpus", tmp_path / "model", "optim.epochs=1", progress=heard)
    scored = [np.load(path)["scores"] for path in sorted((tmp_path / "model/run/calibration").glob("*/scores.npz"))]
    assert sum(map(len, scored)) == 24


def test_the_model_itself_trains_on_everything(model, corpus, tmp_path):
    train(corpus, tmp_path / "plain", "data.calibration_folds=0")
    spec = load_bundle(tmp_path / "plain").spec
    assert spec.calibration is None
    weights = [(folder / "model.safetensors").read_bytes() for folder in (model, tmp_path / "plain")]
    assert weights[0] == weights[1]
    assert not list((model / "run" / "calibration").rglob("*.safetensors"))


class StopsInFold(Listener):
    """Sends SIGTERM at the third step of the second fold."""

    def step_done(self, step, loss):
        if step == 3 and sum("calibration, fold" in n for n in self.notices) == 2:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
def test_a_run_stopped_in_a_fold_goes_on_there(model, corpus, tmp_path):
    out = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        train(corpus, out, progress=StopsInFold())
    assert not (out / "auricle.json").exists()
    assert (out / "run" / "calibration" / "1" / "scores.npz").is_file()
    listener = Listener()
    train(corpus, out, progress=listener, resume=True)
    assert listener.starts[0][0] > listener.starts[0][1] == 3  # the main run and fold 1 are done: no step of theirs
    assert len(listener.starts) == 1
    assert load_bundle(out).spec.calibration == load_bundle(model).spec.calibration


def test_a_run_that_has_dev_needs_no_folds(corpus, tmp_path):
    listener = Listener()
    train(corpus, tmp_path / "dev", "data.dev=given", "optim.epochs=2", progress=listener)
    assert not (tmp_path / "dev" / "run" / "calibration").exists()


def test_other_models_have_no_folds(tmp_path):
    data = write_folders(tmp_path / "clips")
    train(data, tmp_path / "tones", "optim.epochs=1")
    assert not (tmp_path / "tones" / "run" / "calibration").exists()


def test_what_cannot_be_told_apart_is_not_calibrated(model, corpus, tmp_path):
    """Scores of the folds that rank spoofed recordings above bona fide ones."""
    out = shutil.copytree(model, tmp_path / "voice")
    for name in ("auricle.json", "run/result.json"):
        (out / name).unlink()
    for path in (out / "run" / "calibration").glob("*/scores.npz"):
        with np.load(path) as stored:
            scores = stored["scores"]
        np.savez(path, scores=scores[:, ::-1])
    listener = Listener()
    train(corpus, out, progress=listener, resume=True)
    assert load_bundle(out).spec.calibration is None
    assert (
        "the model is not calibrated: systems and speakers left out were not told from each other" in listener.notices
    )


def test_one_fold_is_refused():
    with pytest.raises(ConfigError, match="calibration_folds is 1: what one fold leaves out needs another to train on"):
        load_recipe(None, ["data.calibration_folds=1"])
