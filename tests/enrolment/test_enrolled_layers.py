# SPDX-License-Identifier: Apache-2.0
"""Which fit leaves which clip out, what each weighs, and that held-out logits are held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from auricle.enrolment.bank import Bank, Scale
from auricle.enrolment.clips import EnrolledClip
from auricle.enrolment.figures import advice, class_figures
from auricle.enrolment.heads import (
    Items,
    clip_items,
    fit_clip_head,
    fit_scale,
    frame_items,
    scene_masks,
    split_folds,
    unscaled,
)
from auricle.enrolment.linear import Linear, fit_linear, link, log_loss

SIZE = 6
IDENTITY = Scale(np.zeros(SIZE), np.ones(SIZE))


def make_clip(label: str, number: int, *, group: str | None = None, spread: float = 0.4) -> EnrolledClip:
    """Return a clip whose vectors point to the direction of its class."""
    rng = np.random.default_rng([len(label), number])
    direction = np.eye(SIZE)[{"dog": 0, "rain": 1, "": 2}[label]] * 3
    views = direction + spread * rng.standard_normal((2, SIZE))
    scene = np.zeros((20, SIZE)) + spread * rng.standard_normal((20, SIZE))
    scene[5:10] += direction
    name = f"{label}-{number}"
    frames = direction + spread * rng.standard_normal((4, SIZE))
    truth = np.array([[0.4, 0.8]], np.float32)
    return EnrolledClip(name, name, (label,) if label else (), group or name, views, frames, scene, truth)


def make_bank(sounds: int = 12) -> Bank:
    rng = np.random.default_rng(5)
    return Bank(
        "net", IDENTITY, IDENTITY, rng.standard_normal((sounds, SIZE)), rng.standard_normal((4, 3, SIZE)), frozenset()
    )


CLIPS = [make_clip("dog", i) for i in range(6)] + [make_clip("rain", i) for i in range(3)] + [make_clip("", 0)]
LABELS = ("dog", "rain")


def test_a_group_is_left_out_as_a_whole_and_classes_are_spread():
    clips = [make_clip("dog", i, group=f"g{i // 2}") for i in range(6)] + [make_clip("rain", i) for i in range(3)]
    folds = split_folds(clips, 3)
    assert folds[0] == folds[1]
    assert folds[2] == folds[3]
    assert sorted({int(f) for f in folds[:6]}) == sorted({int(f) for f in folds[6:]}) == [0, 1, 2]
    assert len(set(split_folds(CLIPS, 20).tolist())) == len(CLIPS), "few groups: each is left out by itself"
    assert set(split_folds(CLIPS[:1], 20).tolist()) == {0}


def test_each_class_weighs_one_and_none_as_much_as_all_classes():
    items = clip_items(CLIPS, LABELS, make_bank(), 10)
    own = items.owner >= 0
    for column in range(2):
        assert items.weights[own & (items.targets[:, column] == 1)].sum() == pytest.approx(1)
    assert items.weights[~own].sum() == pytest.approx(2)
    assert items.targets[~own].sum() == 0
    many = clip_items([*CLIPS, *(make_clip("", i) for i in range(1, 5))], LABELS, make_bank(), 10)
    negative = (many.owner >= 0) & (many.targets.sum(1) == 0)
    assert many.weights[negative].sum() == pytest.approx(2), "the user's own negatives too"


def test_one_negative_weighs_no_more_than_an_example():
    """Six and three examples: 4.5 a class. One negative weighs what 1 of 4.5 does, and twice: there are two classes."""
    items = clip_items(CLIPS, LABELS, make_bank(), 10)
    negative = (items.owner >= 0) & (items.targets.sum(1) == 0)
    assert items.weights[negative].sum() == pytest.approx(2 / 4.5)


def test_the_layer_tells_the_classes_apart_and_its_held_out_logits_too():
    items = clip_items(CLIPS, LABELS, make_bank(), 10)
    head = fit_clip_head(items, "single")
    own = items.owner >= 0
    for logits in (head.layer.logits(items.x), head.held_out):
        scores = link(logits[own], "single")
        assert (scores.argmax(1) == items.targets[own].argmax(1))[items.targets[own].sum(1) > 0].all()
        assert (scores[items.targets[own].sum(1) == 0] < 0.5).all()


def test_held_out_logits_do_not_know_the_item():
    """Labels that mean nothing: a fit knows its own by heart, a held-out one guesses."""
    rng = np.random.default_rng(0)
    x, truth = rng.standard_normal((60, 80)), np.eye(2)[rng.integers(0, 2, 60)]
    items = Items(x, truth, np.ones(60), np.arange(60) % 10, np.arange(60))
    head = fit_clip_head(items, "multi")
    fit = fit_linear(x, truth, np.ones(60), 0.02, "multi")
    right = (fit.logits(x).argmax(1) == truth.argmax(1)).mean()
    held = (head.held_out.argmax(1) == truth.argmax(1)).mean()
    assert right > 0.95
    assert held < 0.75


def test_slope_and_offset_undo_a_known_stretch():
    rng = np.random.default_rng(0)
    true = 2 * rng.standard_normal((20_000, 1))
    truth = (rng.random(true.shape) < link(true, "multi")).astype(float)
    slope, offset = fit_scale(3 * true + 1, truth, np.ones(len(true)), "multi")
    assert slope == pytest.approx(1 / 3, rel=0.1)
    assert offset == pytest.approx(-1 / 3, abs=0.05)
    moved = slope * (3 * true + 1) + offset
    assert log_loss(moved, truth, "multi").mean() < log_loss(3 * true + 1, truth, "multi").mean()


def test_one_clip_of_each_class_is_not_judged_by_a_fit_that_does_not_know_the_class():
    """Held out, such a clip looks like none of the classes; its scores must not sink for that."""
    clips = [make_clip("dog", 0), make_clip("rain", 0)]
    items = clip_items(clips, LABELS, make_bank(), 10)
    head = fit_clip_head(items, "single")
    new = [make_clip("dog", 9), make_clip("rain", 9)]
    scores = link(head.layer.logits(np.stack([clip.views[0] for clip in new])), "single")
    assert (scores.argmax(1) == [0, 1]).all()
    assert (scores.max(1) > 0.3).all()


def test_frames_inside_outside_and_in_between():
    inside, outside = scene_masks(CLIPS[0], 0.08)
    assert np.flatnonzero(inside).tolist() == [5, 6, 7, 8, 9]
    assert np.flatnonzero(~inside & ~outside).tolist() == [4, 10], "one frame on each side"
    items = frame_items(CLIPS, LABELS, make_bank(), 0.08, 5)
    assert items.targets[items.owner < 0].sum() == 0
    first = items.owner == 0
    assert items.targets[first, 0].sum() == 4 + 5, "loud frames of the clip, frames inside of its scene"


def test_a_layer_on_scaled_vectors_is_one_on_vectors():
    scale = Scale(np.arange(SIZE) - 2.0, np.linspace(0.5, 2, SIZE))
    rng = np.random.default_rng(0)
    layer, vectors = Linear(rng.standard_normal((2, SIZE)), rng.standard_normal(2)), rng.standard_normal((5, SIZE))
    np.testing.assert_allclose(unscaled(layer, scale).logits(vectors), layer.logits(scale.apply(vectors)))


def test_figures_of_a_class_by_hand():
    """Of three held-out dogs two are named, and one rain is named dog: recall 2/3, precision 2/3."""
    clips = [make_clip("dog", i) for i in range(3)] + [make_clip("rain", i, group="one") for i in range(2)]
    items = clip_items(clips, LABELS, make_bank(4), 10)
    wanted = {0: 0, 1: 0, 2: None, 3: 0, 4: 1}
    logits = np.full(items.targets.shape, -5.0)
    for number, column in wanted.items():
        if column is not None:
            logits[items.owner == number, column] = 5.0
    head = fit_clip_head(items, "single")
    rows = class_figures(items, replace(head, held_out=logits), clips, LABELS, "single")
    dog, rain = rows
    assert (dog["clips"], dog["recall"].value, dog["precision"].value) == (
        3,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
    )
    assert (dog["recall"].n, dog["bank_alarms"].value) == (3, 0)
    assert (rain["clips"], rain["recall"], rain["precision"]) == (2, None, None), "one group: nothing is left out"
    lines = advice(rows, clips)
    assert lines[0].startswith("one recording of rain: nothing can be left out")
    assert lines[1] == "few recordings of dog (3): look at the intervals, not at the figures; add more with --add"
