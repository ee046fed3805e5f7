# SPDX-License-Identifier: Apache-2.0
"""From clips to crops and windows: waveforms, arrays, log-mels, segments."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
import soundfile
import torch
from helpers.toydata import RATE, sound, tiny, write_folders

from auricle.batches.augment.crop import pad_features
from auricle.batches.cache import WaveformCache
from auricle.batches.crops import (
    BatchDataset,
    ClipReader,
    crop_length,
    frame_samples,
    make_augmentation,
    scoring_hop_samples,
    scoring_windows,
)
from auricle.batches.loader import _begin_worker, make_loader
from auricle.batches.sampling import BatchPlan, BatchShard
from auricle.batches.targets import ClipTargets, ClipTask
from auricle.data.manifest import ArraySpec, Clip
from auricle.errors import InputError
from auricle.nn.frontends.logmel import LOG_FLOOR
from auricle.recipe.schema import Recipe
from auricle.runtime.windows import cut_windows

OFF = (
    "augment.shift=false",
    "augment.speed=[1, 1]",
    "augment.gain_db=0",
    "augment.noise_snr_db=null",
    "augment.time_mask_ms=0",
    "augment.freq_mask_mels=0",
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = write_folders(tmp_path_factory.mktemp("dataset") / "clips", clips=4)
    return [Clip(f"{p.parent.name}/{p.name}", str(p), (p.parent.name,)) for p in sorted(folder.rglob("*.wav"))]


@pytest.fixture
def reader(clips, tmp_path):
    cache = WaveformCache(tmp_path / "cache", RATE)
    cache.prepare([clip.path for clip in clips])
    return ClipReader(cache, None, RATE, RATE)


@pytest.fixture
def logmel_clip(tmp_path):
    values = np.arange(16 * 80, dtype=np.float32).reshape(16, 80)
    np.save(tmp_path / "a.npy", values)
    reader = ClipReader(WaveformCache(tmp_path / "cache", RATE), ArraySpec("logmel", RATE, {}), RATE, 100.0, 16)
    return reader, Clip("a.npy", str(tmp_path / "a.npy"), ("x",)), values


# --- reading


def test_a_clip_is_read_whole(reader, clips):
    assert np.array_equal(reader.read(clips[0]), sound("high", 0))


@pytest.mark.parametrize(
    ("onset", "offset", "expected"),
    [
        (0.1, 0.3, slice(800, 2_400)),
        (0.5, None, slice(4_000, None)),
        (None, 0.25, slice(0, 2_000)),
        (0.2, 9.0, slice(1_600, None)),
    ],
)
def test_a_segment_is_cut(reader, clips, onset, offset, expected):
    clip = Clip("x", clips[0].path, onset=onset, offset=offset)
    assert np.array_equal(reader.read(clip), sound("high", 0)[expected])


def test_a_segment_of_no_length_is_one_sample(reader, clips):
    assert len(reader.read(Clip("x", clips[0].path, onset=0.1, offset=0.1))) == 1


def test_a_segment_beyond_the_end_is_refused(reader, clips):
    with pytest.raises(
        InputError, match=r"^x\.wav: the part from 0\.6 s on begins after the end, at 0\.6 s$"
    ) as caught:
        reader.read(Clip("x.wav", clips[0].path, onset=0.6, offset=1.0))
    assert caught.value.code == "no_audio"


def test_a_waveform_array_is_resampled(tmp_path):
    from auricle.audio.resample import resample

    np.save(tmp_path / "a.npy", sound("low", 0))
    clip = Clip("a.npy", str(tmp_path / "a.npy"))
    cache = WaveformCache(tmp_path / "cache", 16_000)
    same = ClipReader(cache, ArraySpec("waveform", 16_000), 16_000, 16_000)
    assert np.array_equal(same.read(clip), sound("low", 0))
    other = ClipReader(cache, ArraySpec("waveform", RATE), 16_000, 16_000)
    assert np.array_equal(other.read(clip), resample(sound("low", 0), RATE, 16_000))


def test_an_array_that_nothing_describes_is_refused(reader, tmp_path):
    with pytest.raises(InputError, match=r"a\.npy: nothing says what the array holds; pass --sample-rate"):
        reader.read(Clip("a.npy", str(tmp_path / "a.npy")))


def test_log_mels_are_cut_by_frames_and_must_have_the_right_mels(logmel_clip):
    reader, clip, values = logmel_clip
    assert reader.is_logmel
    assert np.array_equal(reader.read(clip), values)
    assert np.array_equal(reader.read(Clip("a", clip.path, onset=0.1, offset=0.25)), values[:, 10:25])
    wrong = ClipReader(reader.cache, reader.arrays, RATE, 100.0, 20)
    with pytest.raises(InputError, match=r"shape \(16, 80\), but the front end has 20 mels first"):
        wrong.read(clip)


# --- crops


def dataset_of(clips, reader, recipe: Recipe, targets: np.ndarray | None = None, weights=None) -> BatchDataset:
    count = len(clips)
    labels = np.eye(count, dtype=np.float32) if targets is None else targets
    source = ClipTargets(labels, ClipTask("single", negatives=False))
    weights = np.ones(count, np.float32) if weights is None else weights
    return BatchDataset(clips, reader, make_augmentation(recipe, is_logmel=reader.is_logmel), weights, [source])


def first_crop(reader, clip, recipe: Recipe):
    return dataset_of([clip], reader, recipe)[[(0, 0)]].inputs[0].numpy()


def test_a_crop_is_a_function_of_seed_epoch_and_clip(reader, clips):
    dataset, again = (dataset_of(clips, reader, tiny()) for _ in range(2))
    other_seed = dataset_of(clips, reader, tiny("seed=1"))
    crop = dataset[[(3, 2)]]
    assert (crop.inputs.shape, crop.inputs.dtype, crop.clips.tolist()) == ((1, 4_000), torch.float32, [2])
    beside_others = dataset[[(0, 0), (3, 2), (7, 2)]]
    for same in (dataset[[(3, 2)]], again[[(3, 2)]], beside_others.part(1, 2)):
        assert torch.equal(same.inputs, crop.inputs)
        assert torch.equal(same.masks, crop.masks)
    for other in (dataset[[(4, 2)]], dataset[[(3, 3)]], other_seed[[(3, 2)]]):
        assert not torch.equal(other.inputs, crop.inputs)
    assert len(dataset) == 8


def test_without_augmentation_a_crop_is_a_part_of_the_recording(reader, clips):
    crop = first_crop(reader, clips[0], tiny(*OFF))
    whole = sound("high", 0)
    assert any(np.array_equal(crop, whole[start : start + 4_000]) for start in range(801))


@pytest.mark.parametrize("pad", ["zero", "repeat"])
def test_a_short_recording_is_padded_by_the_models_rule(reader, clips, pad):
    short = Clip("x", clips[0].path, onset=0.0, offset=0.2)
    crop = first_crop(reader, short, tiny(*OFF, f"data.pad={pad}"))
    whole = sound("high", 0)[:1_600]
    expected = np.resize(whole, 4_000) if pad == "repeat" else np.pad(whole, (0, 2_400))
    assert np.array_equal(crop, expected)


def test_a_crop_of_a_log_mel_is_a_part_of_it_and_gain_is_added(logmel_clip):
    reader, clip, values = logmel_clip
    crop = first_crop(reader, clip, tiny(*OFF))
    assert crop.shape == (16, 50)
    assert any(np.array_equal(crop, values[:, s : s + 50]) for s in range(31))
    louder = first_crop(reader, clip, tiny(*OFF[:2], *OFF[3:], "augment.gain_db=6"))
    recipe = tiny(*OFF[:2], *OFF[3:], "augment.gain_db=6")
    (plan,) = make_augmentation(recipe, is_logmel=True).draw(np.array([0]), np.array([0])).changes
    assert plan.gain != 1
    np.testing.assert_allclose(louder - crop, np.full((16, 50), 2 * np.log(plan.gain)), atol=1e-3)


def test_padding_of_features_is_that_of_silence():
    values = np.ones((2, 3), np.float32)
    assert pad_features(values, 2, "zero").shape == (2, 2)
    padded = pad_features(values, 5, "zero")
    np.testing.assert_allclose(padded[:, 3:], np.log(LOG_FLOOR))
    assert pad_features(np.array([[1, 2, 3]], np.float32), 5, "repeat").tolist() == [[1, 2, 3, 1, 2]]


# --- windows


def test_windows_are_the_runtimes_own(reader, clips):
    recipe = tiny("data.clip_s=0.25")
    found = scoring_windows(reader.read(clips[0]), recipe, reader)
    slack = (frame_samples(recipe) - 1) // 2
    assert np.array_equal(found, cut_windows(sound("high", 0), 2_000, scoring_hop_samples(recipe), "zero", slack))
    assert len(found) > 3


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("data.clip_s=0.5",), 2_240),  # half of 12.5 frames of 320 samples, rounded up to whole frames
        (("data.clip_s=0.5", "data.hop_s=0.1"), 800),
        (("data.clip_s=0.05",), 320),
        (("data.clip_s=0.04",), 320),
        (("data.clip_s=0.5", "model.time_stride=8"), 2_560),
    ],
)
def test_the_hop_is_half_a_clip_in_whole_frames_unless_it_is_said(settings, expected):
    assert scoring_hop_samples(tiny(*settings)) == expected


def test_windows_of_log_mels_reach_the_end(logmel_clip):
    reader, _, values = logmel_clip
    recipe = tiny("data.clip_s=0.5", "data.hop_s=0.2")
    assert crop_length(recipe, is_logmel=True) == 50
    found = scoring_windows(values, recipe, reader)
    assert found.shape == (3, 16, 50)  # from frames 0, 20 and 40
    assert np.array_equal(found[1], values[:, 20:70])
    assert np.array_equal(found[2, :, :40], values[:, 40:])
    assert len(scoring_windows(values[:, :10], recipe, reader)) == 1


# --- batches


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_carry_targets_and_weights_of_their_clips(reader, clips, workers):
    targets = np.eye(8, dtype=np.float32)
    weights = np.arange(8, dtype=np.float32)
    dataset, plan = dataset_of(clips, reader, tiny(), targets, weights), BatchPlan(8, 4, seed=0)
    batches = list(make_loader(dataset, BatchShard(plan), first_step=1, last_step=4, workers=workers))
    assert len(batches) == 3
    for batch, pairs in zip(batches, plan.walk(1, 4), strict=True):
        assert [int(c) for c in batch.clips] == [clip for _, clip in pairs]
        assert torch.equal(batch.targets["clip"].labels, torch.from_numpy(targets)[batch.clips])
        assert batch.weights.tolist() == [float(clip) for _, clip in pairs]
        assert batch.masks.shape == (4, 2, tiny().augment.masks, 2)
        for inputs, pair in zip(batch.inputs, pairs, strict=True):
            assert torch.equal(inputs, dataset[[pair]].inputs[0])


def test_loader_processes_may_be_sent_everything(reader, clips):
    """On macOS, and from Python 3.14 on, they are not forks."""
    dataset = dataset_of(clips, reader, tiny())
    sent = pickle.loads(pickle.dumps(dataset))[[(0, 1)]]
    assert torch.equal(sent.inputs, dataset[[(0, 1)]].inputs)
    assert torch.equal(sent.targets["clip"].labels, torch.eye(8)[1:2])


def test_waveform_arrays_give_the_same_batches_as_the_audio(reader, clips, tmp_path):
    arrays = []
    for i, clip in enumerate(clips):
        values, _ = soundfile.read(clip.path, dtype="float32")
        np.save(tmp_path / f"{i}.npy", values)
        arrays.append(Clip(f"{i}.npy", str(tmp_path / f"{i}.npy"), clip.label))
    stored = ClipReader(reader.cache, ArraySpec("waveform", RATE), RATE, RATE)
    share = BatchShard(BatchPlan(8, 4, seed=0))
    both = [
        make_loader(dataset_of(c, r, tiny()), share, first_step=0, last_step=4, workers=0)
        for c, r in ((clips, reader), (arrays, stored))
    ]
    for from_audio, from_arrays in zip(*both, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(from_audio[:-1], from_arrays[:-1], strict=True))
        assert torch.equal(from_audio.targets["clip"].labels, from_arrays.targets["clip"].labels)


@pytest.mark.parametrize(("orphan", "code"), [(True, 0), (False, 7)])
def test_a_loader_process_that_begins_as_an_orphan_ends(orphan, code):
    """Its trainer was killed while it was starting: nobody would ever end it."""
    trainer = os.getpid() + (1 if orphan else 0)
    child = os.fork()
    if child == 0:
        try:
            _begin_worker(trainer, 0)
        finally:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
