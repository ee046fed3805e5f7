# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.events.boxes import BoxRule, BoxStream, find_boxes


def rule(**changes) -> BoxRule:
    values = {
        "half_frames": 3, "merge_abs": 0.1, "merge_rel": 0.8, "max_gap_frames": 10, "max_frames": 1_000,
        "min_frames": 1, "on": np.zeros(1, np.float32),
    }  # fmt: skip
    return BoxRule(**(values | changes))


def column(*parts: tuple[float, int]) -> np.ndarray:
    """Return scores of one label from (score, frames)."""
    return np.concatenate([np.full(count, score, np.float32) for score, count in parts])[:, None]


def boxes(scores: np.ndarray, **changes) -> list[tuple[int, int, float]]:
    return [(box.first, box.last, round(box.peak, 4)) for box in find_boxes(scores, rule(**changes))]


def test_a_step_up_and_a_step_down_are_a_box():
    assert boxes(column((0, 10), (0.8, 6), (0, 10))) == [(10, 15, 0.8)]


def test_boxes_shorter_than_the_filter_keep_their_length():
    assert boxes(column((0, 10), (0.8, 1), (0, 10))) == [(10, 10, 0.8)]
    assert boxes(column((0, 10), (0.8, 2), (0, 10))) == [(10, 11, 0.8)]


def test_events_at_both_ends_of_the_recording():
    assert boxes(column((0.6, 5), (0, 10), (0.9, 4))) == [(0, 4, 0.6), (15, 18, 0.9)]
    assert boxes(column((0.6, 7))) == [(0, 6, 0.6)]
    assert boxes(column((0.6, 1))) == [(0, 0, 0.6)]


def test_silence_and_nothing_have_no_box():
    assert boxes(column((0, 50))) == []
    assert boxes(np.zeros((0, 1), np.float32)) == []


def test_the_confidence_is_the_mean():
    assert boxes(column((0, 9), (0.6, 2), (0.8, 2), (0, 9))) == [(9, 12, 0.7)]


def test_gaps_are_filled_if_they_are_nearly_as_high_as_the_higher_neighbour():
    scores = column((0, 9), (0.8, 6), (0.7, 6), (0.8, 6), (0, 9))
    one, two = [(9, 26, round((0.8 * 12 + 0.7 * 6) / 18, 4))], [(9, 14, 0.8), (21, 26, 0.8)]
    assert boxes(scores, merge_abs=0.11, merge_rel=1) == one
    assert boxes(scores, merge_abs=0.09, merge_rel=1) == two
    assert boxes(scores, merge_abs=0, merge_rel=0.87) == one
    assert boxes(scores, merge_abs=0, merge_rel=0.88) == two
    assert boxes(scores, merge_abs=0.11, max_gap_frames=5) == two
    assert boxes(scores, merge_abs=0.11, max_gap_frames=6) == one


def test_a_weak_neighbour_is_not_drawn_into_a_strong_box():
    """The gap is compared with the higher one: noise beside an event stays beside it."""
    assert boxes(column((0, 9), (0.9, 6), (0.0, 6), (0.05, 6), (0, 9)))[0] == (9, 14, 0.9)


def test_weak_and_short_boxes_are_dropped():
    scores = column((0, 9), (0.4, 8), (0, 9), (0.8, 4), (0, 9))
    assert boxes(scores, on=np.array([0.5], np.float32)) == [(26, 29, 0.8)]
    assert boxes(scores, min_frames=5) == [(9, 16, 0.4)]


def test_a_long_event_is_cut_into_boxes_that_touch():
    assert boxes(column((0, 5), (1, 25), (0, 20)), max_frames=10) == [(5, 14, 1), (15, 24, 1), (25, 29, 1)]


