# SPDX-License-Identifier: Apache-2.0
"""Causal models by a graph whose scores are worked out by hand: the mean loudness of a frame and the one before."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.tinybundle import HOP, RATE, echo_graph, loudness_graph, make_bundle, make_causal_bundle
from onnx import load_model_from_string

from auricle.errors import BundleError, InputError
from auricle.results import Event, EventStart, Scores
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import open_network, open_running
from auricle.runtime.streaming import RunningScorer


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    post = {"median_s": 0.1, "off_ratio": 0.7}
    return make_causal_bundle(tmp_path_factory.mktemp("causal"), postprocess=post, thresholds={"loud": 0.4, "quiet": 1})


@pytest.fixture(scope="module")
def detector(bundle) -> Detector:
    return Detector(bundle, open_network(bundle))


def levels(*values: float) -> np.ndarray:
    return np.repeat(np.array(values, np.float32), HOP)


class Counting:
    """A running network that remembers how it was asked."""

    def __init__(self, network) -> None:
        self.network, self.calls = network, []

    def advance(self, samples, state):
        self.calls.append((samples.shape, None if state is None else state.tolist()))
        return self.network.advance(samples, state)


def test_the_state_goes_from_call_to_call(bundle):
    running = open_running(bundle)
    assert (running.frame_samples, running.state_size) == (HOP, 1)
    first = running.advance(levels(0.2, 0.6)[None], None)
    np.testing.assert_allclose(first.frames[0, :, 0], [0.1, 0.4], atol=1e-6)
    np.testing.assert_allclose(first.state, [[0.6]], atol=1e-6)
    second = running.advance(levels(0.4)[None], first.state)
    np.testing.assert_allclose(second.frames[0], [[0.5, 0.5]], atol=1e-6)


def test_recordings_share_a_call(bundle):
    found = open_running(bundle).advance(np.stack([levels(0.2), levels(0.8)]), np.array([[0.0], [0.4]], np.float32))
    np.testing.assert_allclose(found.frames[:, 0, 0], [0.1, 0.6], atol=1e-6)
    np.testing.assert_allclose(found.state, [[0.2], [0.8]], atol=1e-6)


def test_a_file_is_one_pass_and_no_window(detector):
    """A window is 1 s long; the frame after its end knows the frame before it."""
    sound = levels(*[0.5] * 10, 0.1, 0.3)
    np.testing.assert_allclose(detector.frames(sound, RATE).values[-3:, 0], [0.5, 0.3, 0.2], atol=1e-6)
    events = detector.detect(sound, RATE).events
    assert [(e.label, e.onset, e.offset) for e in events] == [
        ("loud", pytest.approx(0.1, abs=1e-3), pytest.approx(1.1, abs=1e-3))
    ]


@pytest.mark.parametrize(("samples", "frames"), [(40, 0), (49, 0), (50, 1), (149, 1), (150, 2), (250, 3)])
def test_the_last_frame_counts_once_its_centre_is_heard(detector, samples, frames):
    """As many frames as by windows; zeros complete it: half of 100 samples of 0.8 are 0.4."""
    found = detector.frames(np.full(samples, 0.8, np.float32), RATE).values[:, 0]
    assert len(found) == frames
    if samples == 150:
        np.testing.assert_allclose(found, [0.4, (0.8 + 0.4) / 2], atol=1e-6)


def test_tag_stays_with_windows(detector):
    """As in training: each window begins with nothing before it, and the windows' clip scores are averaged."""
    tagged = {s.label: s.score for s in detector.tag(levels(*[0.2] * 10, *[0.4] * 5), RATE).scores}
    assert tagged["loud"] == pytest.approx((0.2 + (5 * 0.2 + 5 * 0.4) / 10) / 2, abs=1e-6)


