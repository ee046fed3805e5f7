# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from auricle.runtime.ood import FEATURES, DomainCheck, distance, fit_domain, window_features
from auricle.runtime.spec import DomainPart

RATE = 16_000


def speech_like(seed: int, rate: float = 4.0, seconds: float = 4.0, level: float = 0.2) -> np.ndarray:
    """Buzz in syllables with hiss between them, pitch and formant on the move."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(rng.uniform(100, 220) * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * time))) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 16))
    beat = 2 * np.pi * rate * rng.uniform(0.8, 1.2) * time + rng.uniform(0, 6)
    voiced, hiss = np.clip(np.sin(beat), 0, 1), np.clip(np.sin(beat + 2.5), 0, 1) ** 2
    return (level * (0.3 * buzz * voiced + 0.1 * rng.standard_normal(len(time)) * hiss)).astype(np.float32)


def named(window: np.ndarray) -> dict[str, float]:
    return dict(zip(FEATURES, window_features(window, RATE), strict=True))


def test_what_the_features_see():
    time = np.arange(4 * RATE) / RATE
    tone = named((0.3 * np.sin(2 * np.pi * 200 * time)).astype(np.float32))
    noise = named((0.1 * np.random.default_rng(0).standard_normal(4 * RATE)).astype(np.float32))
    pulsed = named(
        (0.3 * np.sin(2 * np.pi * 200 * time) * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time))).astype(np.float32)
    )
    speech = named(speech_like(0))
    assert tone["voicing"] > 0.9 > 0.6 > noise["voicing"]
    assert tone["dynamics_db"] < 1 < pulsed["dynamics_db"]
    assert pulsed["syllable_share"] > 0.95
    assert noise["syllable_share"] < 0.6
    assert noise["active_share"] == tone["active_share"] == 1 > speech["active_share"]
    assert noise["flatness_db"] > tone["flatness_db"] + 5  # nearer to 0: flat
    assert speech["voicing_spread"] > 3 * noise["voicing_spread"]
    assert speech["centroid_spread"] > 3 * tone["centroid_spread"]


def test_level_does_not_matter():
    quiet, loud = (window_features(speech_like(1, level=level), RATE) for level in (0.01, 0.5))
    np.testing.assert_allclose(quiet, loud, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("window", [np.zeros(RATE), np.ones(RATE), np.zeros(1), np.full(10, 1e-9)])
def test_features_are_always_finite(window):
    assert np.isfinite(window_features(window.astype(np.float32), RATE)).all()


def test_distance_by_hand():
    """Standard deviations 2 and 1 without correlation: the whitened features are the deviations in their units."""
    table = np.zeros((4, len(FEATURES)))
    table[:, 0], table[:, 1] = [2, -2, 2, -2], [1, 1, -1, -1]
    part = fit_domain(table, 1.0)
    mean, whitening = np.array(part.mean), np.array(part.whitening)
    assert distance(np.array([4.0, 0, 0, 0, 0, 0, 0, 0]), mean, whitening) == pytest.approx(2, rel=1e-3)
    assert distance(np.array([2.0, 1, 0, 0, 0, 0, 0, 0]), mean, whitening) == pytest.approx(np.sqrt(2), rel=1e-3)
    assert part.limit == pytest.approx(np.sqrt(2), rel=1e-3)


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """The figures of 150 windows of training, ``(window, figure)``."""
    return np.stack([window_features(speech_like(seed), RATE) for seed in range(150)])


@pytest.fixture(scope="module")
def domain(windows) -> DomainPart:
    return fit_domain(windows, 2.0)


def test_three_in_a_hundred_training_windows_are_beyond_the_limit(domain, windows):
    mean, whitening = np.array(domain.mean), np.array(domain.whitening)
    far = [distance(window, mean, whitening) > domain.limit for window in windows]
    assert 4 <= sum(far) <= 5


def test_a_recording_is_judged_by_most_of_its_windows(domain):
    speech, noise = speech_like(500), (0.1 * np.random.default_rng(1).standard_normal(4 * RATE)).astype(np.float32)
    found = {}
    for name, windows in {
        "speech": [speech] * 3,
        "some": [speech, speech, noise],
        "most": [speech, noise, noise],
    }.items():
        check = DomainCheck(domain, RATE)
        for window in windows:
            check.add(window)
        found[name] = check.flags(4 * RATE)
    assert found["speech"] == found["some"] == ()
    (flag,) = found["most"]
    assert flag.code == "out_of_distribution"
    assert flag.details["share"] == pytest.approx(2 / 3)
    assert flag.details["distance"] > flag.details["limit"] == domain.limit


def test_short_recordings(domain):
    (flag,) = DomainCheck(domain, RATE).flags(RATE)
    assert flag.to_dict() == {"code": "too_short", "duration_s": 1.0, "shortest_trained_s": 2.0}
    assert DomainCheck(domain, RATE).flags(2 * RATE) == ()


def test_impossible_input_is_refused():
    with pytest.raises(ValueError, match=r"need features of shape \(window, 8\) of one window or more, got \(0, 8\)"):
        fit_domain(np.zeros((0, 8)), 1.0)
    with pytest.raises(ValueError, match="domain: 1 features need as many means and a square matrix of that size"):
        DomainPart(shortest_s=1.0, features=("a",), mean=(1.0,), whitening=((1.0, 2.0),), limit=1.0)
