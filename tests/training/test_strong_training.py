# SPDX-License-Identifier: Apache-2.0
"""Training on strong and weak labels in one run: it learns when, resumes to the bit, and keeps weak data as it was."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from helpers.crowd import crowd
from helpers.toydata import RATE, TINY, Listener, make_loop, signal_at, tiny

from auricle import api
from auricle.batches.frame_targets import frame_truth
from auricle.data.formats.desed_tables import write_events
from auricle.errors import Interrupted
from auricle.evaluation.events.metrics import event_counts
from auricle.evaluation.metrics import f1_from_counts
from auricle.nn.networks import build_network
from auricle.progress import Progress
from auricle.recipe.schema import make_recipe
from auricle.results import Event
from auricle.training.checkpoint import last_good_state
from auricle.training.dev_scores import dev_figures, score_rows
from auricle.training.distributed import ALONE, Group
from auricle.training.preparation import prepare, read_training_data

PITCHES = {"low": 400.0, "high": 1_500.0}
SCENE_S = 2.0


def scene(seed: int) -> tuple[np.ndarray, list[Event]]:
    """Return noise with up to three tones at known times."""
    rng = np.random.default_rng(seed)
    wave = 0.02 * rng.standard_normal(round(SCENE_S * RATE))
    found = []
    for label in rng.permutation(["low", "high", "low"])[: rng.integers(0, 4)]:
        length, onset = rng.uniform(0.2, 0.6), rng.uniform(0, 1.4)
        if any(e.label == label and onset < e.offset + 0.5 and e.onset < onset + length + 0.5 for e in found):
            continue
        begin, end = round(onset * RATE), round((onset + length) * RATE)
        pitch = PITCHES[label] * rng.uniform(0.9, 1.1)
        wave[begin:end] += 0.2 * np.sin(2 * np.pi * pitch * np.arange(end - begin) / RATE)
        found.append(Event(str(label), begin / RATE, end / RATE, 1.0))
    return wave.astype(np.float32), sorted(found, key=lambda e: e.onset)


def write_scenes(folder: Path, count: int, seed: int = 0, weak: int = 0) -> dict[str, list[Event]]:
    """Write scenes; the last ``weak`` of them say only what. Returns all events by file."""
    folder.mkdir(parents=True)
    truth = {}
    for number in range(count):
        wave, truth[f"{number:03d}.wav"] = scene(1_000 * seed + number)
        soundfile.write(folder / f"{number:03d}.wav", wave, RATE, subtype="FLOAT")
    names = list(truth)
    write_events(folder / "events.tsv", {name: truth[name] for name in names[: count - weak]})
    if weak:
        rows = (f"{name}\t{','.join(sorted({e.label for e in truth[name]})) or 'other'}" for name in names[-weak:])
        (folder / "weak.tsv").write_text("filename\tevent_labels\n" + "\n".join(rows) + "\n")
    return truth


RECIPE = (
    "model.width=0.25", "model.dropout=0", "frontend.hop_ms=20", "frontend.window_ms=40", "model.time_stride=2",
    "data.clip_s=1.5", "data.batch_size=8", "augment.speed=[1, 1]", "augment.gain_db=6", "optim.lr=0.01",
    "optim.ema=0.9",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("causal", [False, True])
def test_tones_at_known_times_are_learnt(tmp_path, causal):
    write_scenes(tmp_path / "train", 96, weak=16)
    truth = write_scenes(tmp_path / "new", 40, seed=1)
    epochs = 35 if causal else 20  # what looks back alone learns more slowly
    settings = [*TINY, *RECIPE, f"optim.epochs={epochs}", f"model.causal={str(causal).lower()}"]
    result = api.train(tmp_path / "train", out=tmp_path / "model", overrides=settings)
    assert list(result.dev)[:2] == ["frame_mAP", "mAP"]
    assert result.dev["frame_mAP"] > 0.9
    detector = api.load(tmp_path / "model")
    counts = sum(
        event_counts(events, detector.detect(tmp_path / "new" / name).events, ["low", "high"])
        for name, events in truth.items()
    )
    assert f1_from_counts(counts.sum(axis=0, keepdims=True))[0] > 0.9
    assert min(f1_from_counts(counts)) > 0.8


@pytest.fixture
def material(tmp_path):
    write_scenes(tmp_path / "data", 10, weak=4)
    recipe = tiny(*RECIPE, "augment.speed=[0.9, 1.1]", "data.clip_s=0.5", "data.batch_size=4", "model.dropout=0.2")
    return prepare(read_training_data(tmp_path / "data", recipe), recipe, Progress())


def test_batches_hold_what_is_known_of_when(material, tmp_path):
    loop = make_loop(material, tmp_path / "run")
    batch = next(loop._loader(0, 1, 0))
    (source,) = (source for source in loop.sources if source.name == "frames")
    assert batch.targets["frames"].frames.shape == (len(batch.clips), source.axis.frames, 2)
    for item, clip in enumerate(batch.clips.tolist()):
        known, target = batch.targets["frames"].known[item], batch.targets["clip"].labels[item]
        if material.manifest.clips[clip].strong:
            assert known.tolist() == [1, 1]
            assert target.tolist() == batch.targets["frames"].frames[item].amax(0).tolist()
        else:
            assert known.tolist() == (target == 0).float().tolist()
            assert not batch.targets["frames"].frames[item].any()


def test_a_run_that_was_stopped_goes_on_to_the_bit(material, tmp_path):
    whole = make_loop(material, tmp_path / "whole").fit()
    with pytest.raises(Interrupted):
        make_loop(material, tmp_path / "torn", progress=signal_at(2, signal.SIGTERM)).fit()
    state = last_good_state(tmp_path / "torn" / "checkpoints", print)
    torn = make_loop(material, tmp_path / "torn", state=state).fit()
    assert all(torch.equal(whole.tensors[key], torn.tensors[key]) for key in whole.tensors)


def test_two_processes_compute_what_one_computes(material, tmp_path):
    def losses(group: Group = ALONE) -> list[float]:
        loop = make_loop(material, tmp_path / f"run{group.size}", group=group)
        loop.module.eval()
        loop.module.train = lambda: loop.module  # norms and dropout at rest: they would see other batches
        loop.progress = Listener()
        loop.fit()
        return loop.progress.losses

    expected = losses()
    for found in crowd(2, losses):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_network_without_frames_learns_from_what_is_in_the_crop(material, tmp_path):
    recipe = material.recipe.model_dump()

    recipe["model"]["head"] = "concat_mlp"
    loop = make_loop(replace(material, recipe=make_recipe(recipe)), tmp_path / "run")
    (source,) = (source for source in loop.sources if source.name == "frames")
    assert source.axis.hop == pytest.approx(0.02 * RATE)  # short frames, to look into the crop only
    batch = next(loop._loader(0, 1, 0))
    strong = torch.tensor([material.manifest.clips[clip].strong for clip in batch.clips.tolist()])
    assert strong.any()
    labels, frames = batch.targets["clip"].labels, batch.targets["frames"].frames
    assert labels[strong].tolist() == frames[strong].amax(1).tolist()
    assert not {"frames", "absent"} & set(loop.objective(loop._mixed(batch, 0)))


def test_dev_figures_by_hand(material):

    torch.manual_seed(0)
    network = build_network(material.recipe, 2)
    clips = material.manifest.clips
    rows = score_rows(network, material, clips)
    assert [row.frames is not None for row in rows] == [clip.strong for clip in clips]
    figures = dev_figures(rows, clips, material.targets, material, network.grid)
    assert list(figures) == ["frame_mAP", "mAP", "log_loss"]
    weak = [i for i, clip in enumerate(clips) if not clip.strong]
    only = dev_figures(
        [rows[i] for i in weak], [clips[i] for i in weak], material.targets[weak], material, network.grid
    )
    assert list(only) == ["mAP", "log_loss"]
    perfect = []
    for row, clip in zip(rows, clips, strict=True):
        if row.frames is None:
            continue

        truth = frame_truth(clip, material.manifest.labels, network.grid, len(row.frames), RATE)
        perfect.append((type(row)(row.scores, truth), clip))
    figures = dev_figures(
        [r for r, _ in perfect], [c for _, c in perfect], material.targets[: len(perfect)], material, network.grid
    )
    assert figures["frame_mAP"] == 1.0