def test_events_come_as_soon_as_they_are_certain(detector):
    """The first frame above the threshold is reported with its last sample."""
    stream = detector.stream(RATE)
    assert stream.latency_s == pytest.approx(0.1)
    assert [i for i in stream.push(levels(0.01, 0.5)) if not isinstance(i, Scores)] == []
    assert stream.push(levels(0.5)[:-1]) == []
    assert stream.samples_to_next == 1
    items = stream.push(levels(0.5)[-1:])
    assert [type(i) for i in items] == [Scores, EventStart]
    assert items[1].onset == pytest.approx(0.2, abs=1e-3)
    assert [i.label for i in stream.push(levels(0.01, 0.01, 0.01)) if isinstance(i, Event)] == ["loud"]
    assert stream.flush() == []


def test_a_long_block_goes_through_in_parts(bundle):
    counting = Counting(open_running(bundle))
    scorer = RunningScorer(bundle.spec, counting)
    found = scorer.push(np.full(600 * HOP + 7, 0.5, np.float32))
    assert [shape for shape, _ in counting.calls] == [(1, 250 * HOP), (1, 250 * HOP), (1, 100 * HOP)]
    assert [state for _, state in counting.calls] == [None, [[0.5]], [[0.5]]]
    assert found.shape == (600, 2)
    assert (scorer.samples_seen, scorer.samples_to_next) == (600 * HOP + 7, HOP - 7)


def test_windows_are_shown_to_whoever_watches(bundle):
    """The check for sounds unlike the training data looks at windows, whatever the scores come from."""
    watched = []
    scorer = RunningScorer(bundle.spec, open_running(bundle), lambda window, _: watched.append(window))
    scorer.push(levels(*[0.1] * 12))
    scorer.finish()
    assert [len(window) for window in watched] == [RATE, RATE]


@pytest.mark.parametrize("samples", [0, HOP - 1, HOP + 1])
def test_samples_that_are_no_whole_frames_are_refused(bundle, samples):
    expected = rf"got {samples} samples; .*stream.onnx takes a multiple of its frame of 100 samples"
    with pytest.raises(InputError, match=expected) as caught:
        open_running(bundle).advance(np.zeros((1, samples), np.float32), None)
    assert caught.value.code == "wrong_length"


def test_answers_that_are_not_finite_are_refused(bundle):
    with pytest.raises(InputError, match=r"stream.onnx gives non-finite values for this recording") as caught:
        open_running(bundle).advance(np.zeros((1, HOP), np.float32), np.array([[np.inf]], np.float32))
    assert caught.value.code == "internal"


def test_a_graph_for_windows_is_no_graph_for_streams(tmp_path):
    expected = (
        r"stream.onnx has inputs \['waveform'\] and outputs \['clip', 'frames', 'embedding'\]; a model with frame "
        r"scores that runs on a stream has inputs \['waveform', 'state'\], the state of known size, and outputs "
        r"\['frames', 'clip', 'next_state'\]"
    )
    with pytest.raises(BundleError, match=expected):
        open_network(make_causal_bundle(tmp_path / "m", stream=loudness_graph()))


def test_a_state_of_unknown_size_is_refused(tmp_path):
    model = load_model_from_string(echo_graph())
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_param = "size"
    with pytest.raises(BundleError, match="the state of known size"):
        open_network(make_causal_bundle(tmp_path / "m", stream=model.SerializeToString()))


def test_a_graph_of_other_labels_is_refused(tmp_path):
    bundle = make_causal_bundle(tmp_path / "m", labels=["a", "b", "c"], thresholds=dict.fromkeys("abc", 0.5))
    expected = r"stream.onnx gives shapes \(1, 1, 2\), \(1, 2\) and \(1, 1\) for 1 frames of 3 labels; train it again"
    with pytest.raises(BundleError, match=expected):
        open_running(bundle).advance(np.zeros((1, HOP), np.float32), None)


def test_other_models_have_none(tmp_path):
    bundle = make_bundle(tmp_path / "m")
    assert open_running(bundle) is None
    assert open_network(bundle).running is None
