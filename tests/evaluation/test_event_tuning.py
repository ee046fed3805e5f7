# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.events.intersections import intersection_counts
from auricle.evaluation.metrics import f1_from_counts
from auricle.evaluation.tuning.events import choose_setting, fit_boxes, fit_events, fit_gap
from auricle.evaluation.tuning.thresholds import DEFAULT_THRESHOLD, USUAL_S
from auricle.events.boxes import BoxRule, find_boxes
from auricle.events.segments import find_segments, segment_rule
from auricle.events.smoothing import median_size, median_smooth
from auricle.results import Event, Scores

STEP_S, FRAMES, LABELS = 0.04, 250, ("bark", "rain", "never")


def recordings(count: int = 12, seed: int = 0):
    """Barks of two frames; rain of seconds whose scores flicker; and a label that never occurs."""
    rng = np.random.default_rng(seed)
    scores, truth, durations = {}, {}, {}
    times = ((np.arange(FRAMES) + 0.5) * STEP_S).astype(np.float32)
    for number in range(count):
        name = f"{number}.wav"
        values = rng.uniform(0, 0.2, (FRAMES, 3)).astype(np.float32)
        bark, rain = int(rng.integers(10, 100)), int(rng.integers(110, 150))
        values[bark : bark + 2, 0] = 0.9
        values[rain : rain + 90, 1] = rng.choice([0.0, 0.7], (90,), p=[0.3, 0.7])
        scores[name] = Scores(times, values, LABELS, STEP_S)
        truth[name] = [
            Event("bark", bark * STEP_S, (bark + 2) * STEP_S, 1.0),
            Event("rain", rain * STEP_S, (rain + 90) * STEP_S, 1.0),
        ]
        durations[name] = FRAMES * STEP_S
    return scores, truth, durations


def spans_of(segments, label: str) -> list[Event]:
    return [Event(label, s.first * STEP_S, (s.last + 1) * STEP_S, s.peak) for s in segments]


def test_each_label_gets_what_finds_its_events():
    scores, truth, durations = recordings()
    found = fit_events(scores, truth, durations)
    assert found.f1 > 0.9
    assert median_size(found.medians_s["bark"], STEP_S) <= 3
    assert found.medians_s["rain"] >= USUAL_S
    assert 0.2 <= found.thresholds["bark"] <= 0.9
    assert (found.medians_s["never"], found.thresholds["never"]) == (USUAL_S, DEFAULT_THRESHOLD)
    # what was fitted finds them, by the functions that detectors use
    for column, label in enumerate(LABELS[:2]):
        rule = segment_rule(
            [found.thresholds[label]], off_ratio=found.off_ratios[label], min_event_s=0, max_gap_s=0, step_s=STEP_S
        )
        counts = np.zeros((1, 3), np.int64)
        for name, part in scores.items():
            smooth = median_smooth(part.values[:, [column]], median_size(found.medians_s[label], STEP_S))
            own = [event for event in truth[name] if event.label == label]
            counts += intersection_counts(own, spans_of(find_segments(smooth, rule), label), [label])
        assert f1_from_counts(counts) == [1.0]


def test_events_at_the_ends_of_recordings_do_not_join():
    """Scores that are high to the end of one recording and from the start of the next are two events."""
    times = ((np.arange(50) + 0.5) * STEP_S).astype(np.float32)
    scores = {name: Scores(times, np.full((50, 1), 0.9, np.float32), ("a",), STEP_S) for name in "xyz"}
    truth = {name: [Event("a", 0.0, 2.0, 1.0)] for name in "xyz"}
    assert fit_events(scores, truth, dict.fromkeys("xyz", 2.0), max_gap_s=0.2).f1 == pytest.approx(1)
    boxes = fit_boxes(scores, truth, dict.fromkeys("xyz", 2.0), max_gap_s=1.0, max_event_s=30.0)
    assert boxes.f1 == pytest.approx(1)


def test_boxes_are_fitted_to_what_finds_most():
    scores, truth, durations = recordings()
    found = fit_boxes(scores, truth, durations, max_gap_s=0.5, max_event_s=30.0)
    rule = BoxRule(
        max(1, round(found.filter_s / 2 / STEP_S)), found.merge_abs, found.merge_rel, 12, 750, 1,
        np.array([found.thresholds[label] for label in LABELS], np.float32),
    )  # fmt: skip
    counts = np.zeros((3, 3), np.int64)
    for name, part in scores.items():
        boxes = [box for segment in find_boxes(part.values, rule) for box in spans_of([segment], LABELS[segment.label])]
        counts += intersection_counts(truth[name], boxes, LABELS)
    f1 = f1_from_counts(counts)
    assert np.mean([f1[0], f1[1]]) > 0.7
    assert found.thresholds["never"] == DEFAULT_THRESHOLD


