# SPDX-License-Identifier: Apache-2.0
"""Recordings unlike those that a model was made of: distances and limits by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.tinybundle import make_bundle
from pydantic import ValidationError

from auricle.errors import BundleError
from auricle.runtime.neighbours import NeighbourCheck, Neighbours, fit_limit, fit_neighbours, read_neighbours
from auricle.runtime.spec import NeighboursPart

#: Four vectors around (5, 5): their mean is that point, and less it they point in four directions.
CROSS = [[6, 5], [4, 5], [5, 7], [5, 3]]


def part(**changes) -> NeighboursPart:
    return NeighboursPart(**{"k": 1, "limit": 0.5, "beyond": 0.05, "recordings": 20, **changes})


def test_distances_by_hand():
    found = Neighbours.of(CROSS)
    assert (found.mean.tolist(), found.k) == ([5, 5], 1)
    assert found.vectors.tolist() == [[1, 0], [-1, 0], [0, 1], [0, -1]]
    assert found.distances([[8, 5], [6, 6], [5, -20]]) == pytest.approx([0, 1 - 0.5**0.5, 0], abs=1e-6)
    assert replace(found, k=2).distances([[8, 5], [6, 6]]) == pytest.approx([1, 1 - 0.5**0.5], abs=1e-6)


def test_within_the_training_data_others_count_and_not_those_of_ones_own_group():
    found = Neighbours.of([[6, 5], [6, 5], [4, 5], [4, 5]])
    assert found.distances_within(range(4)) == pytest.approx([0, 0, 0, 0])
    assert found.distances_within(["a", "a", "b", "b"]) == pytest.approx([2, 2, 2, 2])


def test_the_limit_keeps_the_share_that_it_states():
    assert fit_limit(range(8), 1) is None, "too few"
    few = fit_limit(np.arange(9) / 10, 1)
    assert (few.limit, few.beyond, few.recordings) == (0.8, 0.1, 9), "one in ten new ones is beyond nine"
    many = fit_limit(np.arange(99) / 100, 2)
    assert (many.k, many.limit, many.beyond) == (2, 0.94, 0.05), "the 95th of 99 values"


def test_of_recordings_like_the_training_data_few_are_beyond():
    """The law of conformal limits: over many draws, the share beyond is at most the stated one."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(60):
        train, held_out, new = (rng.normal(1, 1, (count, 12)) for count in (60, 40, 50))
        limit, content = fit_neighbours(train, held_out, range(60))
        distances = read_neighbours(content, limit, "here").distances(new)
        shares.append(np.mean(distances > limit.limit))
    assert 0.02 < np.mean(shares) <= 0.06


def test_without_held_out_recordings_other_groups_stand_in():
    rng = np.random.default_rng(1)
    train = np.repeat(rng.normal(1, 1, (20, 8)), 2, axis=0)
    apart, _ = fit_neighbours(train, None, np.repeat(np.arange(20), 2))
    twins, _ = fit_neighbours(train, None, range(40))
    assert apart.limit > twins.limit
    assert fit_neighbours(train[:5], None, range(5)) is None


def test_what_is_stored_gives_the_same_distances():
    rng = np.random.default_rng(2)
    found = Neighbours.of(rng.normal(3, 1, (50, 24)))
    again = read_neighbours(found.dump(), part(k=found.k), "here")
    new = rng.normal(0, 1, (10, 24))
    assert again.distances(new) == pytest.approx(found.distances(new), abs=1e-3)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", Neighbours.of(CROSS).dump()[:-40]])
def test_a_damaged_file_is_refused(content):
    with pytest.raises(BundleError, match=r"^here: neighbours\.npz cannot be used: .*; get the model folder again$"):
        read_neighbours(content, part(), "here")


def test_more_neighbours_than_there_are():
    with pytest.raises(BundleError, match="its shapes do not fit together"):
        read_neighbours(Neighbours.of(CROSS).dump(), part(k=5), "here")


def test_a_part_that_says_nothing_is_refused():
    with pytest.raises(ValidationError):
        part(k=0)


def test_the_median_window_decides():
    check = NeighbourCheck(part(), Neighbours.of(CROSS))
    window = np.zeros(4, np.float32)
    check.add(window, None)
    assert check.flags(4) == (), "nothing was compared"
    for vector in ([9, 5], [5, 9], [6, 6]):
        check.add(window, np.array(vector, np.float32))
    assert check.flags(4) == ()
    for _ in range(3):
        check.add(window, np.array([5, 5], np.float32))  # the mean itself is like nothing
    (flag,) = check.flags(4)
    assert flag.code == "out_of_distribution"
    assert flag.details == pytest.approx({"distance": 0.646447, "limit": 0.5, "beyond": 0.05})


def test_vectors_need_two_recordings():
    with pytest.raises(ValueError, match=r"^need two vectors or more, got shape \(1, 2\)$"):
        Neighbours.of([[1, 2]])


def test_old_folders_compare_nothing(tmp_path):
    assert make_bundle(tmp_path / "m").spec.neighbours is None
