# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.intersections import intersection_counts
from auricle.evaluation.metrics import f1_from_counts
from auricle.evaluation.strongtuning import fit_boxes, fit_events
from auricle.evaluation.tuning import DEFAULT_THRESHOLD, USUAL_S
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
