# SPDX-License-Identifier: Apache-2.0
"""A graph without some of its outputs: the others are the same, and what they do not need is gone."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers.tinybundle import loudness_graph, make_bundle
from onnx import helper

from auricle.errors import BundleError
from auricle.runtime import onnx_session
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.onnx_graph import graph_nodes, graph_of, graph_outputs, only_outputs
from auricle.runtime.onnx_session import EMBEDDING, FRAMES, GraphSession, open_network


def run(content: bytes, waveform: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"waveform": waveform}), strict=True))


def test_what_other_outputs_need_is_left_out():
    content, waveform = loudness_graph(), np.linspace(-1, 1, 600, dtype=np.float32).reshape(2, 300)
    part = only_outputs(content, {"clip", "no such output"})
    onnx.checker.check_model(onnx.load_from_string(part))
    assert len(graph_nodes(graph_of(content))) == 12
    assert [node.operator for node in graph_nodes(graph_of(part))][-2:] == ["Concat", "ReduceMean"]
    assert list(graph_outputs(graph_of(part))) == ["clip"]
    np.testing.assert_array_equal(run(part, waveform)["clip"], run(content, waveform)["clip"])


def test_no_part_is_made_where_it_would_be_the_whole():
    assert only_outputs(loudness_graph(), {"clip"}, most=0.5) is None  # 7 of 12 nodes
    assert only_outputs(loudness_graph(), {"clip"}, most=0.6) is not None


def test_nested_graphs_may_read_anything_so_nothing_is_left_out():
    model = onnx.load_from_string(loudness_graph())
    branch = helper.make_graph(
        [helper.make_node("Identity", ["loud"], ["y"])], "b", [], [onnx.ValueInfoProto(name="y")]
    )
    model.graph.node.append(helper.make_node("If", ["one"], ["z"], then_branch=branch, else_branch=branch))
    assert only_outputs(model.SerializeToString(), {"clip"}) is None


def test_a_file_without_a_graph_is_an_error():
    with pytest.raises(BundleError, match="the model's ONNX file holds no graph"):
        graph_of(b"")


@pytest.fixture
def opened(monkeypatch):
    """Return the sizes of the graphs that are opened from now on."""
    sizes: list[int] = []
    known = onnx_session.open_session
    monkeypatch.setattr(
        onnx_session, "open_session", lambda data, *how: (sizes.append(len(data)), known(data, *how))[1]
    )
    return sizes


def test_scores_without_frames_are_the_same_and_have_a_smaller_graph(opened):
    bundle = load_bundle(resolve_model("general"))
    content = bundle.read("model.onnx")
    windows = (0.1 * np.random.default_rng(0).standard_normal((1, 40_000))).astype(np.float32)
    network = open_network(bundle)
    whole = network.run(windows, frozenset({FRAMES, EMBEDDING}))
    assert opened == [len(content)]
    lean = network.run(windows, frozenset({EMBEDDING}))
    assert len(opened) == 2
    assert opened[1] < 0.9 * len(content)
    np.testing.assert_allclose(lean.clip, whole.clip, atol=1e-6)
    np.testing.assert_allclose(lean.embedding, whole.embedding, atol=1e-5)
    network.run(windows)
    network.run(windows, frozenset({FRAMES}))
    assert len(opened) == 2


def test_a_lean_session_opens_the_rest_when_it_is_asked_for(opened):
    bundle = load_bundle(resolve_model("general"))
    content = bundle.read("model.onnx")
    session = GraphSession(content, 1, "model.onnx", lean=True)
    assert session.outputs == {"clip", "frames", "embedding", "frame_embedding"}
    assert len(opened) == 1
    assert opened[0] < 0.9 * len(content)
    (frames,) = session.run(["frames"], {"waveform": np.zeros((1, 12_800), np.float32)})
    assert frames.shape == (1, 10, 527)
    assert opened[1:] == [len(content)]


@pytest.mark.parametrize("lean", [False, True])
def test_a_graph_of_which_most_is_needed_is_opened_once(tmp_path, opened, monkeypatch, lean):
    monkeypatch.setattr(onnx_session, "_LEAN_SHARE", 0.8)  # 7 of 8 nodes are needed
    network = open_network(make_bundle(tmp_path / "m", loudness_graph(embedding=False)), lean=lean)
    network.run(np.zeros((1, 1000), np.float32))
    network.run(np.zeros((1, 1000), np.float32), frozenset({FRAMES}))
    assert len(opened) == 1
