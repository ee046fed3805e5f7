# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auricle.events.segments import (
    Segment,
    SegmentRule,
    find_segments,
    finish_segments,
    initial_state,
    push_scores,
    segment_event,
    segment_onset,
    segment_rule,
)
from auricle.results import Event
from auricle.timeline import FrameGrid


def rule(on=0.5, off=0.3, labels=1, **more) -> SegmentRule:
    return SegmentRule(np.full(labels, on, np.float32), np.full(labels, off, np.float32), **more)


def spans(values, made: SegmentRule) -> list[tuple[int, int]]:
    return [(s.first, s.last) for s in find_segments(np.array(values, np.float32)[:, None], made)]


def reference(scores: np.ndarray, made: SegmentRule) -> list[Segment]:
    """Slow and obvious: a state machine over single frames, then gaps, then lengths."""
    result = []
    for label in range(scores.shape[1]):
        runs: list[list[int]] = []
        active = False
        for frame, score in enumerate(scores[:, label]):
            active = score >= made.on[label] or (active and not score < made.off[label])
            if active and runs and runs[-1][1] == frame - 1:
                runs[-1][1] = frame
            elif active:
                runs.append([frame, frame])
        merged: list[list[int]] = []
        for run in runs:
            if merged and run[0] - merged[-1][1] - 1 <= made.max_gap_frames:
                merged[-1][1] = run[1]
            else:
                merged.append(run)
        result += [
            Segment(label, a, b, float(scores[a : b + 1, label].max()))
            for a, b in merged
            if b - a + 1 >= made.min_frames
        ]
    return sorted(result, key=lambda s: (s.first, s.label))


def test_hysteresis_by_hand():
    assert spans([0.1, 0.5, 0.3, 0.29, 0.4, 0.6], rule()) == [(1, 2), (5, 5)]
    assert spans([0.4, 0.4], rule()) == []
    assert spans([0.9], rule()) == [(0, 0)]
    assert spans([], rule()) == []


def test_gaps_are_filled_before_short_ones_are_dropped():
    values = [1, 0, 1, 0, 0, 1, 1]
    assert spans(values, rule(max_gap_frames=1)) == [(0, 2), (5, 6)]
    assert spans(values, rule(max_gap_frames=2)) == [(0, 6)]
    assert spans(values, rule(min_frames=2)) == [(5, 6)]
    assert spans(values, rule(min_frames=3, max_gap_frames=1)) == [(0, 2)]


def test_the_score_is_the_highest_inside():
    (segment,) = find_segments(np.array([[0.6], [0.9], [0.0], [0.7]], np.float32), rule(max_gap_frames=1))
    assert (segment.first, segment.last, segment.peak) == (0, 3, pytest.approx(0.9))


labels_and_scores = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, 11, (seed % 60, 1 + seed % 3)).astype(np.float32) / 10
)
rules = st.builds(
    lambda on, ratio, shortest, gap: (on, ratio, shortest, gap),
    st.sampled_from([0.0, 0.5, 0.8]),
    st.sampled_from([0.4, 1.0]),
    st.integers(1, 4),
    st.integers(0, 4),
)


def build(parameters, labels: int) -> SegmentRule:
    on, ratio, shortest, gap = parameters
    return rule(on, on * ratio, labels, min_frames=shortest, max_gap_frames=gap)


@given(scores=labels_and_scores, parameters=rules)
def test_equals_the_reference(scores, parameters):
    made = build(parameters, scores.shape[1])
    assert find_segments(scores, made) == reference(scores, made)


@settings(max_examples=40, deadline=None)
@given(scores=labels_and_scores, parameters=rules, cuts=st.lists(st.integers(0, 60), max_size=12))
def test_any_blocks_give_the_same_changes_in_the_same_order(scores, parameters, cuts):
    made = build(parameters, scores.shape[1])

    def run(blocks):
        state, changes = initial_state(made), []
        for block in blocks:
            before = state
            state, new = push_scores(made, state, block)
            assert push_scores(made, before, block)[1] == new, "the state is a value: pushing again gives the same"
            changes += new
        return changes + finish_segments(made, state)

    whole = run([scores])
    assert run(np.split(scores, sorted(min(cut, len(scores)) for cut in cuts))) == whole
    assert run(scores[i : i + 1] for i in range(len(scores))) == whole
    begun = [(c.label, c.first) for c in whole if c.segment is None]
    ended = [(c.segment.label, c.segment.first) for c in whole if c.segment is not None]
    assert sorted(begun) == sorted(ended)
    assert [c.frame for c in whole] == sorted(c.frame for c in whole)


def test_a_beginning_is_announced_when_it_is_certain():
    made = rule(min_frames=3)
    state, changes = push_scores(made, initial_state(made), np.array([[1], [1]], np.float32))
    assert changes == []
    state, changes = push_scores(made, state, np.array([[1]], np.float32))
    assert [(c.frame, c.first, c.segment) for c in changes] == [(2, 0, None)]
    state, changes = push_scores(made, state, np.array([[1], [0], [1]], np.float32))
    assert [(c.frame, c.first, c.segment) for c in changes] == [(4, 0, Segment(0, 0, 3, 1.0))]
    assert finish_segments(made, state) == []


def test_frames_become_seconds_within_the_recording():
    grid = FrameGrid(hop_samples=100, receptive_samples=300, first_centre_samples=40.0)
    segment = Segment(1, 0, 2, 0.75)
    assert segment_onset(0, grid, 1_000) == 0.0  # (40 - 50) / 1000 lies before the recording
    assert segment_event(segment, ("a", "b"), grid, 1_000, 9.0) == Event("b", 0.0, 0.29, 0.75)
    assert segment_event(segment, ("a", "b"), grid, 1_000, 0.2).offset == 0.2
    late = segment_event(Segment(0, 5, 5, 0.5), ("a",), grid, 1_000, 0.3)
    assert (late.onset, late.offset) == (0.3, 0.3)


def test_seconds_become_whole_frames():
    made = segment_rule([0.5, 0.8], off_ratio=0.5, min_event_s=0.3, max_gap_s=0.3, step_s=0.1)
    assert (made.min_frames, made.max_gap_frames) == (3, 3)
    assert made.off.tolist() == [0.25, pytest.approx(0.4)]
    between = segment_rule([0.5], off_ratio=1.0, min_event_s=0.25, max_gap_s=0.25, step_s=0.1)
    assert (between.min_frames, between.max_gap_frames) == (3, 2)


def test_impossible_rules_are_refused():
    with pytest.raises(ValueError, match=r"off_ratio must be above 0 and at most 1, got 1.5"):
        segment_rule([0.5], off_ratio=1.5, min_event_s=0, max_gap_s=0, step_s=0.1)
    with pytest.raises(ValueError, match="need one off threshold, at most the on threshold, a label"):
        rule(on=0.3, off=0.5)
