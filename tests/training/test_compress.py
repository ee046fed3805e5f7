# SPDX-License-Identifier: Apache-2.0
"""``auricle compress``: from a teacher and audio without labels to a model, the same however often it was stopped."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.tinyteachers import CLASSES, write_efficientat
from safetensors.torch import load_file

import auricle
from auricle.distill import crop_store
from auricle.distill.loop import LoopPlan
from auricle.errors import DataError, Interrupted, RunError, UsageError
from auricle.files import FolderLock
from auricle.progress import Progress
from auricle.training import compress as module
from auricle.training.compress import average
from auricle.training.init_weights import WEIGHTS_FILE

SMALL = {"crops": 4, "steps": 3}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> str:
    return str(write_efficientat(tmp_path_factory.mktemp("teacher")))


@pytest.fixture(scope="module")
def audio(tmp_path_factory) -> Path:
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    for number in range(8):
        time = np.arange(32_000) / 16_000
        sound = 0.3 * np.sin(2 * np.pi * 200 * 1.4**number * time) + 0.01 * rng.standard_normal(32_000)
        soundfile.write(folder / f"{number}.wav", sound, 16_000)
    return folder


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Shards of two crops, and norms that are estimated on three batches."""
    patch.setattr(crop_store, "SHARD_CROPS", 2)
    patch.setattr(module, "SHARD_CROPS", 2)
    patch.setattr(module, "LoopPlan", partial(LoopPlan, recalibration=3))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    make_small(monkeypatch)


