# SPDX-License-Identifier: Apache-2.0
"""Networks of waveforms: their batches, copies in a packed file, and the same bits however a run is cut."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import soundfile
import torch
from helpers.toydata import RATE, make_loop, signal_at, sound, tiny_of, write_folders

from auricle.batches.augment.augmentation import CutRule, Placement
from auricle.batches.augment.batch import WaveAugmentation
from auricle.batches.crops import BatchDataset, make_augmentation
from auricle.batches.packed import PackedCopies, PackedWaves
from auricle.errors import InputError, Interrupted
from auricle.progress import Progress
from auricle.recipe.schema import AugmentSection, make_recipe
from auricle.synth.mixtures import Mixture
from auricle.training.checkpoint import find_checkpoints, load_checkpoint
from auricle.training.preparation import prepare, read_training_data, training_set
from auricle.training.request_recipe import make_request_recipe

OFF = AugmentSection(speed=(1, 1))
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


def dataset_of(material, recipe=None) -> BatchDataset:
    recipe = material.recipe if recipe is None else recipe
    data, reader = training_set(material, np.arange(len(material.manifest))), material.reader
    copies = PackedCopies(data.clips, reader.read, recipe, reader.cache.folder) if recipe.augment.copies else None
    augmentation = make_augmentation(recipe, is_logmel=False)
    return BatchDataset(
        data.clips, reader, augmentation, data.weights, data.sources(material.target, None), copies=copies
    )


def test_a_pack_holds_waves_end_to_end_in_a_file_without_a_name(tmp_path):
    waves = [np.arange(n, dtype=np.float32) + 100 * n for n in (3, 0, 10, 7)]
    pack = PackedWaves(waves, tmp_path)
    assert len(pack) == 4
    assert all(np.array_equal(pack[i], wave) for i, wave in enumerate(waves))
    assert list(tmp_path.iterdir()) == []
    assert len(PackedWaves([np.zeros(0, np.float32)], tmp_path)[0]) == 0


@pytest.mark.parametrize("pad", ["zero", "repeat"])
def test_short_recordings_are_filled_up_before_they_are_cut(material, pad):
    """By hand: 3 samples where 5 are needed, and 10 samples cut at the share of what may be skipped."""
    augmentation = WaveAugmentation(material.recipe.model_copy(update={"augment": OFF}), CutRule(5, pad))
    short, long = np.arange(1, 4, dtype=np.float32), np.arange(10, dtype=np.float32)
    filled = [1, 2, 3, 1, 2] if pad == "repeat" else [1, 2, 3, 0, 0]
    assert augmentation.cut(short, Placement(0.9)).tolist() == filled
    assert [augmentation.cut(long, Placement(start)).tolist()[0] for start in (0.0, 0.5, 0.999)] == [0, 3, 5]


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


def test_what_cannot_be_copied_and_mixtures_have_no_copies(material, tmp_path):
    values = material.recipe.model_dump()
    values["augment"].update(copies=2, codec_share=1.0, codecs=("mulaw",))
    clips = training_set(material, np.arange(3)).clips

    def read(clip):
        if clip is clips[1]:
            raise InputError("vanished", "the file is gone")
        return material.reader.read(clip)

    mixture = Mixture(0, (), 0.0)
    copies = PackedCopies([*clips, mixture], read, make_recipe(values), tmp_path)
    assert [copies.read(number, 0.0) for number in range(4)] == [None] * 4  # the recording itself
    assert [copies.read(number, 0.5) is None for number in range(4)] == [False, True, False, True]
    assert len(copies.read(2, 0.99)) == len(material.reader.read(clips[2]))


def test_strong_labels_of_a_crop_are_those_that_it_holds(tmp_path):
    """Also where the network has no frames: an event outside the crop is no label of it."""
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", sound("low", number, 2.0), RATE, subtype="FLOAT")
    times = [(0.0, "low"), (0.6, "high"), (1.2, "low"), (1.7, "high")]
    rows = [f"{number}.wav\t{onset}\t{onset + 0.2}\t{label}" for number, (onset, label) in enumerate(times)]
    (tmp_path / "events.tsv").write_text("filename\tonset\toffset\tevent_label\n" + "\n".join(rows) + "\n")
    recipe = make_request_recipe(
        "rawnet", None, [*tiny_of("rawnet"), *RAW, "data.balance=none", "augment.masks=0"], None
    )
    material = prepare(read_training_data(tmp_path, recipe), recipe, Progress())
    loop = make_loop(material, tmp_path / "run")
    dataset = BatchDataset(loop.data.clips, loop.reader, loop.augmentation, loop.data.weights, loop.sources)
    batch = dataset[[(epoch, clip) for epoch in range(20) for clip in range(4)]]
    assert batch.targets["clip"].labels.tolist() == batch.targets["frames"].frames.amax(1).tolist()
    held = batch.targets["clip"].labels.amax(1)
    assert 10 < int((held == 0).sum()) < 70  # crops of 0.5 s of 2 s
    assert int((held == 1).sum()) > 5
    state = loop.fit()
    assert all(np.isfinite(row["loss"]) for row in state.history)
