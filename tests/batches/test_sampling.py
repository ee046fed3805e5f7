# SPDX-License-Identifier: Apache-2.0
"""Batches are functions of (seed, epoch) and nothing else."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from auricle.batches.sampling import CROP, MIX, ORDER, STEP, BatchPlan, generator


def test_an_epoch_visits_every_clip_once():
    plan = BatchPlan(10, 5, seed=0)
    clips = np.concatenate([plan.batch(0, number) for number in range(plan.steps)])
    assert sorted(clips.tolist()) == list(range(10))


def test_a_smaller_last_batch_is_left_out_unless_it_is_the_only_one():
    plan = BatchPlan(10, 4, seed=0)
    assert plan.steps == 2
    assert [len(batch) for batch in plan.walk(0, 4)] == [4, 4, 4, 4]
    lonely = BatchPlan(3, 8, seed=0)
    assert lonely.steps == 1
    assert [len(batch) for batch in lonely.walk(0, 2)] == [3, 3]


def test_same_seed_same_order_other_seed_or_epoch_another():
    plan = BatchPlan(50, 10, seed=3)
    assert np.array_equal(plan.order(1), BatchPlan(50, 10, seed=3).order(1))
    assert not np.array_equal(plan.order(0), plan.order(1))
    assert not np.array_equal(plan.order(0), BatchPlan(50, 10, seed=4).order(0))


def test_the_order_does_not_depend_on_the_batch_size():
    assert np.array_equal(BatchPlan(50, 10, seed=3).order(2), BatchPlan(50, 7, seed=3).order(2))


@pytest.mark.parametrize("first", [1, 3, 4, 5, 8, 11])
def test_a_walk_from_the_middle_is_the_tail_of_the_whole(first):
    plan = BatchPlan(17, 4, seed=1)  # four steps an epoch
    whole = list(plan.walk(0, 12))
    assert len(whole) == 12
    assert list(plan.walk(first, 12)) == whole[first:]


def test_a_walk_names_the_epoch_of_each_clip():
    plan = BatchPlan(4, 2, seed=0)
    epochs = [{epoch for epoch, _ in batch} for batch in plan.walk(0, 5)]
    assert epochs == [{0}, {0}, {1}, {1}, {2}]
    for step, batch in enumerate(plan.walk(0, 5)):
        assert [clip for _, clip in batch] == plan.batch(*divmod(step, plan.steps)).tolist()


def test_a_walk_is_lazy():
    batches = BatchPlan(8, 2, seed=0).walk(0, 10**9)
    assert len(list(islice(batches, 3))) == 3


def test_weights_say_how_often_a_clip_is_drawn():
    weights = np.array([3.0, 1.0, 0.0, 1.0])
    plan = BatchPlan(4, 4, seed=0, weights=weights)
    drawn = np.bincount(np.concatenate([plan.order(epoch) for epoch in range(500)]), minlength=4)
    assert drawn[2] == 0
    np.testing.assert_allclose(drawn / drawn.sum(), weights / 5, atol=0.05)
    assert np.array_equal(plan.order(7), plan.order(7))


def test_purposes_and_positions_have_streams_of_their_own():
    streams = [(ORDER, 0), (CROP, 0), (MIX, 0), (STEP, 0), (CROP, 1), (CROP, 0, 1), (CROP, 2, 1)]
    drawn = {generator(5, *stream).integers(2**62) for stream in streams}
    assert len(drawn) == len(streams)
    assert generator(5, CROP, 2, 3).random() == generator(5, CROP, 2, 3).random()
    assert generator(5, CROP, 2, 3).random() != generator(6, CROP, 2, 3).random()
