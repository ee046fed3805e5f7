# SPDX-License-Identifier: Apache-2.0
"""A run from folders to a model folder: what it leaves, how it continues, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.toydata import RATE, TINY, Listener, signal_at, sound, write_folders
from safetensors.numpy import load as load_tensors

import auricle
from auricle import api
from auricle.errors import DataError, Interrupted, RunError, UsageError
from auricle.files import FolderLock, read_json
from auricle.recipe.schema import load_recipe
from auricle.runtime.bundle import load_bundle
from auricle.runtime.detector import Detector, load
from auricle.runtime.onnx_session import open_network
from auricle.training import bundling
from auricle.training.dev_scores import DevRow
from auricle.training.request_recipe import make_request_recipe
from auricle.training.resume import differences


def train(data, out, *overrides, **settings):
    return api.train(data, out=out, overrides=[*TINY, *overrides], **settings)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Eight clips each of low/ and high/, and of other/, which is no class."""
    return write_folders(tmp_path_factory.mktemp("run") / "clips", labels=("low", "high", "other"))


@pytest.fixture(scope="module")
def said():
    return Listener()


@pytest.fixture(scope="module")
def result(clips, said, tmp_path_factory):
    """A finished run of three epochs."""
    return train(clips, tmp_path_factory.mktemp("models") / "toy", "optim.epochs=3", progress=said)


@pytest.fixture
def model(result, tmp_path):
    """A copy of its folder that a test may spoil."""
    return shutil.copytree(result.path, tmp_path / "toy")


def weights_of(folder) -> bytes:
    return (folder / "model.safetensors").read_bytes()


# --- what a run leaves


def test_the_folder_is_a_model(result):
    bundle = load_bundle(result.path)
    spec = bundle.spec
    assert (spec.name, spec.task, spec.labels, spec.negatives) == ("toy", "single", ("high", "low"), True)
    assert (spec.sample_rate, spec.window_s, spec.hop_s, spec.pad, spec.aggregate) == (RATE, 0.5, 0.28, "zero", "mean")
    assert (spec.model.name, spec.model.head, spec.frontend.n_mels) == ("crnn", "attention", 16)
    assert (spec.frames.hop_samples, spec.min_samples, spec.fixed_length) == (320, 320, False)
    assert set(spec.sha256) == {"model.onnx", "model.safetensors", "golden.npz", "clips.json", "neighbours.npz"}
    assert set(spec.thresholds) == {"high", "low"}
    assert spec.provenance.data_form == "folders"
    assert spec.provenance.data_name == "clips"
    assert spec.provenance.seeds == (0,)
    assert spec.provenance.parameters == sum(v.size for n, v in _weights(bundle).items() if not _is_statistic(n))


def test_what_is_like_no_training_clip_is_flagged(result):
    """A few toy clips teach a network little: so the limit is moved to either side of what is found."""
    bundle = load_bundle(result.path)
    limit = bundle.spec.neighbours
    assert (limit.k, limit.recordings >= 9, limit.beyond <= 0.1) == (3, True, True)

    def flags(value: float, say: str) -> list[str]:
        moved = bundle.spec.model_copy(update={"neighbours": limit.model_copy(update={"limit": value})})
        detector = Detector(replace(bundle, spec=moved), open_network(bundle))
        return [flag.code for flag in getattr(detector, say)(sound("low", 31), RATE).flags]

    for say in ("tag", "detect"):
        assert flags(2.0, say) == []
        assert flags(0.0, say) == ["out_of_distribution"]


def _weights(bundle):
    return load_tensors(bundle.read("model.safetensors"))


def _is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def test_the_model_hears(result):
    detector = auricle.load(result.path)
    tagged = detector.tag(sound("low", 3), RATE)
    assert {score.label for score in tagged.scores} == {"high", "low"}
    assert 0 <= sum(score.score for score in tagged.scores) <= 1
    assert all(0 <= event.onset <= event.offset <= 0.6 for event in detector.detect(sound("low", 3), RATE).events)
    assert detector.embed(sound("low", 3), RATE).embedding.shape == (32,)


def test_the_result_says_what_happened(result, said):
    assert (result.epochs, result.steps, result.finished, result.test) == (3, len(said.losses), True, None)
    assert set(result.dev) == {"accuracy", "log_loss"}
    best = max(row["dev_accuracy"] for row in said.rows)
    assert result.dev["accuracy"] == best
    assert read_json(Path(result.path) / "run" / "result.json") == result.to_dict()


