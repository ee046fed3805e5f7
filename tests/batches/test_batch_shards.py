# SPDX-License-Identifier: Apache-2.0
"""A batch divided among processes: every item once, every partner at hand, the same mix as one process makes."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.batches.sampling import MIX, BatchPlan, BatchShard, draw_mixup, generator
from auricle.errors import ConfigError

PLAN = BatchPlan(20, 8, seed=3)


def shares(size: int, alpha: float = 0.3) -> list[BatchShard]:
    return [BatchShard(PLAN, alpha, rank, size) for rank in range(size)]


def test_alone_the_batch_is_read_as_it_is():
    share = BatchShard(PLAN, 0.3)
    assert (share.own, share.weight) == ((0, 8), 1.0)
    assert list(share.walk(1, 5)) == list(PLAN.walk(1, 5))
    partner, part = draw_mixup(0.3, 8, generator(3, MIX, 4))
    mixture = share.mixup(4)
    assert mixture.places.tolist() == list(range(8))
    assert np.array_equal(mixture.partner, partner)
    assert np.array_equal(mixture.weight, part)


@pytest.mark.parametrize(("size", "stretches"), [(2, [(0, 4), (4, 8)]), (3, [(0, 2), (2, 5), (5, 8)])])
def test_stretches_make_up_the_batch(size, stretches):
    assert [share.own for share in shares(size)] == stretches
    assert sum(share.weight for share in shares(size)) == pytest.approx(1)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("step", [0, 1, 7])
def test_together_they_mix_what_one_alone_mixes(size, step):
    partner, part = draw_mixup(0.3, 8, generator(3, MIX, step))
    pairs, weights = [], []
    for share in shares(size):
        places, local, own_part = share.mixup(step)
        own = len(own_part)
        assert places[:own].tolist() == list(range(*share.own))
        assert len(set(places.tolist())) == len(places) <= 2 * own
        pairs += [(int(places[i]), int(places[j])) for i, j in enumerate(local)]
        weights += own_part.tolist()
    assert pairs == list(enumerate(partner.tolist()))
    assert weights == part.tolist()


def test_without_mixing_nobody_reads_for_others():
    for share in shares(3, alpha=0):
        assert share.mixup(0).places.tolist() == list(range(*share.own))


def test_a_walk_reads_the_places_of_each_step():
    share = shares(3)[1]
    batches = list(PLAN.walk(2, 6))
    walk = list(share.walk(2, 6))
    assert len(walk) == 4
    for step, (whole, read) in enumerate(zip(batches, walk, strict=True), 2):
        assert read == [whole[place] for place in share.mixup(step).places]


def test_a_batch_too_small_for_the_processes_is_refused():
    with pytest.raises(
        ConfigError, match=r"^a batch of 2 clips cannot be divided among 3 processes: " r"raise data.batch_size"
    ):
        BatchShard(BatchPlan(2, 8, seed=0), 0.0, 0, 3)


def test_mixing_shares_are_at_least_a_half():
    partner, share = draw_mixup(0.3, 400, np.random.default_rng(0))
    assert sorted(partner.tolist()) == list(range(400))
    assert (share.dtype, share.shape) == (np.float32, (400,))
    assert 0.5 <= share.min() < 0.6
    assert 0.99 < share.max() <= 1


def test_mixing_is_a_function_of_its_generator_and_0_is_off():
    first, second = (draw_mixup(0.3, 8, np.random.default_rng(4)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert draw_mixup(0.0, 8, np.random.default_rng(4))[1].tolist() == [1.0] * 8
