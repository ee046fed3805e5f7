# SPDX-License-Identifier: Apache-2.0
"""Batches out of one packed file: the same crops as one by one, and the same bits however a run is cut."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from helpers.toydata import make_loop, signal_at, tiny_of, write_folders

from auricle.batches.packed import WaveDataset, WavePack
from auricle.errors import Interrupted
from auricle.progress import Progress
from auricle.recipe.schema import make_recipe
from auricle.timeline import pad_window
from auricle.training.checkpoint import find_checkpoints, load_checkpoint
from auricle.training.preparation import prepare, read_training_data, training_set
from auricle.training.run import make_request_recipe

RAW = (
    "model.raw.kernel=32",
    "model.raw.stride=16",
    "augment.filter_share=0.5",
    "augment.impulse_share=0.5",
    "augment.noise_snr_db=[10, 40]",
    "augment.shift=true",
)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    recipe = make_request_recipe("rawnet", None, [*tiny_of("rawnet"), *RAW], None)
    clips = write_folders(tmp_path_factory.mktemp("waves") / "clips")
    return prepare(read_training_data(clips, recipe), recipe, Progress())


def dataset_of(material, **changes) -> WaveDataset:
    data = training_set(material, np.arange(len(material.manifest)))
    values = {"clips": data.clips, "reader": material.reader, "recipe": material.recipe}
    return WaveDataset(**{**values, "targets": data.targets, "weights": data.weights, **changes})


@pytest.mark.parametrize("rule", ["zero", "repeat"])
def test_a_pack_cuts_what_single_clips_would_give(tmp_path, rule):
    waves = [np.arange(n, dtype=np.float32) + 100 * n for n in (3, 10, 7)]
    pack = WavePack([lambda w=w: w for w in waves], 5, rule, tmp_path)
    assert pack.lengths.tolist() == [5, 10, 7]
    items, start = np.array([0, 1, 1, 2]), np.array([0.9, 0.0, 0.999, 0.5])
    found = pack.cut(items, start, 5)
    expected = [pad_window(waves[0], 5, rule), waves[1][:5], waves[1][5:], waves[2][1:6]]
    assert np.array_equal(found, np.stack(expected))
    assert list(tmp_path.iterdir()) == []  # the file has no name any more


def test_a_crop_does_not_depend_on_its_batch(material):
    dataset = dataset_of(material)
    whole = dataset[[(1, clip) for clip in range(16)]]
    part = dataset[[(1, 9), (1, 2)]]
    torch.testing.assert_close(part.inputs, whole.inputs[[9, 2]], atol=1e-6, rtol=0)
    assert torch.equal(part.masks, whole.masks[[9, 2]])
    assert torch.equal(part.targets["clip"].labels, whole.targets["clip"].labels[[9, 2]])
    assert part.clips.tolist() == [9, 2]
    assert not torch.equal(dataset[[(2, 9)]].inputs, part.inputs[:1])
    assert whole.inputs.shape == (16, 4_000)
    assert whole.inputs.dtype == torch.float32


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_of_waveforms_goes_on_to_the_same_bits(material, tmp_path, workers):
    whole = make_loop(material, tmp_path / "whole").fit()
    with pytest.raises(Interrupted):
        make_loop(material, tmp_path / "cut", progress=signal_at(3, signal.SIGTERM)).fit()
    state = load_checkpoint(find_checkpoints(tmp_path / "cut" / "checkpoints")[-1])
    recipe = material.recipe.model_copy(update={"data": material.recipe.data.model_copy(update={"workers": workers})})
    cut = make_loop(material, tmp_path / "cut", state=state, recipe=recipe).fit()
    assert cut.step == whole.step == 8
    changed = [k for k, v in whole.tensors.items() if not torch.equal(cut.tensors[k], v)]
    assert changed == []


def test_copies_are_heard_as_often_as_the_recording(material):
    values = material.recipe.model_dump()
    off = {"filter_share": 0, "impulse_share": 0, "noise_snr_db": None, "shift": False, "speed": (1, 1), "gain_db": 0}
    values["augment"].update(off, copies=1, codec_share=1.0, codecs=("mulaw",))
    recipe = make_recipe(values)
    plain = dataset_of(material, recipe=make_recipe({**values, "augment": {**values["augment"], "copies": 0}}))
    dataset = dataset_of(material, recipe=recipe)
    assert len(dataset) == len(plain) == 16
    positions = [(epoch, clip) for epoch in range(8) for clip in range(16)]
    same = (dataset[positions].inputs == plain[positions].inputs).all(1)
    assert 0.35 < same.float().mean() < 0.65
    copied = dataset[positions].inputs[~same].numpy()
    assert np.abs(np.fft.rfft(copied)[:, -100:]).max() < 0.1 * np.abs(np.fft.rfft(copied)).max()
