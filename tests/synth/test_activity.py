# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from auricle.synth.activity import RegionRule, active_regions

RATE = 1_000  # 20 samples a frame


def sound(*spans: tuple[int, int, float], length: int = 1_000) -> np.ndarray:
    """Return a wave whose level is constant over spans ``(begin, end, level)`` and 0 elsewhere."""
    out = np.zeros(length, np.float32)
    for begin, end, level in spans:
        out[begin:end] = level * (-1.0) ** np.arange(end - begin)
    return out


def test_sounds_apart_are_regions_and_short_silences_are_bridged():
    # A silence of 240 ms (12 frames) is bridged, one of 260 ms is not.
    assert active_regions(sound((100, 200, 1), (440, 500, 1), (760, 800, 1)), RATE) == [(100, 500), (760, 800)]


def test_the_level_that_counts_is_26_db_below_the_loudest():
    quiet, too_quiet = 10 ** (-25.9 / 20), 10 ** (-26.1 / 20)
    assert active_regions(sound((0, 100, 1), (100, 200, quiet)), RATE) == [(0, 200)]
    assert active_regions(sound((0, 100, 1), (100, 200, too_quiet)), RATE) == [(0, 100)]


def test_edges():
    assert active_regions(sound(), RATE) == []
    assert active_regions(sound(length=0), RATE) == []
    assert active_regions(sound((500, 520, 1)), RATE) == []  # 20 ms: too short to be used
    assert active_regions(sound((500, 520, 1)), RATE, RegionRule(shortest_s=0.02)) == [(500, 520)]
    assert active_regions(sound((960, 1_010, 1), length=1_010), RATE) == [(960, 1_010)]  # the last frame is not full
