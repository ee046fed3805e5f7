# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from auricle.evaluation.metrics import decisions
from auricle.training.summary import advice, class_rows

LABELS = ("cat", "dog")


def rows_of(scores, dev, train=None, task="multi", thresholds=None):
    train = np.ones((20, 2), np.float32) if train is None else train
    return class_rows(LABELS, train, np.array(dev, np.float32), np.array(scores, np.float32), task, thresholds or {})


def test_recall_and_precision_by_hand():
    # cat: 2 of 3 found, 1 of 3 named is wrong; dog: never named.
    rows = rows_of([[0.9, 0], [0.8, 0.1], [0.2, 0], [0.7, 0.4]], [[1, 0], [1, 0], [1, 0], [0, 1]])
    cat, dog = rows
    assert (cat["clips"], cat["dev_clips"], cat["recall"], cat["precision"]) == (20, 3, 2 / 3, 2 / 3)
    assert (dog["dev_clips"], dog["recall"], dog["precision"]) == (1, 0.0, None)
    assert cat["false_share"] == 1.0


def test_one_class_a_clip_is_the_first_or_none():
    found = decisions(np.array([[0.6, 0.3], [0.2, 0.1], [0.3, 0.45]]), "single")
    assert found.tolist() == [[True, False], [False, False], [False, True]]


def test_a_good_model_gets_no_advice():
    scores = [[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 6
    assert advice(rows_of(scores, [[1, 0]] * 6 + [[0, 1]] * 6), 12) == []


def test_three_clips_are_few():
    train = np.array([[1, 0]] * 30 + [[0, 1]] * 3, np.float32)
    scores = [[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 6
    (line,) = advice(rows_of(scores, [[1, 0]] * 6 + [[0, 1]] * 6, train), 12)
    assert line.startswith("few clips: dog (3); record 30 or more")


def test_a_threshold_at_the_floor_is_said():
    scores = [[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 6
    (line,) = advice(rows_of(scores, [[1, 0]] * 6 + [[0, 1]] * 6, thresholds={"dog": 0.02}), 12)
    assert line.startswith("dog: its threshold is 0.02, the floor")


def test_a_class_that_is_on_nearly_everywhere_is_said():
    scores = [[0.9, 0.6]] * 6 + [[0.1, 0.9]] * 6
    (line,) = advice(rows_of(scores, [[1, 0]] * 6 + [[0, 1]] * 6), 12)
    assert line.startswith("dog: named in 100% of the dev clips without it")


def test_a_class_that_takes_all_and_one_that_is_never_named_are_said():
    scores = [[0.6, 0.3]] * 20
    lines = advice(rows_of(scores, [[1, 0]] * 6 + [[0, 1]] * 14, task="single"), 20)
    assert any(line.startswith("cat: takes 100% of all dev clips, of which 6 of 20 have it") for line in lines)
    assert any(line.startswith("never named on dev: dog") for line in lines)


def test_without_dev_that_is_what_is_said():
    (line,) = advice(rows_of(np.zeros((0, 2)), np.zeros((0, 2))), 0)
    assert line.startswith("no dev clips: thresholds are 0.5")


def test_few_dev_clips_are_said():
    scores = [[0.9, 0.1]] * 6 + [[0.1, 0.9]] * 2
    (line,) = advice(rows_of(scores, [[1, 0]] * 6 + [[0, 1]] * 2), 8)
    assert line.startswith("fewer than 5 dev clips of dog")
