# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from auricle.data.balance import (
    class_weights,
    evenness,
    group_weights,
    measure_balance,
    sampler_weights,
)
from auricle.data.manifest import Clip, Manifest

# three clips of the first class, one of the second
THREE_TO_ONE = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)


def test_balance_by_hand():
    clips = [Clip(str(i), str(i), label) for i, label in enumerate([("a",)] * 3 + [("b",)])]
    manifest = Manifest(Path("x"), "csv", "single", ("a", "b"), (*clips, Clip("n", "n", negative=True)))
    balance = measure_balance(manifest)
    assert (balance.counts, balance.negatives, balance.ratio) == ({"a": 3, "b": 1}, 1, 3.0)
    assert balance.evenness == pytest.approx(0.8112781)  # entropy of (3/4, 1/4) in bits


def test_balance_at_its_ends():
    absent = Manifest(Path("x"), "csv", "single", ("a", "b"), (Clip("a", "a", ("a",)),))
    assert measure_balance(absent).ratio == math.inf
    assert measure_balance(absent).evenness == 0
    nothing = Manifest(Path("x"), "csv", "single", (), (Clip("a", "a", negative=True),))
    assert (measure_balance(nothing).ratio, measure_balance(nothing).evenness) == (1, 1)
    assert evenness([7]) == 1


def test_sampler_draws_every_class_equally_often():
    weights = sampler_weights(THREE_TO_ONE)
    np.testing.assert_allclose(weights, [1 / 6, 1 / 6, 1 / 6, 1 / 2])
    np.testing.assert_allclose(weights @ THREE_TO_ONE, [0.5, 0.5])


def test_negatives_count_as_one_more_class_for_the_sampler():
    targets = np.array([[1.0], [1.0], [0.0]], np.float32)
    np.testing.assert_allclose(sampler_weights(targets), [0.25, 0.25, 0.5])


def test_a_clip_of_several_classes_weighs_their_mean():
    targets = np.array([[1, 1], [1, 0], [1, 0]], np.float32)
    np.testing.assert_allclose(sampler_weights(targets) * 4, [2, 1, 1])  # (1/3 + 1) / 2 against 1/3


def test_class_weights_are_one_on_average_over_the_clips():
    weights = class_weights(THREE_TO_ONE)
    np.testing.assert_allclose(weights, [2 / 3, 2])
    assert (THREE_TO_ONE @ weights).mean() == pytest.approx(1)


def test_a_class_without_clips_weighs_nothing():
    targets = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    np.testing.assert_allclose(class_weights(targets), [1, 1, 0])
    np.testing.assert_array_equal(class_weights(np.zeros((2, 2), np.float32)), [0, 0])


def test_groups_weigh_by_the_root_of_their_size_and_classes_alike():
    targets = np.array([[1, 0]] * 5 + [[0, 1]] * 2, np.float32)
    weights = group_weights(targets, ["ann"] * 4 + ["bob", "v", "v"])
    # Class a: four clips of weight 1/2 and one of weight 1, so thirds of its half; class b: two alike.
    np.testing.assert_allclose(weights, [1 / 12] * 4 + [1 / 6] + [1 / 4] * 2)
    with_negative = group_weights(np.concatenate([targets, np.zeros((1, 2))]), ["ann"] * 4 + ["bob", "v", "v", "n"])
    np.testing.assert_allclose(with_negative[[0, 4, 5, 7]], [1 / 18, 1 / 9, 1 / 6, 1 / 3])
