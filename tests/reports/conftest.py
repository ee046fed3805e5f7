# SPDX-License-Identifier: Apache-2.0
"""A recording of two seconds with scores of two labels."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.results import Event, Scores

RATE = 8_000


@pytest.fixture(scope="session")
def recording(tone) -> np.ndarray:
    """Two seconds at 8 kHz: silence, then from 0.5 s to 1 s a tone of 1 kHz, then silence."""
    samples = np.zeros(2 * RATE, np.float32)
    samples[RATE // 2 : RATE] = tone(0.5, RATE, 1000)
    return samples


@pytest.fixture(scope="session")
def scores() -> Scores:
    """Four frames of half a second: ``dog`` peaks in the second, ``rain`` stays low."""
    times = np.array([0.25, 0.75, 1.25, 1.75], np.float32)
    values = np.array([[0, 0.1], [1, 0.1], [0.5, 0.2], [0, 0.1]], np.float32)
    return Scores(times, values, ("dog", "rain"), 0.5)


@pytest.fixture(scope="session")
def found() -> list[Event]:
    return [Event("dog", 0.5, 1.0, 0.9), Event("rain", 1.5, 2.0, 0.6)]


@pytest.fixture(scope="session")
def truth() -> list[Event]:
    return [Event("dog", 0.4, 1.0, 1.0), Event("dog", 1.6, 1.8, 1.0)]