def reference(scores: np.ndarray, half: int, merge_abs: float, merge_rel: float, max_gap: int) -> list[tuple[int, int]]:
    """Slow and obvious, for recordings shorter than the longest box."""
    padded = [0] * half + [round(float(s) * 1024) for s in scores] + [0] * half
    steps = [sum(padded[b + half : b + 2 * half]) - sum(padded[b : b + half]) for b in range(len(scores) + 1)]
    found, begun, rising = [], None, True
    for b in range(1, len(steps)):
        if steps[b] < steps[b - 1]:
            if rising:
                begun = b - 1
            rising, low = False, b
        elif steps[b] > steps[b - 1] and not rising:
            found.append((begun, low))
            rising = True
    if not rising:
        found.append((begun, low))
    joined: list[tuple[int, int]] = []
    for begin, end in found:
        if begin == end:
            continue
        if joined:
            left, gap, right = (np.mean(scores[a:b]) if b > a else 1.0 for a, b in
                                (joined[-1], (joined[-1][1], begin), (begin, end)))  # fmt: skip
            high = max(left, right)
            near = gap >= high - merge_abs - 1e-9 or gap >= merge_rel * high - 1e-9
            if begin - joined[-1][1] <= max_gap and near:
                joined[-1] = joined[-1][0], end
                continue
        joined.append((begin, end))
    return joined


LEVELS = st.lists(st.tuples(st.integers(0, 16), st.integers(1, 12)), min_size=1, max_size=12)


@given(LEVELS, st.integers(1, 5), st.integers(0, 12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_boxes_equal_the_reference(levels, half, max_gap, noisy):
    scores = column(*((level / 16, count) for level, count in levels))
    if noisy:
        noise = np.random.default_rng(len(scores)).integers(0, 17, scores.shape) / 16
        scores = ((scores + noise) / 2).astype(np.float32)
    found = boxes(scores, half_frames=half, max_gap_frames=max_gap, merge_abs=0.13, merge_rel=0.83)
    expected = reference(scores[:, 0], half, 0.13, 0.83, max_gap)
    assert [(a, b + 1) for a, b, _ in found] == expected
    for first, last, confidence in found:
        assert confidence == pytest.approx(scores[first : last + 1].mean(), abs=1e-4)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 30), max_size=30),
    st.sampled_from([(1, 0, 1), (2, 3, 5), (4, 10, 12), (3, 6, 400)]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_blocks_change_nothing_and_boxes_are_final_in_time(seed, cuts, sizes, flat):
    """Not even the order; and each box comes at the latest ``lookahead_frames`` after its first frame."""
    half, gap, longest = sizes
    rng = np.random.default_rng(seed)
    scores = np.repeat(rng.integers(0, 5, (int(rng.integers(1, 30)), 3)) / 4, 6 if flat else 1, axis=0)
    if not flat:
        scores = (scores + rng.uniform(0, 1, scores.shape)) / 2
    scores = scores.astype(np.float32)
    made = rule(half_frames=half, max_gap_frames=gap, max_frames=longest, on=np.full(3, 0.1, np.float32))
    whole = BoxStream(made)
    expected = [*whole.push(scores), *whole.finish()]
    stream, found, at = BoxStream(made), [], 0
    for count in [*cuts, len(scores)]:
        new = stream.push(scores[at : at + count])
        at = min(len(scores), at + count)
        found += new
    assert found + stream.finish() == expected
    single = BoxStream(made)
    for frame in range(len(scores)):
        for change in single.push(scores[frame : frame + 1]):
            assert change.first + made.lookahead_frames >= frame
    for change in single.finish():
        assert change.first + made.lookahead_frames >= len(scores) - 1
    ended = sorted((c.label, c.segment.first, c.segment.last) for c in expected if c.segment is not None)
    for (label, _, last), (other, first, _) in pairwise(ended):
        assert label != other or first > last
    assert all(last - first < longest for _, first, last in ended)


@pytest.mark.parametrize(
    "changes", [{"half_frames": 0}, {"max_frames": 0}, {"max_gap_frames": -1}], ids=lambda c: next(iter(c))
)
def test_impossible_rules_are_refused(changes):
    with pytest.raises(ValueError, match="need half_frames and max_frames of 1 and more and max_gap_frames of 0"):
        rule(**changes)
