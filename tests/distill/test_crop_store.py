# SPDX-License-Identifier: Apache-2.0
"""Shards: what the teacher says, the same each time, and found damaged where they are."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.tinyteachers import write_efficientat

from auricle.data.manifest import Clip
from auricle.distill import crop_store
from auricle.distill.crop_store import CropMaker, CropStore, is_whole, item_weights, make_store
from auricle.distill.crops import CropRules
from auricle.distill.loop import LoopPlan, distil, draw_items, recalibrate
from auricle.distill.networks import open_staged_teacher
from auricle.distill.recordings import pack_recordings
from auricle.errors import DataError
from auricle.nn.frontends.sine_mel import SineMelSpec
from auricle.nn.modules.mobilenet import MobileNet


@pytest.fixture(scope="module")
def maker(tmp_path_factory) -> CropMaker:
    import soundfile

    folder = tmp_path_factory.mktemp("crops")
    teacher = open_staged_teacher(str(write_efficientat(folder / "teacher")))
    clips = []
    for number in range(4):
        noise = 0.2 * np.random.default_rng(number).standard_normal(32_000)
        soundfile.write(folder / f"{number}.wav", noise, 16_000)
        clips.append(Clip(f"{number}.wav", str(folder / f"{number}.wav")))
    student = MobileNet(SineMelSpec(), len(teacher.labels), width=0.125)
    pack = pack_recordings(folder / "pack", clips, teacher.sample_rate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop_store, "SHARD_CROPS", 2)
        yield CropMaker(teacher, student, CropRules(shares=(0, 1, 0)), pack, range(4))


def test_labels_are_what_the_teacher_says_without_dropout(maker):
    """The network itself in evaluation mode, on the waveform, says the same; a second time too."""
    first, again = maker.shard(0), maker.shard(0)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name], name)
    assert first["sources"].tolist() == [[1, 2, -1], [1, -1, -1], [2, -1, -1], [4, 5, -1], [4, -1, -1], [5, -1, -1]]
    deep = torch.from_numpy(first["deep"].astype(np.float32))
    with torch.inference_mode():
        expected = maker.teacher.network.eval().head(deep.mean(2)).numpy()
    np.testing.assert_allclose(first["logits"], expected, atol=0.01, rtol=1e-3)


def test_a_damaged_shard_is_seen_and_made_again(maker, tmp_path):
    make_store(tmp_path, maker, 2)
    before = (tmp_path / "00001.logits.npy").read_bytes()
    (tmp_path / "00001.logits.npy").write_bytes(before[:-1] + b"x")
    assert (is_whole(tmp_path, 0), is_whole(tmp_path, 1), is_whole(tmp_path, 2)) == (True, False, False)
    make_store(tmp_path, maker, 2)
    assert (tmp_path / "00001.logits.npy").read_bytes() == before
    store = CropStore(tmp_path, 1)
    assert store.counts.tolist() == [2, 1, 1, 2, 1, 1]
    store.extend(2)
    batch = store.batch([0, 7])
    assert batch.source_deep.shape[:2] == (2, 3)
    torch.testing.assert_close(batch.source_deep[0, 1], store.batch([2]).deep[0])


def test_a_store_of_other_rules_is_refused(maker, tmp_path):
    make_store(tmp_path, maker, 1)
    other = CropMaker(maker.teacher, maker.student, CropRules(seed=1), maker.pack, range(4))
    with pytest.raises(DataError, match="holds crops of another run"):
        make_store(tmp_path, other, 1)


def test_items_of_rare_classes_are_drawn_more_often():
    """Thirty items of one class and ten of another: 1 / (30 + 20) and 1 / (10 + 20), which have the mean 7 / 300."""
    logits = np.full((40, 2), -30.0)
    logits[:30, 0] = logits[30:, 1] = 30
    weights = item_weights(logits)
    np.testing.assert_allclose(weights[[0, -1]], [300 / 7 / 50, 300 / 7 / 30], rtol=1e-6)
    crowd = np.full((1_000, 2), -30.0)
    crowd[1:, 0] = crowd[0, 1] = 30
    assert item_weights(crowd)[0] == 4, "no item is drawn more than four times as often as the mean"


def test_shards_take_lengths_in_turns_and_batches_are_of_one(maker, tmp_path):
    rules = CropRules(shares=(0, 1, 0), lengths_s=(2.56, 2.56, 0.64))
    make_store(tmp_path, CropMaker(maker.teacher, maker.student, rules, maker.pack, range(4)), 3)
    store = CropStore(tmp_path, 3)
    assert store.frames.tolist() == [128] * 12 + [32] * 6
    assert store.of_frequent_length().tolist() == list(range(12))
    assert [(len(b.logits), b.features.shape[2]) for b in store.batches(8)] == [(6, 32), (8, 128), (4, 128)]
    lengths = [set(store.frames[draw_items(store, LoopPlan(), step)].tolist()) for step in range(20)]
    assert {len(found) for found in lengths} == {1}
    assert set.union(*lengths) == {32, 128}


def test_norms_are_estimated_on_the_most_frequent_length(maker, tmp_path):
    rules = CropRules(shares=(0, 1, 0), lengths_s=(1.28, 1.28, 0.64))
    make_store(tmp_path, CropMaker(maker.teacher, maker.student, rules, maker.pack, range(4)), 3)
    store, heard = CropStore(tmp_path, 3), []
    student = copy.deepcopy(maker.student)
    student.stem.register_forward_pre_hook(lambda layer, inputs: heard.append(inputs[0].shape[3]))
    before = student.stem[1].running_mean.clone()
    recalibrate(student, store, LoopPlan(recalibration=3))
    assert heard == [64, 64, 64]
    assert not torch.equal(student.stem[1].running_mean, before)
    assert len(heard) == 3, "none are asked for"


def test_norms_are_held_in_the_last_steps_and_a_run_that_was_stopped_there_goes_on(maker, tmp_path):
    """Six steps, the last half held: statistics move, jump to those of the longest crops, and stay in the result."""
    rules = CropRules(shares=(0, 1, 0), lengths_s=(1.28, 1.28, 0.64))
    make_store(tmp_path / "crops", CropMaker(maker.teacher, maker.student, rules, maker.pack, range(4)), 3)
    store, plan = CropStore(tmp_path / "crops", 3), LoopPlan(steps=6, batch=4, recalibration=2, held=0.5, checkpoint=1)

    def run(checkpoint: str, stop: int) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
        student, seen = copy.deepcopy(maker.student), []

        def look(step: int, parts: object) -> None:
            seen.append(student.stem[1].running_mean.clone())
            if step == stop:
                raise KeyboardInterrupt

        head = copy.deepcopy(maker.teacher.head).requires_grad_(False)
        distil(student, head, store, plan, tmp_path / checkpoint, look)
        return seen, student.state_dict()

    seen, whole = run("whole", 0)
    assert [torch.equal(a, b) for a, b in pairwise(seen)] == [False, False, False, True, True]
    assert torch.equal(whole["stem.1.running_mean"], seen[-1])
    for stop in (4, 5):  # a step is saved after it was looked at: the run goes on with 3, where norms begin to be held
        with pytest.raises(KeyboardInterrupt):
            run(f"stopped {stop}", stop)
        resumed = run(f"stopped {stop}", 0)[1]
        assert all(torch.equal(value, whole[name]) for name, value in resumed.items())