def test_the_run_folder_repeats_the_run(result):
    folder = Path(result.path) / "run"
    recipe = load_recipe(folder / "recipe.yaml")
    assert recipe == load_recipe(None, [*TINY, "optim.epochs=3", "task=single"])
    assert load_bundle(result.path).spec.provenance.recipe == recipe.model_dump(mode="json")
    assert {"checkpoints", "log.csv", "recipe.yaml", "result.json", "tensorboard"} == {
        path.name for path in folder.iterdir()
    }


def test_progress_tells_what_was_decided(result, said):
    assert "21 clips to train, 3 dev, 0 test; 2 classes, task single" in said.notices
    assert said.starts == [(15, 0)]


def test_golden_scores_are_those_of_the_model(result):
    bundle = load_bundle(result.path)
    golden = np.load(io.BytesIO(bundle.read("golden.npz")), allow_pickle=False)
    assert set(golden.files) == {"waveform", "clip", "frames"}
    scores = {s.label: s.score for s in load(result.path).tag(golden["waveform"][0], RATE).scores}
    np.testing.assert_allclose([scores[label] for label in bundle.spec.labels], golden["clip"][0], atol=1e-6)


def test_the_same_command_makes_the_same_model(clips, result, tmp_path):
    again = train(clips, tmp_path / "again", "optim.epochs=3")
    assert weights_of(tmp_path / "again") == weights_of(Path(result.path))
    assert again.dev == result.dev


# --- going on


def test_a_finished_run_has_nothing_to_do(clips, result, model):
    listener = Listener()
    before = weights_of(model)
    again = train(clips, model, "optim.epochs=3", resume=True, progress=listener)
    assert listener.notices == [f"{model} is finished; nothing to do"]
    assert (again.epochs, again.steps, dict(again.dev)) == (
        3,
        result.steps,
        read_json(model / "run" / "result.json")["dev"],
    )
    assert weights_of(model) == before


def test_resume_without_a_checkpoint_starts_from_step_0(clips, tmp_path):
    listener = Listener()
    train(clips, tmp_path / "m", "optim.epochs=1", resume=True, progress=listener)
    assert "no checkpoint yet: starting from step 0" in listener.notices


@pytest.fixture
def stopped(clips, tmp_path):
    """A run that a signal stopped after step 7 of 15."""
    out = tmp_path / "stopped"
    with pytest.raises(Interrupted, match="stopped at step 7; continue with --resume"):
        train(clips, out, "optim.epochs=3", progress=signal_at(7, signal.SIGTERM))
    return out


def test_a_stopped_run_ends_in_the_same_model(clips, result, stopped):
    assert not (stopped / "auricle.json").exists()
    listener = Listener()
    resumed = train(
        clips, stopped, "optim.epochs=3", "data.workers=1", "run.checkpoint_every_s=9", resume=True, progress=listener
    )
    assert "resuming at step 7" in listener.notices
    assert weights_of(stopped) == weights_of(Path(result.path))
    assert resumed.dev == result.dev
    assert load_bundle(stopped).spec.thresholds == load_bundle(result.path).spec.thresholds


def test_a_run_does_not_go_on_with_other_settings(clips, stopped):
    kept = (stopped / "run" / "recipe.yaml").read_text()
    with pytest.raises(RunError) as caught:
        train(clips, stopped, "optim.epochs=3", "optim.lr=0.01", "model.dropout=0", resume=True)
    assert str(caught.value) == (
        f"{stopped} cannot continue: it was started with other settings, data or code: model.dropout was 0.2, is 0.0; "
        "optim.lr was 0.002, is 0.01; give the same ones, resume these in another folder with --fork, "
        "or train anew with --overwrite"
    )
    assert (stopped / "run" / "recipe.yaml").read_text() == kept


def test_a_run_does_not_go_on_with_other_data(clips, stopped, tmp_path):
    other = shutil.copytree(clips, tmp_path / "other")
    (other / "low" / "7.wav").unlink()
    with pytest.raises(
        RunError, match=r"cannot continue: .* code: .*data_hash was '[0-9a-f]{64}', is '[0-9a-f]{64}'; give"
    ):
        train(other, stopped, "optim.epochs=3", resume=True)


def test_r7_a_file_of_the_same_size_with_other_content_is_other_data(clips, stopped, tmp_path):
    other = shutil.copytree(clips, tmp_path / "other")
    content = (other / "low" / "7.wav").read_bytes()
    (other / "low" / "7.wav").write_bytes(content[:-4] + bytes(4))
    with pytest.raises(RunError, match=r"code: content was '[0-9a-f]{16}', is '[0-9a-f]{16}'; give the same ones"):
        train(other, stopped, "optim.epochs=3", resume=True)