def test_a_lucky_setting_does_not_win():
    """Three filters, three hystereses, five thresholds: a peak of 1.0 stands alone, 0.8 holds more widely.

    The peak, at an end of both axes, counts 3/4 x 3/4 = 0.56. The plateau counts 0.8 at its middle threshold with the
    first hysteresis, 0.6 with the second; its two filters are equal, and the later one of them is taken.
    """
    figures = np.zeros((3, 3, 5))
    figures[0, 2, 4] = 1.0
    figures[1:, :2, 1:4] = 0.8
    assert choose_setting(figures) == (2, 0, 2)


def test_a_plateau_is_taken_in_its_middle():
    """All filters do equally well from threshold 1 to 5, with one of two hystereses: the middle filter, threshold 3."""
    figures = np.zeros((3, 2, 7))
    figures[:, 1, 1:6] = 0.8
    assert choose_setting(figures) == (1, 1, 3)


def test_thresholds_far_from_the_edge_of_what_works():
    """Tones score 0.42, 0.6 and 0.8 over noise at 0.18, for 20 of 60 frames each.

    With a ratio of 1, thresholds from 0.2 to 0.4 find all three; below, detections are whole recordings, and above, one
    is missed. With 0.75 that takes 0.25 at least, with 0.5 it takes 0.4. So together with their neighbours only 0.3 and
    0.35 with a ratio of 1 count 1: the first of these two is taken. Filters change nothing: the middle one is taken.
    """
    times = ((np.arange(60) + 0.5) * STEP_S).astype(np.float32)
    scores, truth = {}, {}
    for number, high in enumerate((0.42, 0.6, 0.8)):
        values = np.full((60, 1), 0.18, np.float32)
        values[20:40] = high
        scores[str(number)] = Scores(times, values, ("a",), STEP_S)
        truth[str(number)] = [Event("a", 20 * STEP_S, 40 * STEP_S, 1.0)]
    durations = dict.fromkeys(scores, 60 * STEP_S)
    found = fit_events(scores, truth, durations)
    assert found.f1 == pytest.approx(1)
    assert (found.medians_s, found.off_ratios) == ({"a": 0.2}, {"a": 1.0})
    assert found.thresholds == {"a": pytest.approx(0.3)}
    boxes = fit_boxes(scores, truth, durations, max_gap_s=0.2, max_event_s=30.0)
    assert boxes.f1 == pytest.approx(1)
    assert 0.2 < boxes.thresholds["a"] < 0.42


def test_where_nothing_occurs_nothing_is_fitted():
    scores, _, durations = recordings(2)
    found = fit_events(scores, {}, durations)
    assert (found.f1, found.thresholds) == (0.0, dict.fromkeys(LABELS, DEFAULT_THRESHOLD))
    boxes = fit_boxes(scores, {}, durations, max_gap_s=0.2, max_event_s=30.0)
    assert (boxes.f1, boxes.thresholds) == (0.0, dict.fromkeys(LABELS, DEFAULT_THRESHOLD))


@pytest.mark.parametrize(("silent", "expected"), [(3, 0.6), (5, 0.6), (20, 0.6)])
def test_the_longest_of_equally_good_gaps_is_filled(silent, expected):
    """Two bursts of ten frames are one event where the truth says so, and two where they are far apart."""
    values = np.zeros((100, 1), np.float32)
    values[20:30], values[30 + silent : 40 + silent] = 0.9, 0.9
    scores = {"x": Scores((np.arange(100) + 0.5) * 0.1, values, ("a",), 0.1)}
    pieces = [(2.0, 3.0), (3.0 + silent / 10, 4.0 + silent / 10)] if silent == 20 else [(2.0, 4.0 + silent / 10)]
    truth = {"x": [Event("a", *piece, 1.0) for piece in pieces]}
    assert fit_gap(scores, truth, {"x": 10.0}, (0.2, 0.4, 0.6)) == expected


def test_a_gap_that_joins_what_is_two_is_not_filled():
    values = np.zeros((100, 1), np.float32)
    for start in (10, 25, 40, 55):
        values[start : start + 10] = 0.9
    scores = {"x": Scores((np.arange(100) + 0.5) * 0.1, values, ("a",), 0.1)}
    truth = {"x": [Event("a", start / 10, start / 10 + 1, 1.0) for start in (10, 25, 40, 55)]}
    assert fit_gap(scores, truth, {"x": 10.0}, (0.2, 0.4, 0.6)) == 0.4