@pytest.fixture(scope="module")
def model(teacher, audio, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        out = tmp_path_factory.mktemp("model") / "small"
        result = auricle.compress(teacher, audio, out=out, **SMALL)
    assert (result.labels, result.recordings, result.failures) == (5, 8, {})
    return out


def test_the_model_scores_clips_and_frames_of_its_teachers_classes(model, audio):
    detector = auricle.load(model)
    assert detector.labels == CLASSES
    assert detector.spec.label_ids["Speech"] == "/m/0"
    result = detector.frames(str(audio / "0.wav"))
    assert result.values.shape == (25, 5)
    assert result.times[1] - result.times[0] == pytest.approx(0.08)
    assert len(detector.tag(str(audio / "0.wav")).scores) == 5
    assert detector.embed(str(audio / "0.wav")).embedding.shape == (detector.embedding_size,)


def test_a_long_recording_is_heard_once_with_margins(model):
    """A file cut by its windows has the frames that a stream has, whatever the blocks."""
    detector = auricle.load(model)
    samples = 0.1 * np.random.default_rng(0).standard_normal(26 * 16_000).astype(np.float32)
    whole = detector.frames(samples, 16_000).values
    stream = detector.stream(16_000)
    items = [i for block in np.split(samples, [5, 70_000, 300_001]) for i in stream.push(block)] + stream.flush()
    parts = [i.values for i in items if isinstance(i, auricle.Scores)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


class Stopper(Progress):
    def __init__(self, step: int) -> None:
        self.step = step

    def step_done(self, step: int, loss: float) -> None:
        if step == self.step:
            raise Interrupted("stopped", 130)


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(model, teacher, audio, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_STEPS", 1)
    out = tmp_path / "small"
    with pytest.raises(Interrupted):
        auricle.compress(teacher, audio, out=out, progress=Stopper(2), **SMALL)
    (out / "run/crops/00001.deep.npy").write_bytes(b"damaged")
    auricle.compress(teacher, audio, out=out, resume=True, **SMALL)
    for name in ("model.onnx", "model.safetensors", "golden.npz"):
        assert (out / name).read_bytes() == (model / name).read_bytes(), name


def test_seeds_share_the_crops_of_one_run(model, teacher, audio, tmp_path, monkeypatch):
    """Nothing is made anew, the other run stays as it is, and with the same seed no byte differs."""

    def never(*args: object) -> None:
        raise AssertionError("a crop was made")

    monkeypatch.setattr(crop_store.CropMaker, "shard", never)
    before = {path: path.read_bytes() for path in (model / "run").rglob("*") if path.is_file()}
    same, other = tmp_path / "same", tmp_path / "other"
    auricle.compress(teacher, audio, out=same, crops_of=model, **SMALL)
    assert (same / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    auricle.compress(teacher, audio, out=other, crops_of=model, seed=1, **SMALL)
    assert not torch.equal(weights(other)["stem.0.weight"], weights(model)["stem.0.weight"])
    assert sorted(path.name for path in (other / "run").iterdir()) == ["checkpoint.safetensors", "plan.json"]
    assert before == {path: path.read_bytes() for path in (model / "run").rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="it was started with another crops_seed"):
        auricle.compress(teacher, audio, out=other, seed=1, resume=True, **SMALL)


def test_crops_are_taken_of_the_run_that_made_them(model, teacher, audio, tmp_path):
    """A run that took them has none; its folder stays as it is, and the text says which to name."""
    taker = tmp_path / "taker"
    auricle.compress(teacher, audio, out=taker, crops_of=model, seed=1, **SMALL)
    message = f"--crops-of {taker} has no crops of its own, it took those of {model.resolve()}; name that folder"
    with pytest.raises(UsageError, match=re.escape(message)):
        auricle.compress(teacher, audio, out=tmp_path / "out", crops_of=taker, seed=2, **SMALL)
    assert sorted(path.name for path in (taker / "run").iterdir()) == ["checkpoint.safetensors", "plan.json"]
    assert not (tmp_path / "out").exists()


def test_a_run_goes_on_after_the_crops_that_it_took_were_moved(model, teacher, audio, tmp_path):
    out, moved = tmp_path / "out", tmp_path / "moved"
    auricle.compress(teacher, audio, out=out, crops_of=model, seed=1, **SMALL)
    before = (out / "model.onnx").read_bytes()
    shutil.copytree(model, moved)
    auricle.compress(teacher, audio, out=out, crops_of=moved, seed=1, resume=True, **SMALL)
    assert (out / "model.onnx").read_bytes() == before


def test_crops_are_free_for_other_runs_once_they_are_made(teacher, audio, tmp_path):
    """While they are made they are not, nor may they be replaced by a run that begins anew."""
    maker, taker = tmp_path / "maker", tmp_path / "taker"

    class Other(Progress):
        def notice(self, text: str) -> None:
            if text.startswith("crops:"):
                with pytest.raises(RunError, match=r"run is in use by process \d+ on .*; wait for it"):
                    auricle.compress(teacher, audio, out=taker, crops_of=maker, seed=1, **SMALL)

        def step_done(self, step: int, loss: float) -> None:
            if step == 1:
                auricle.compress(teacher, audio, out=taker, crops_of=maker, seed=1, resume=True, **SMALL)
                with pytest.raises(RunError, match=r"maker is in use by process"):
                    auricle.compress(teacher, audio, out=maker, overwrite=True, **SMALL)

    auricle.compress(teacher, audio, out=maker, progress=Other(), **SMALL)
    assert auricle.load(taker).labels == auricle.load(maker).labels


def test_crops_that_are_being_made_are_not_thrown_away(model, teacher, audio, tmp_path):
    """A run whose output is not in use, but whose crops another is just mending."""
    out = tmp_path / "copy"
    shutil.copytree(model, out)
    with FolderLock(out / "run"), pytest.raises(RunError, match="run is in use by process"):
        auricle.compress(teacher, audio, out=out, overwrite=True, **SMALL)
    assert (out / "run/plan.json").is_file()
    assert (out / "model.onnx").is_file()


@pytest.mark.slow
def test_a_student_of_a_student_keeps_its_weights(model, audio, tmp_path):
    out = tmp_path / "smaller"
    kept = "model.residuals=[0,1,2,3,4,5,6,7,10,12,13,14]"
    result = auricle.compress(str(model), audio, out=out, crops=2, steps=1, overrides=[kept])
    assert result.parameters < auricle.load(model).spec.provenance.parameters
    assert auricle.load(out).spec.model.residuals == (0, 1, 2, 3, 4, 5, 6, 7, 10, 12, 13, 14)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.slow
def test_a_student_goes_on_from_its_own_weights_and_is_averaged_with_them(model, teacher, audio, tmp_path):
    """The same steps with --average end half-way."""
    kept = {"start": model, "half": False, **SMALL}
    results = {name: tmp_path / name for name in ("last", "mean")}
    for name, out in results.items():
        auricle.compress(teacher, audio, out=out, average=[str(model)] if name == "mean" else [], **kept)
    before, last, mean = weights(model), weights(results["last"]), weights(results["mean"])
    assert torch.equal(last["head.0.weight"].half(), before["head.0.weight"]), "the last layers stay the teacher's"
    assert not torch.equal(last["stem.0.weight"].half(), before["stem.0.weight"])
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (last[name] + before[name].float()) / 2)
    assert (
        auricle.load(results["mean"]).spec.provenance.initial_weights == auricle.load(model).spec.sha256[WEIGHTS_FILE]
    )


def test_the_average_by_hand():
    """Of three weights the mean; what only counts stays."""
    layers = [torch.nn.BatchNorm1d(1) for _ in range(3)]
    for number, layer in enumerate(layers):
        layer.weight.data[:] = 2.0**number
        layer.num_batches_tracked += number
    average(layers[0], layers[1:])
    assert layers[0].weight.tolist() == pytest.approx([7 / 3])
    assert int(layers[0].num_batches_tracked) == 0


@pytest.mark.slow
def test_a_start_fixes_what_it_is_a_start_of(model, teacher, audio, tmp_path):
    """Residuals that it lacks are not asked for; another start is another run."""
    smaller, out = tmp_path / "smaller", tmp_path / "next"
    kept = "model.residuals=[0,1,2,3,4,5,6,7,10,12,13,14]"
    auricle.compress(teacher, audio, out=smaller, crops=2, steps=1, overrides=[kept], start=model)
    auricle.compress(teacher, audio, out=out, crops=2, steps=1, start=smaller)
    assert len(auricle.load(out).spec.model.residuals) == 12
    with pytest.raises(RunError, match="it was started with another recipe, start"):
        auricle.compress(teacher, audio, out=out, crops=2, steps=1, start=model, resume=True)


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"average": ["general"]}, UsageError, "--average general has other layers than this student"),
        ({"start": "general"}, UsageError, "--start general has other classes than its teacher"),
        ({"overrides": ["optim.lr=0.1"]}, UsageError, "--set optim.lr=0.1: compress looks at model.* and frontend.*"),
        (
            {"overrides": ["model.width=0.4"]},
            UsageError,
            "model.width 0.4 is not the teacher's 0.125: its weights do not fit",
        ),
        ({"resume": True, "overwrite": True}, RunError, "give one of them"),
    ],
)
def test_what_cannot_be_is_refused(teacher, audio, tmp_path, changes, kind, text):
    with pytest.raises(kind) as caught:
        auricle.compress(teacher, audio, out=tmp_path / "out", **{**SMALL, **changes})
    assert text in str(caught.value)