@pytest.mark.parametrize("name", ["code", "torch", "version"])
def test_r7_a_run_does_not_go_on_with_other_code(clips, stopped, monkeypatch, name):
    from auricle.training import run

    original = run.fingerprint
    monkeypatch.setattr(run, "fingerprint", lambda *given: {**original(*given), name: "9.9"})
    with pytest.raises(RunError, match=rf"other settings, data or code: {name} was '[\w.+]+', is '9.9'; give the same"):
        train(clips, stopped, "optim.epochs=3", resume=True)


def test_c9_what_an_earlier_version_did_not_note_is_no_difference():
    before, now = {"recipe": {"seed": 0}}, {"recipe": {"seed": 1}, "code": "x"}
    assert differences(before, now) == ["seed was 0, is 1"]
    assert differences(now, now) == []


# --- forks


def test_r7_a_run_is_forked_with_other_settings(clips, stopped, tmp_path):
    kept = {p.name: p.read_bytes() for p in (stopped / "run" / "checkpoints").iterdir()}
    listener = Listener()
    result = train(clips, stopped, "optim.epochs=3", "optim.lr=0.01", fork=tmp_path / "fork", progress=listener)
    assert "fork: optim.lr was 0.002, is 0.01" in listener.notices
    assert f"forked from {stopped}, resuming at step 7" in listener.notices
    assert (listener.starts, len(listener.losses)) == ([(15, 7)], 8)
    assert (result.path, result.epochs) == (str(tmp_path / "fork"), 3)
    assert load_bundle(tmp_path / "fork").spec.provenance.recipe["optim"]["lr"] == 0.01
    assert read_json(tmp_path / "fork" / "run" / "fork.json") == {
        "from": str(stopped),
        "step": 7,
        "epochs": 1,
        "differences": ["optim.lr was 0.002, is 0.01"],
    }
    assert {p.name: p.read_bytes() for p in (stopped / "run" / "checkpoints").iterdir()} == kept


def test_keys_of_other_networks_that_an_earlier_version_noted_are_no_difference():
    now = {"recipe": {"model": {"name": "crnn", "width": 1.0}}}
    assert differences({"recipe": {"model": {"name": "crnn", "width": 1.0, "causal": False}}}, now) == []
    (line,) = differences({"recipe": {"model": {"name": "crnn", "width": 1.0, "causal": True}}}, now)
    assert line.startswith("model.causal was True")


def test_a_fork_without_a_difference_ends_in_the_same_model(clips, result, stopped, tmp_path):
    train(clips, stopped, "optim.epochs=3", fork=tmp_path / "fork")
    assert weights_of(tmp_path / "fork") == weights_of(Path(result.path))


def test_a_fork_with_other_data_begins_its_epoch_again_and_forgets_the_best(clips, stopped, tmp_path):
    other = shutil.copytree(clips, tmp_path / "other")
    (other / "low" / "7.wav").unlink()
    listener = Listener()
    train(other, stopped, "optim.epochs=3", "data.batch_size=5", fork=tmp_path / "fork", progress=listener)
    assert listener.starts == [(12, 4)]
    assert [row["epoch"] for row in listener.rows] == [2, 3]


def test_a_fork_goes_on_as_the_run_that_it_is(clips, stopped, tmp_path):
    words = ("optim.epochs=3", "optim.lr=0.01")
    train(clips, stopped, *words, fork=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(clips, stopped, *words, fork=tmp_path / "again", progress=signal_at(9, signal.SIGTERM))
    train(clips, tmp_path / "again", *words, resume=True)
    assert weights_of(tmp_path / "again") == weights_of(tmp_path / "whole")


def test_c6_c7_a_fork_must_fit(clips, stopped, tmp_path):
    with pytest.raises(RunError, match=r"cannot be forked: \d+ of its weights have other names or shapes .* keep the"):
        train(clips, stopped, "model.width=0.25", fork=tmp_path / "fork")
    other = shutil.copytree(clips, tmp_path / "other")
    (other / "low").rename(other / "deep")
    with pytest.raises(RunError, match=r"it learns the classes high, low; the data has deep, high: start from its"):
        train(other, stopped, fork=tmp_path / "third")


def test_a_fork_needs_a_run_and_a_new_folder(clips, stopped, model, tmp_path):
    with pytest.raises(RunError, match=r"--fork resumes the run of --out in a new folder: leave out --resume"):
        train(clips, stopped, fork=tmp_path / "fork", resume=True)
    with pytest.raises(
        RunError, match=r"none holds no run; --fork takes the folder of a new one, --out that of the old"
    ):
        train(clips, tmp_path / "none", fork=tmp_path / "fork")
    with pytest.raises(RunError, match=r"toy holds a model already"):
        train(clips, stopped, fork=model)
    shutil.rmtree(stopped / "run" / "checkpoints")
    with pytest.raises(RunError, match=r"stopped has no checkpoint to fork from; train into the new folder without"):
        train(clips, stopped, fork=tmp_path / "fork")


# --- faults


def test_c1_a_run_whose_last_checkpoint_is_damaged_goes_on_from_the_one_before(clips, result, tmp_path):
    out = tmp_path / "m"
    with pytest.raises(Interrupted):
        train(clips, out, "optim.epochs=3", "run.checkpoint_every_steps=3", progress=signal_at(7, signal.SIGTERM))
    last = sorted((out / "run" / "checkpoints").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-100])
    listener = Listener()
    train(clips, out, "optim.epochs=3", resume=True, progress=listener)
    assert f"the checkpoint {last.name} is damaged (truncated, " in "\n".join(listener.notices)
    assert "resuming at step 6" in listener.notices
    assert weights_of(out) == weights_of(Path(result.path))


