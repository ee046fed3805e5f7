# SPDX-License-Identifier: Apache-2.0
"""Random numbers by place: the same at the same place, unlike everywhere else."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.batches.augment.hashed_random import uniforms

CLIPS = np.arange(2_000, dtype=np.int64)


def test_a_number_depends_on_its_place_alone():
    whole = uniforms(7, 1, 3, CLIPS, 8)
    assert np.array_equal(uniforms(7, 1, 3, CLIPS[[5, 900]], 8), whole[[5, 900]])
    assert np.array_equal(uniforms(7, 1, 3, CLIPS[:4], 3), whole[:4, :3])
    assert np.array_equal(uniforms(7, 1, np.array([3, 4]), np.array([5, 5]), 8)[0], whole[5])


@pytest.mark.parametrize("place", [(8, 1, 3), (7, 2, 3), (7, 1, 4), (1, 7, 3), (7, 3, 1)])
def test_another_seed_purpose_or_epoch_gives_others(place):
    other = uniforms(*place, CLIPS, 4)
    assert not np.isin(other, uniforms(7, 1, 3, CLIPS, 4)).any()


def test_they_are_even_and_independent():
    u = uniforms(0, 5, 0, CLIPS, 50)
    assert u.min() >= 0
    assert u.max() < 1
    assert u.mean() == pytest.approx(0.5, abs=0.005)
    counts = np.histogram(u, bins=20, range=(0, 1))[0]
    assert ((counts - 5_000) ** 2 / 5_000).sum() < 45  # chi-square, 19 degrees of freedom: once in a thousand
    assert abs(np.corrcoef(u[:-1].ravel(), u[1:].ravel())[0, 1]) < 0.01  # neighbouring clips
    assert abs(np.corrcoef(u[:, :-1].ravel(), u[:, 1:].ravel())[0, 1]) < 0.01  # neighbouring numbers


def test_the_first_numbers_are_those_of_splitmix64_at_their_places():
    """By hand with Python's whole numbers, modulo 2^64."""
    golden, full = 0x9E3779B97F4A7C15, 2**64

    def mix(word: int) -> int:
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % full
        word = (word ^ word >> 27) * 0x94D049BB133111EB % full
        return word ^ word >> 31

    word = 0
    for part in (7, 1, 3, 11):
        word = mix((word + golden * (part + 1)) % full)
    expected = [(mix((word + golden * place) % full) >> 11) / 2**53 for place in (1, 2)]
    assert uniforms(7, 1, 3, np.array([11]), 2)[0].tolist() == expected
