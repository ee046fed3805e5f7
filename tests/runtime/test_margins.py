# SPDX-License-Identifier: Apache-2.0
"""Models whose windows stand side by side hear every frame once, and each frame with its surroundings."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.tinybundle import RATE, make_bundle

from auricle.runtime.bundle import Bundle
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import Network, Outputs, open_network

MARGINS = {"window_s": 1.0, "hop_s": 0.6, "margin_s": 0.2}


class Counting:
    """A network that remembers how long its windows were."""

    def __init__(self, network: Network) -> None:
        self.network, self.lengths = network, []
        self.running, self.outputs = None, network.outputs

    def run(self, windows: np.ndarray, wanted: frozenset[str] = frozenset()) -> Outputs:
        self.lengths.append(windows.shape[1])
        return self.network.run(windows, wanted)


@pytest.fixture
def bundle(tmp_path) -> Bundle:
    return make_bundle(tmp_path / "tiny", **MARGINS)


@pytest.mark.parametrize(
    ("samples", "lengths"),
    [
        (40, [100]),  # less than the network can take
        (300, [300]),
        (800, [800]),  # hop and margin: one window
        (801, [800, 401]),
        (2_000, [800, 1_000, 1_000]),
        (2_100, [800, 1_000, 1_000, 500]),
    ],
)
def test_windows_are_as_long_as_there_is_sound(bundle, samples, lengths):
    network = Counting(open_network(bundle))
    Detector(bundle, network).frames(np.full(samples, 0.5, np.float32), RATE)
    assert network.lengths == lengths


def test_frames_are_those_of_the_whole_at_once(bundle):
    """The tiny network hears nothing beyond a frame, so windows must leave no trace."""
    detector = Detector(bundle, open_network(bundle))
    samples = np.random.default_rng(0).uniform(-1, 1, 4_300).astype(np.float32)
    expected = np.abs(samples).reshape(-1, 100).mean(1)
    found = detector.frames(samples, RATE)
    np.testing.assert_allclose(found.values[:, 0], expected, atol=1e-6)
    np.testing.assert_allclose(found.times, (np.arange(43) + 0.5) * 0.1, atol=1e-6)


def test_the_middle_of_a_window_is_what_counts(tmp_path):
    """A network that gives each frame its place in the window: what is kept says which frames those are."""
    bundle = make_bundle(tmp_path / "tiny", **MARGINS)

    class Places(Counting):
        def run(self, windows: np.ndarray, wanted: frozenset[str] = frozenset()) -> Outputs:
            count = windows.shape[1] // 100
            frames = np.repeat(np.arange(count, dtype=np.float32)[None, :, None], 2, axis=2)
            return Outputs(np.zeros((1, 2), np.float32), frames)

    found = Detector(bundle, Places(open_network(bundle))).frames(np.ones(2_100, np.float32), RATE)
    assert found.values[:, 0].tolist() == [*range(6), *range(2, 8), *range(2, 8), 2, 3, 4]


def test_the_clip_scores_are_those_of_the_windows(bundle):
    samples = np.concatenate([np.full(800, 0.2), np.full(400, 0.8)]).astype(np.float32)
    scores = {s.label: s.score for s in Detector(bundle, open_network(bundle)).tag(samples, RATE).scores}
    first, second = 0.2, (0.2 * 4 + 0.8 * 4) / 8  # of [0, 800) and [400, 1200)
    assert scores["loud"] == pytest.approx((first + second) / 2, abs=1e-6)
