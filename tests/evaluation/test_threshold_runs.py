# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from auricle.evaluation.events.threshold_runs import threshold_runs


def runs_at(scores: list[float], threshold: float) -> list[tuple[int, int]]:
    """Slow and obvious."""
    runs: list[tuple[int, int]] = []
    for frame, score in enumerate(scores):
        if score < threshold:
            continue
        runs = [*runs[:-1], (runs[-1][0], frame)] if runs and runs[-1][1] == frame - 1 else [*runs, (frame, frame)]
    return runs


@given(st.lists(st.integers(0, 5).map(float), max_size=40))
def test_at_every_threshold_the_runs_are_those_of_thresholding(scores: list[float]):
    found = threshold_runs(scores)
    assert len(found.first) <= len(scores)
    for threshold in np.arange(-0.5, 6):
        alive = (found.bottom < threshold) & (threshold <= found.top)
        pairs = sorted(zip(found.first[alive].tolist(), found.last[alive].tolist(), strict=True))
        assert pairs == runs_at(scores, threshold)


def test_long_slopes_are_one_pass():
    for scores in (np.arange(50_000.0), -np.arange(50_000.0), np.zeros(50_000)):
        assert len(threshold_runs(scores).first) == len(np.unique(scores))
