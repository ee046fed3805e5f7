# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import numpy as np
import pytest

from auricle.reports.lanes import MOST_LANES, Span, make_lanes
from auricle.results import Event, Scores


def points(path: str) -> list[list[float]]:
    return [[float(n) for n in pair.split()] for pair in re.findall(r"[\d.]+ [\d.]+", path)]


def test_places_are_shares_of_the_recording(scores, found, truth):
    dog, rain = make_lanes(scores, found, truth, 2.0, {"dog": 0.5, "rain": 0.25})
    assert (dog.label, dog.threshold, dog.peak) == ("dog", 50.0, 1.0)
    assert dog.found == (Span(25.0, 25.0, "found: dog, 0.50 to 1.00 s, score 0.90", "0.90"),)
    assert [(s.left, s.width, s.text) for s in dog.true] == [
        (20.0, 30.0, "true: dog, 0.40 to 1.00 s"),
        (80.0, 10.0, "true: dog, 1.60 to 1.80 s"),
    ]
    assert rain.found == (Span(75.0, 25.0, "false: rain, 1.50 to 2.00 s, score 0.60", "0.60", false=True),)
    assert dog.hue != rain.hue


def test_without_truth_nothing_is_false(scores, found):
    lanes = make_lanes(scores, found, None, 2.0)
    assert [span.false for lane in lanes for span in lane.found] == [False, False]
    assert [lane.threshold for lane in lanes] == [None, None]
    assert make_lanes(scores, found, [], 2.0)[0].found[0].false is True


def test_the_curve_goes_through_the_frames_from_the_upper_edge_down(scores):
    dog = make_lanes(scores, [], None, 2.0)[0]
    assert points(dog.line) == [[125, 100], [375, 0], [625, 50], [875, 100]]
    assert points(dog.area) == [[125, 100], *points(dog.line), [875, 100]]
    assert dog.area.endswith("Z")


def test_many_frames_become_groups_that_keep_the_peaks():
    values = np.zeros((50_000, 1), np.float32)
    values[12_345] = 0.75
    times = (np.arange(50_000, dtype=np.float32) + 0.5) / 100
    (lane,) = make_lanes(Scores(times, values, ("dog",), 0.01), [], None, 500.0)
    line = points(lane.line)
    assert len(line) == 1000
    assert min(line, key=lambda point: point[1]) == [pytest.approx(246.5, abs=1), 25.0]


def test_events_are_cut_to_the_recording(scores):
    dog = make_lanes(scores, [Event("dog", 1.5, 9.0, 1.0)], None, 2.0)[0]
    assert (dog.found[0].left, dog.found[0].width) == (75.0, 25.0)


def test_a_label_that_only_the_truth_has_gets_an_empty_row(scores):
    lanes = make_lanes(scores, [], [Event("owl", 0, 1, 1.0)], 2.0, {"dog": 0.5})
    assert [lane.label for lane in lanes] == ["dog", "rain", "owl"]
    assert (lanes[2].line, lanes[2].area, lanes[2].threshold) == ("", "", None)


def test_no_frames_give_rows_without_curves():
    empty = Scores(np.zeros(0, np.float32), np.zeros((0, 2), np.float32), ("dog", "rain"), 0.1)
    assert [lane.line for lane in make_lanes(empty, [], None, 1.0)] == ["", ""]


def test_of_many_labels_those_with_events_and_the_likeliest_are_shown():
    labels = tuple(f"label {i:03d}" for i in range(500))
    values = np.linspace(0, 0.5, 500, dtype=np.float32)[None]
    scores = Scores(np.array([0.5], np.float32), values, labels, 1.0)
    shown = [lane.label for lane in make_lanes(scores, [Event(labels[7], 0, 1, 0.9)], None, 1.0)]
    assert len(shown) == MOST_LANES
    assert shown == [labels[7], *labels[-MOST_LANES + 1 :]]
    everything = [Event(label, 0, 1, 0.9) for label in labels[:40]]
    assert len(make_lanes(scores, everything, None, 1.0)) == 40
