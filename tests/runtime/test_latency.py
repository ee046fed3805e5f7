# SPDX-License-Identifier: Apache-2.0
"""Shorter windows for streams: how they are chosen, what they see, and that a stream stays equal to the file."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.tinybundle import RATE, make_bundle, make_causal_bundle

from auricle.errors import UsageError
from auricle.results import Event, Scores
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.detector import Detector
from auricle.runtime.latency import least_latency_s, with_latency
from auricle.runtime.onnx_session import Outputs, open_network
from auricle.runtime.windows import MarginCutter

#: Stretches of 3.2, 1.6, 0.8, 0.4 and 0.2 s; smoothing waits 0.1 s, resampling 1.3 s at this rate.
MARGINS = {"window_s": 4.8, "hop_s": 3.2, "margin_s": 0.8, "postprocess": {"median_s": 0.3}}
AFTER_S = 0.1 + 1.3


@pytest.fixture
def detector(tmp_path) -> Detector:
    bundle = make_bundle(tmp_path / "tiny", **MARGINS)
    return Detector(bundle, open_network(bundle))


@pytest.mark.parametrize(
    ("within_s", "stretch_s", "lookahead_s"),
    [(0.2, 0.2, 0.0), (0.55, 0.2, 0.3), (0.95, 0.2, 0.7), (1.0, 0.4, 0.6), (1.2, 0.4, 0.8), (3.9, 1.6, 0.8)],
)
def test_the_stretch_becomes_shorter_before_the_look_ahead(detector, within_s, stretch_s, lookahead_s):
    spec = with_latency(detector.spec, within_s + AFTER_S)
    assert (spec.hop_s, spec.margin_s, spec.lookahead_s) == pytest.approx((stretch_s, 0.8, lookahead_s))
    assert spec.window_s == pytest.approx(stretch_s + 0.8 + lookahead_s)
    assert type(spec).model_validate(spec.model_dump()) == spec  # possible by its own rules


def test_time_enough_leaves_the_model_as_it_is(detector):
    assert with_latency(detector.spec, 4.0 + AFTER_S) is detector.spec


def test_what_cannot_be_that_quick_is_an_error(detector, tmp_path):
    with pytest.raises(
        UsageError, match=r"tiny is at least 1.60 s late, of which 1.40 s are smoothing and resampling; 1.5 s was asked"
    ):
        detector.with_latency(1.5)
    windows = make_bundle(tmp_path / "windows")
    with pytest.raises(UsageError, match=r"tiny has one latency, .* s, and 0.5 s was asked for: its windows cannot be"):
        Detector(windows, open_network(windows)).with_latency(0.5)
    causal = make_causal_bundle(tmp_path / "causal")
    running = Detector(causal, open_network(causal))
    assert running.with_latency(20).spec is causal.spec
    with pytest.raises(UsageError, match="has one latency"):
        running.with_latency(0.01)


def test_the_least_latency_is_the_first_that_is_taken(detector, tmp_path):
    least_s = least_latency_s(detector.spec)
    assert least_s == pytest.approx(0.2 + AFTER_S)
    assert with_latency(detector.spec, least_s).hop_s == pytest.approx(0.2)
    windows = make_bundle(tmp_path / "windows").spec
    assert with_latency(windows, least_latency_s(windows)) is windows
    causal = make_causal_bundle(tmp_path / "causal").spec
    assert with_latency(causal, least_latency_s(causal, causal=True), causal=True) is causal


def test_a_window_sees_its_margin_and_its_look_ahead():
    cutter = MarginCutter(4, 6, 1, 1)
    sound = np.arange(14, dtype=np.float32)
    found = [cutter.push(sound[i : i + 1]) for i in range(14)]
    assert [(i, w[0].tolist()) for i, w in enumerate(found) if w] == [
        (5, [0, 1, 2, 3, 4]),
        (9, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (13, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
    ]
    assert cutter.samples_to_next == 4
    assert [w.tolist() for w in cutter.flush()] == [[6, 7, 8, 9, 10, 11, 12, 13]]
    with pytest.raises(ValueError, match="need hop >= 1, got hop 4, margin 6 and look-ahead -1"):
        MarginCutter(4, 6, 1, -1)


def test_the_frames_of_the_stretch_are_kept(detector):
    """A network that gives each frame its place in the window."""

    class Places:
        running, outputs = None, detector.network.outputs

        def run(self, windows: np.ndarray, wanted: frozenset[str] = frozenset()) -> Outputs:
            count = windows.shape[1] // 100
            frames = np.repeat(np.arange(count, dtype=np.float32)[None, :, None], 2, axis=2)
            return Outputs(np.zeros((1, 2), np.float32), frames)

    quick = Detector(detector.bundle, Places()).with_latency(0.4 + AFTER_S)
    assert (quick.spec.hop_s, quick.spec.lookahead_s) == (0.2, 0.2)
    found = quick.frames(np.ones(1_500, np.float32), RATE)
    # Stretches of two frames; their windows begin at 0 until 0.8 s lie before them.
    assert found.values[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 9, 8, 9, 10]


@pytest.mark.parametrize("block", [37, 400, 5_000])
def test_a_stream_is_the_file_at_the_same_latency(detector, block):
    samples = np.random.default_rng(0).uniform(0, 1, 6_530).astype(np.float32) * np.sin(np.arange(6_530) / 400) ** 2
    quick = detector.with_latency(0.5 + AFTER_S)
    stream = quick.stream(RATE, threshold=0.3)
    assert stream.latency_s == pytest.approx(0.5 + 0.1)  # nothing is resampled
    items, late = [], []
    for start in range(0, len(samples), block):
        new = stream.push(samples[start : start + block])
        late += [stream.duration - item.times[0] for item in new if isinstance(item, Scores)]
        items += new
    items += stream.flush()
    frames = np.concatenate([item.values for item in items if isinstance(item, Scores)])
    np.testing.assert_array_equal(frames, quick.frames(samples, RATE).values)
    found = tuple(item for item in items if isinstance(item, Event))
    assert sorted(found, key=lambda e: (e.onset, e.label)) == sorted(
        quick.detect(samples, RATE, threshold=0.3).events, key=lambda e: (e.onset, e.label)
    )
    if block == 37:
        assert max(late) <= 0.5 + block / RATE


def test_general_keeps_its_scores_where_it_looks_ahead_enough():
    bundle = load_bundle(resolve_model("general"))
    detector = Detector(bundle, open_network(bundle))
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal(160_000) * np.repeat(rng.uniform(0, 0.3, 100), 1_600)).astype(np.float32)
    own = detector.frames(sound, 16_000).values
    apart = {
        latency_s: float(np.abs(detector.with_latency(latency_s).frames(sound, 16_000).values - own).mean())
        for latency_s in (1.0, 2.0, 4.0)
    }
    assert apart[4.0] < apart[2.0] < apart[1.0] < 0.05
