# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import onnx
from helpers.smallgraphs import conv_graph, graph, gru_graph, noise, run
from onnx import helper

from auricle.exporting.graphs import merge_norms, put_together, take_apart


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_a_norm_becomes_part_of_its_convolution():
    """By hand: weight 2, then (2 x - 1) * 3 / sqrt(3.999 + 0.001) + 5 = 3 x + 3.5."""
    constants = {name: np.array([value], np.float32) for name, value in (("g", 3), ("s", 5), ("m", 1), ("v", 3.999))}
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "one"], ["wide"]),
        helper.make_node("Conv", ["wide", "w"], ["y"]),
        helper.make_node("BatchNormalization", ["y", "g", "s", "m", "v"], ["clip"], epsilon=1e-3),
    ]
    content = graph(nodes, {**constants, "one": np.array([1]), "w": np.full((1, 1, 1), 2, np.float32)}, rank=3)
    parts = take_apart(onnx.load_from_string(content))
    merge_norms(parts)
    assert [node.op_type for node in parts.nodes] == ["Unsqueeze", "Conv"]
    weight, bias = (parts.constants[name] for name in parts.nodes[1].input[1:])
    np.testing.assert_allclose([weight.item(), bias.item()], [3.0, 3.5], rtol=1e-6)


def test_merging_and_renaming_change_no_result():
    content = conv_graph()
    model = onnx.load_from_string(content)
    parts = take_apart(model)
    merge_norms(parts)
    smaller = put_together(parts, model)
    assert operators(smaller) == ["Unsqueeze", "Conv", "Relu"]
    np.testing.assert_allclose(run(smaller.SerializeToString(), noise()), run(content, noise()), rtol=1e-4, atol=1e-5)
    assert {t.name for t in smaller.graph.initializer} == {"v0", "v2", "v3"}, "unused constants go, names are short"


def test_a_norm_stays_where_another_node_needs_what_is_before_it():
    model = onnx.load_from_string(conv_graph())
    model.graph.node.append(helper.make_node("Neg", ["heard"], ["other"]))
    parts = take_apart(model)
    merge_norms(parts)
    assert "BatchNormalization" in [node.op_type for node in parts.nodes]


def test_steps_that_move_weights_are_done_and_steps_that_compute_stay():
    model = onnx.load_from_string(gru_graph())
    model.graph.node.append(helper.make_node("Cos", ["bias"], ["computed"]))
    parts = take_apart(model)
    assert [node.op_type for node in parts.nodes] == ["Reshape", "Transpose", "GRU", "Cos"]
    assert parts.constants["both"].shape == (2, 18, 4)


def test_a_step_that_makes_more_bytes_stays():
    cast = helper.make_node("Cast", ["half"], ["whole"], to=onnx.TensorProto.FLOAT)
    nodes = [cast, helper.make_node("MatMul", ["waveform", "whole"], ["clip"])]
    content = graph(nodes, {"half": np.ones((24, 2), np.float16)})
    parts = take_apart(onnx.load_from_string(content))
    assert [node.op_type for node in parts.nodes] == ["Cast", "MatMul"]