def test_r22_a_run_sweeps_what_a_killed_one_left(clips, stopped):
    left = [stopped / "run" / "checkpoints", stopped / "run", stopped]
    paths = [folder / ".auricle-0123456789abcdef.tmp" for folder in left]
    for path in paths:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    train(clips, stopped, "optim.epochs=3", resume=True)
    assert not any(path.exists() for path in paths)


def test_r9_a_network_that_does_not_listen_is_said(clips, tmp_path, monkeypatch):
    from auricle.training import run

    monkeypatch.setattr(run, "score_rows", lambda n, m, clips: [DevRow(np.full(2, 0.5, np.float32)) for _ in clips])
    listener = Listener()
    train(clips, tmp_path / "m", "optim.epochs=1", progress=listener)
    assert "all 3 dev outputs are identical (collapsed); lower optim.lr" in listener.notices


# --- output folders


def test_a_model_is_not_replaced_by_accident(clips, model):
    with pytest.raises(RunError) as caught:
        train(clips, model)
    assert str(caught.value) == f"{model} holds a model already; --resume resumes it, --overwrite replaces it"


def test_a_folder_of_other_things_is_refused_always(clips, tmp_path):
    (tmp_path / "m" / "run").mkdir(parents=True)
    (tmp_path / "m" / "run" / "thesis.tex").write_text("")
    for settings in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(RunError, match=r"m holds other things than a model \(run\); choose another folder$"):
            train(clips, tmp_path / "m", **settings)
    assert (tmp_path / "m" / "run" / "thesis.tex").exists()


def test_a_file_is_no_folder(clips, tmp_path):
    (tmp_path / "m").write_text("")
    with pytest.raises(RunError, match=r"m is a file; --out takes a folder$"):
        train(clips, tmp_path / "m")


def test_resume_and_overwrite_exclude_each_other(clips, model):
    with pytest.raises(RunError, match=r"--resume resumes a model and --overwrite throws it away"):
        train(clips, model, resume=True, overwrite=True)


def test_overwrite_does_not_empty_the_model_that_it_starts_from(clips, model):
    with pytest.raises(RunError, match=r"--init and --out are both .*, which --overwrite would empty first"):
        train(clips, model, overwrite=True, init=str(model))
    assert (model / "model.safetensors").is_file()


def test_overwrite_replaces_all_of_it(clips, model):
    (model / "model.int8.onnx").write_bytes(b"old")
    (model / "run" / "old").mkdir()
    before = weights_of(model)
    result = train(clips, model, "optim.epochs=1", overwrite=True)
    assert result.epochs == 1
    assert weights_of(model) != before
    assert not (model / "model.int8.onnx").exists()
    assert not (model / "run" / "old").exists()
    assert not (model / "run" / "lock").exists()