def test_crops_may_be_more_files_than_the_usual_limit(model, teacher, audio, tmp_path):
    """A map of a file holds it open; two shards and one of dev hold 15, and 512 are left for the rest."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        auricle.compress(teacher, audio, out=tmp_path / "out", crops_of=model, **SMALL)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == (
            527 if hard == resource.RLIM_INFINITY else min(527, hard)
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_folders_are_not_overwritten(teacher, audio, model, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no run of compress; choose another folder"):
        auricle.compress(teacher, audio, out=tmp_path, **SMALL)
    with pytest.raises(RunError, match="is not empty; --resume resumes it, --overwrite replaces it"):
        auricle.compress(teacher, audio, out=model, **SMALL)
    with pytest.raises(RunError, match="cannot continue: it was started with another crops, seed"):
        auricle.compress(teacher, audio, out=model, resume=True, **{**SMALL, "crops": 8}, seed=1)


def test_crops_of_something_else_are_not_taken(teacher, audio, model, tmp_path):
    with pytest.raises(UsageError, match="holds no run of compress; name the folder of --out of one"):
        auricle.compress(teacher, audio, out=tmp_path / "out", crops_of=audio, **SMALL)
    changes = {**SMALL, "crops": 8, "overrides": ["frontend.n_mels=40"]}
    with pytest.raises(UsageError, match="was run with another crops, frontend; its crops are not for this run"):
        auricle.compress(teacher, audio, out=tmp_path / "out", crops_of=model, **changes)
    assert not (tmp_path / "out").exists()


def test_audio_that_cannot_be_read_is_named(teacher, tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio/a.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="no recording can be used"):
        auricle.compress(teacher, tmp_path / "audio", out=tmp_path / "out", **SMALL)


def test_listed_recordings_that_are_not_there_are_named(teacher, audio, tmp_path):
    """Whoever copies a table without one of its folders hears of it."""

    class Notices(Progress):
        lines: list[str] = []  # noqa: RUF012

        def notice(self, text: str) -> None:
            self.lines.append(text)

    names = sorted(path.name for path in audio.iterdir())
    (audio / "pool.csv").write_text("\n".join(["filename", *names, "voices/a.flac", "voices/b.flac"]))
    result = auricle.compress(teacher, audio / "pool.csv", out=tmp_path / "out", progress=Notices(), crops=2, steps=1)
    (audio / "pool.csv").unlink()
    assert result.failures == {"voices/a.flac": "no such file", "voices/b.flac": "no such file"}
    assert "2 of 10 listed recordings are not there" in Notices.lines
    assert result.recordings == 8


def test_other_networks_cannot_be_cut(audio, tmp_path):
    with pytest.raises(UsageError, match="esc10 is a MobileCrnn; only layers of EfficientAT can be"):
        auricle.compress("esc10", audio, out=tmp_path / "out", **SMALL)
