# SPDX-License-Identifier: Apache-2.0
"""The table of events: rules on stored scores, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.evaluation.events.metrics import event_counts
from auricle.results import Event
from benchmarks.sed import ROWS
from benchmarks.sedtable import RULES, Part, Setting, counts_of, figures, found_of, front_multiply_adds, tune

STEP_S = 0.04


def part_of(*scenes: list[tuple[float, float, float]], truth: list[list[tuple[float, float]]]) -> Part:
    """Return a part with one label; each scene of 4 s is a list of (begin, end, score)."""
    frames = 100
    values = np.full((len(scenes), frames, 1), 0.01, np.float32)
    for row, spans in zip(values, scenes, strict=True):
        for begin, end, score in spans:
            row[round(begin / STEP_S) : round(end / STEP_S), 0] = score
    times = ((np.arange(frames) + 0.5) * STEP_S).astype(np.float32)
    events = [tuple(Event("a", on, off, 1.0) for on, off in spans) for spans in truth]
    return Part(values, times, [str(i) for i in range(len(scenes))], ["a"], events, [4.0] * len(scenes))


def spans(found: list[tuple[Event, ...]]) -> list[list[tuple[float, float]]]:
    return [[(round(e.onset, 2), round(e.offset, 2)) for e in events] for events in found]


CLEAN = part_of([(1.0, 2.0, 0.9)], [(3.2, 4.0, 0.7), (0.0, 0.4, 0.6)], [], truth=[[(1, 2)], [(0, 0.4), (3.2, 4)], []])


@pytest.mark.parametrize("rule", ["threshold 0.5", "tuned median", "hysteresis"])
def test_scenes_are_apart_though_they_are_looked_at_together(rule):
    assert spans(found_of(CLEAN, 0, rule, Setting(gap_s=0.2))) == [[(1.0, 2.0)], [(0.0, 0.4), (3.2, 4.0)], []]


def test_off_ratio_gap_and_median_by_hand():
    part = part_of([(1.0, 1.4, 0.9), (1.4, 1.8, 0.3), (1.92, 2.2, 0.9), (3.0, 3.04, 0.9)], truth=[[]])
    assert spans(found_of(part, 0, "hysteresis", Setting())) == [[(1.0, 1.4), (1.92, 2.2), (3.0, 3.04)]]
    wide = Setting(off_ratio=0.5, gap_s=0.2)
    assert spans(found_of(part, 0, "hysteresis", wide)) == [[(1.0, 2.2), (3.0, 3.04)]]
    smooth = Setting(median_s=0.2)
    assert spans(found_of(part, 0, "hysteresis", smooth))[0][0] == (1.0, 1.4)
    assert len(found_of(part, 0, "hysteresis", smooth)[0]) == 2


@pytest.mark.parametrize("rule", RULES)
def test_a_perfect_detector_is_found_perfect(rule):
    setting = tune(CLEAN, 0, rule)
    counts = counts_of(CLEAN, 0, found_of(CLEAN, 0, rule, setting), event_counts).sum(axis=0)
    assert counts.tolist() == [3, 0, 0]
    result = figures(CLEAN, {"a": setting}, rule)
    assert {name: interval.value for name, interval in result.items()} == pytest.approx(dict.fromkeys(result, 1.0))


def test_tuning_takes_what_dev_says():
    blips = [(at, at + STEP_S, 0.8) for at in np.arange(0.2, 3.8, 0.4)]
    noisy = part_of(blips, [(1.0, 2.0, 0.9)], truth=[[], [(1, 2)]])
    assert counts_of(noisy, 0, found_of(noisy, 0, "threshold 0.5", Setting()), event_counts).sum(axis=0)[1] == len(
        blips
    )
    setting = tune(noisy, 0, "tuned median")
    assert counts_of(noisy, 0, found_of(noisy, 0, "tuned median", setting), event_counts).sum(axis=0).tolist() == [
        1,
        0,
        0,
    ]


def test_the_front_end_of_the_crnn():
    """500 frames; 321 bins, each a cosine and a sine of 640 samples, into 64 mel bands."""
    assert front_multiply_adds(ROWS[0]) == 500 * 321 * (2 * 640 + 64)