def test_data_that_cannot_be_used_costs_no_model_and_leaves_a_free_folder(clips, model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        train(tmp_path / "empty", model, overwrite=True)
    assert load(model).labels == ("high", "low")
    with pytest.raises(DataError):
        train(tmp_path / "empty", tmp_path / "new")
    assert train(clips, tmp_path / "new", "optim.epochs=1").epochs == 1


def test_a_second_run_in_the_same_folder_is_refused(clips, tmp_path):
    with FolderLock(tmp_path / "m" / "run"), pytest.raises(RunError, match=rf"is in use by process {os.getpid()} on "):
        train(clips, tmp_path / "m")


# --- held-out data


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """A table of 18 clips in three folds."""
    folder = write_folders(tmp_path_factory.mktemp("folds") / "clips", clips=9)
    rows = [f"{label}/{i}.wav,{label},{i % 3 + 1}" for label in ("low", "high") for i in range(9)]
    (folder / "table.csv").write_text("\n".join(["filename,label,fold", *rows]) + "\n")
    return folder / "table.csv"


def test_the_held_out_fold_is_scored_once_by_the_model_itself(folds, tmp_path, monkeypatch):
    scored = []
    original = bundling.score_manifest
    monkeypatch.setattr(
        bundling, "score_manifest", lambda d, m: (scored.append([c.key for c in m.clips]), original(d, m))[1]
    )
    listener = Listener()
    result = train(folds, tmp_path / "m", test_fold="2", progress=listener)
    assert "10 clips to train, 2 dev, 6 test; 2 classes, task single" in listener.notices
    assert scored == [[f"{label}/{i}.wav" for label in ("low", "high") for i in (1, 4, 7)]]
    assert (result.test.n, result.test.metrics["accuracy"].n) == (6, 6)
    card = (tmp_path / "m" / "README.md").read_text()
    assert "| test, scored once | accuracy | " in card
    assert "| dev, which selected the weights | accuracy | " in card
    assert read_json(tmp_path / "m" / "run" / "result.json")["test"]["n"] == 6
    again = train(folds, tmp_path / "m", test_fold="2", resume=True)
    assert again.to_dict() == result.to_dict(), "a finished run gives its report again"
    assert len(scored) == 1


def test_an_unknown_fold_is_refused(folds, tmp_path):
    with pytest.raises(UsageError, match=r"unknown fold '9'; known: 1, 2, 3"):
        train(folds, tmp_path / "m", test_fold="9")


def test_evaluate_scores_a_part(folds, result):
    report = api.evaluate(folds, model=result.path, fold="1")
    assert report.n == 6
    assert 0 <= report.metrics["accuracy"].value <= 1
    with pytest.raises(UsageError, match=r"no clip is left to score; splits in the data: none; folds: 1, 2, 3"):
        api.evaluate(folds, model=result.path, fold="4")


# --- recipes


def test_the_recipe_of_a_run(tmp_path):
    (tmp_path / "r.yaml").write_text("optim: {lr: 0.01, epochs: 3}\nseed: 5\n")
    recipe = make_request_recipe("crnn", tmp_path / "r.yaml", ["optim.epochs=4"], None)
    assert (recipe.optim.lr, recipe.optim.epochs, recipe.seed, recipe.model.name) == (0.01, 4, 5, "crnn")
    assert make_request_recipe("crnn", tmp_path / "r.yaml", ["seed=6"], 7).seed == 7
    with pytest.raises(UsageError, match=r"unknown network 'crn' \(did you mean 'crnn'\?\); known: crnn"):
        make_request_recipe("crn", None, [], None)


def test_several_labels_make_it_multi(tmp_path):
    folder = write_folders(tmp_path / "clips", clips=6)
    both = [0.5 * (sound("low", i) + sound("high", i)) for i in range(6)]
    (folder / "both").mkdir()
    for i, samples in enumerate(both):
        soundfile.write(folder / "both" / f"{i}.wav", samples, RATE, subtype="FLOAT")
    labels = {"low": "low", "high": "high", "both": "high;low"}
    rows = [f"{name}/{i}.wav,{label}" for name, label in labels.items() for i in range(6)]
    (folder / "t.csv").write_text("\n".join(["filename,label", *rows]) + "\n")
    result = train(folder / "t.csv", tmp_path / "m", "model.head=linear_softmax")
    spec = load_bundle(tmp_path / "m").spec
    assert (spec.task, spec.aggregate, spec.negatives) == ("multi", "max", False)
    assert set(result.dev) == {"mAP", "log_loss"}


def test_a_head_without_frames_makes_a_model_of_one_length(clips, tmp_path):
    train(clips, tmp_path / "m", "model.head=concat_mlp", "optim.epochs=1")
    spec = load_bundle(tmp_path / "m").spec
    assert (spec.fixed_length, spec.frames) == (True, None)
    result = load(tmp_path / "m").detect(sound("low", 1, 1.3), RATE)
    assert [flag.code for flag in result.flags] == ["window_resolution"]
    golden = np.load(tmp_path / "m" / "golden.npz", allow_pickle=False)
    assert set(golden.files) == {"waveform", "clip"}


def test_json_of_a_run_is_plain(result):
    assert json.loads(json.dumps(result.to_dict()))["path"] == result.path
