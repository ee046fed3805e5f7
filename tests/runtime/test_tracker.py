# SPDX-License-Identifier: Apache-2.0
"""From scores to events in blocks, and frames of windows that overlap or do not, beside what is slow and obvious."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.tinybundle import make_bundle
from hypothesis import given
from hypothesis import strategies as st

from auricle.events.segments import find_segments, segment_rule
from auricle.events.smoothing import median_smooth
from auricle.results import Event
from auricle.runtime.scoring import FrameOverlap
from auricle.runtime.spec import BundleSpec
from auricle.runtime.tracker import EventTracker, median_sizes


@pytest.fixture(scope="module")
def spec_of_tiny(tmp_path_factory) -> BundleSpec:
    return make_bundle(tmp_path_factory.mktemp("tiny")).spec


@given(seed=st.integers(0, 300), cuts=st.lists(st.integers(0, 80), max_size=6), gap_s=st.sampled_from([0.0, 0.2]))
def test_events_in_blocks_are_those_of_smoothed_scores(spec_of_tiny: BundleSpec, seed, cuts, gap_s):
    """Labels that are far below their thresholds are not smoothed; no event may show it."""
    post = spec_of_tiny.postprocess.model_copy(update={"median_s": 0.3, "off_ratio": 0.5, "max_gap_s": gap_s})
    spec = spec_of_tiny.model_copy(update={"postprocess": post})
    rng = np.random.default_rng(seed)
    scores = (rng.random((80, 2), np.float32) * rng.choice([0.3, 0.6, 1.0], (80, 1))).astype(np.float32)
    tracker = EventTracker(spec, 0.5)
    items = [item for part in np.split(scores, sorted(cuts)) for item in tracker.push(part)]
    items += tracker.finish(8.0)
    step_s = spec.grid.step_s(spec.sample_rate)
    rule = segment_rule(
        [0.5, 0.5], off_ratio=0.5, min_event_s=post.min_event_s, max_gap_s=post.max_gap_s, step_s=step_s
    )
    expected = find_segments(median_smooth(scores, median_sizes(spec)[0]), rule)
    found = sorted((spec.labels.index(e.label), e.onset, e.score) for e in items if isinstance(e, Event))
    assert [(label, score) for label, _, score in found] == [
        (s.label, s.peak) for s in sorted(expected, key=lambda s: (s.label, s.first))
    ]


@given(
    hop=st.integers(1, 6),
    length=st.integers(1, 8),
    windows=st.integers(1, 6),
    takes=st.lists(st.integers(0, 9), max_size=8),
)
def test_frames_are_the_means_of_their_windows(hop, length, windows, takes):
    """Whether windows overlap, touch or leave frames out, and whenever what is final is taken."""
    rng = np.random.default_rng(hop * 100 + length * 10 + windows)
    parts = [rng.random((length, 3), np.float32) for _ in range(windows)]
    total = (windows - 1) * hop + length
    sums, counts = np.zeros((total, 3)), np.zeros(total, int)
    for i, part in enumerate(parts):
        sums[i * hop : i * hop + length] += part
        counts[i * hop : i * hop + length] += 1
    expected = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    for at in np.flatnonzero(counts == 0):
        expected[at] = expected[at - 1]
    overlap, found = FrameOverlap(3), []
    for i, part in enumerate(parts):
        overlap.add(i * hop, part)
        final = (i + 1) * hop if i + 1 < windows else total
        found += [overlap.take(final - less) for less in (*takes, 0)]
    assert np.array_equal(np.concatenate(found), expected)
