# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers.tinybundle import RATE, loudness_graph, make_bundle
from onnx import helper, load_model_from_string

from auricle.errors import BundleError, InputError
from auricle.runtime.detector import Detector
from auricle.runtime.onnx_session import open_network


def test_outputs_come_when_asked_for(tmp_path):
    network = open_network(make_bundle(tmp_path / "m"))
    windows = np.full((3, 1000), 0.25, np.float32)
    outputs = network.run(windows)
    np.testing.assert_allclose(outputs.clip, [[0.25, 0.75]] * 3, atol=1e-6)
    assert (outputs.frames, outputs.embedding) == (None, None)
    outputs = network.run(windows, frozenset({"frames", "embedding"}))
    assert (outputs.frames.shape, outputs.embedding.shape) == ((3, 10, 2), (3, 3))
    assert network.outputs == {"clip", "frames", "embedding"}


def test_other_lengths_are_refused_by_fixed_length_models_only(tmp_path):
    other = np.zeros((1, 1200), np.float32)
    assert open_network(make_bundle(tmp_path / "free")).run(other).clip.shape == (1, 2)
    fixed = open_network(make_bundle(tmp_path / "fixed", fixed_length=True))
    assert fixed.run(other[:, :1000]).clip.shape == (1, 2)
    with pytest.raises(InputError, match=r"got windows of 1200 samples; .*model.onnx takes 1000 and nothing else") as e:
        fixed.run(other)
    assert e.value.code == "wrong_length"


def test_a_graph_with_other_labels_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "m", labels=["a", "b", "c"], thresholds=dict.fromkeys("abc", 0.5))
    network = open_network(bundle)
    with pytest.raises(BundleError, match=r"model.onnx gives clip of shape \(1, 2\) for its 3 labels; train it again"):
        network.run(np.zeros((1, 1000), np.float32))
    with pytest.raises(BundleError, match="for its 3 labels"):
        list(Detector(bundle, network).tag_many([np.zeros(1000, np.float32)], RATE))


def test_a_graph_with_other_inputs_or_outputs_is_refused(tmp_path):
    text = r"has inputs \['waveform'\] and outputs \['clip', 'embedding'\]; a bundle needs input 'waveform' and outputs"
    with pytest.raises(BundleError, match=text):
        open_network(make_bundle(tmp_path / "m", graph=loudness_graph(frames=False)))
    model = load_model_from_string(loudness_graph())
    model.graph.input[0].name = "audio"
    model.graph.node[0].input[0] = "audio"
    with pytest.raises(BundleError, match=r"has inputs \['audio'\]"):
        open_network(make_bundle(tmp_path / "n", graph=model.SerializeToString()))


def test_c13_a_graph_that_the_engine_refuses_is_one_line(tmp_path):
    model = load_model_from_string(loudness_graph())
    model.graph.node.append(helper.make_node("NoSuchOperator", ["loud"], ["x"]))
    bundle = make_bundle(tmp_path / "m", graph=model.SerializeToString())
    with pytest.raises(BundleError, match=r"model.onnx is refused by ONNX Runtime: .*NoSuchOperator") as caught:
        open_network(bundle)
    assert "\n" not in caught.value.message


def test_non_finite_scores_fail_the_recording_only(tmp_path):
    bundle = make_bundle(tmp_path / "m", graph=loudness_graph(scale=float("nan")))
    detector = Detector(bundle, open_network(bundle))
    (result,) = detector.tag_many([np.zeros(1000, np.float32)], RATE)
    assert result.error.code == "internal"
    assert "gives non-finite values in clip for this recording" in result.error.message


def test_importing_the_detector_needs_neither_torch_nor_an_engine_nor_a_decoder():
    code = (
        "import sys, auricle.runtime.detector\n"
        "print([m for m in ('torch', 'onnxruntime', 'soundfile', 'soxr', 'yaml', 'onnx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
