# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import random
import time

import numpy as np
import pytest
from helpers.tinybundle import loudness_graph, make_bundle
from onnx import TensorProto, helper, load_model_from_string, numpy_helper

from auricle.errors import BundleError
from auricle.runtime.onnx_safety import check_onnx


def refused(data: bytes) -> str:
    with pytest.raises(BundleError) as caught:
        check_onnx(data, "m.onnx")
    assert "\n" not in caught.value.message
    return caught.value.message


def model_with(*nodes, initializers=(), **more) -> bytes:
    model = load_model_from_string(loudness_graph())
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(initializers)
    for name, values in more.items():
        getattr(model, name).extend(values)
    return model.SerializeToString()


def external_tensor(location: str, name: str = "w"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_a_plain_model_passes():
    check_onnx(loudness_graph(), "m.onnx")


@pytest.mark.parametrize("location", ["weights.bin", "/etc/passwd", "../../x", "*/_ORT_MEM_ADDR_/*"])
def test_c12_external_data_is_refused_wherever_it_hides(location):
    tensor = external_tensor(location)
    text = "m.onnx keeps weights in another file (external data), which auricle never opens"
    assert refused(model_with(initializers=[tensor])) == text
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    assert refused(model_with(constant)) == text
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("c", 1, [1])])
    branch = helper.make_node("If", ["one"], ["z"], then_branch=inner, else_branch=inner)
    assert refused(model_with(branch)) == text
    sparse = helper.make_sparse_tensor(tensor, numpy_helper.from_array(np.array([0]), "i"), [1])
    assert refused(model_with(helper.make_node("Constant", [], ["s"], sparse_value=sparse))) == text
    bare = TensorProto(name="w", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    assert refused(model_with(initializers=[bare])) == text


@pytest.mark.parametrize(
    ("domain", "operator"),
    [("my.ops", "Run"), ("com.microsoft", "EPContext"), ("com.microsoft", "PythonOp"), ("ai.onnx.contrib", "Tokenize")],
)
def test_c12_operators_from_elsewhere_are_refused(domain, operator):
    node = helper.make_node(operator, ["loud"], ["x"], domain=domain)
    text = f"m.onnx uses operators that are not standard ONNX ({domain}::{operator}), which auricle never runs"
    assert refused(model_with(node)) == text
    inner = helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("x", 1, None)])
    assert refused(model_with(helper.make_node("If", ["one"], ["z"], then_branch=inner, else_branch=inner))) == text


def test_operators_of_the_int8_tool_pass():
    nodes = [helper.make_node("DynamicQuantizeMatMul", ["a"], ["b"], domain="com.microsoft")]
    check_onnx(model_with(nodes[0], helper.make_node("Relu", ["a"], ["c"], domain="ai.onnx")), "m.onnx")


def test_c12_functions_are_refused():
    made = helper.make_function("my", "F", ["x"], ["y"], [], [helper.make_opsetid("", 17)])
    assert refused(model_with(functions=[made])) == (
        "m.onnx defines operators of its own (functions), which auricle never runs"
    )


def test_c13_what_is_no_model_is_named():
    assert refused(b"") == "m.onnx is not an ONNX model (no graph in it); it is empty; get the model folder again"
    assert "it is a web page; get" in refused(b"<!DOCTYPE html><html>404</html>")
    assert "it is a Git LFS pointer; get" in refused(b"version https://git-lfs.github.com/spec/v1\n")
    assert "field number 0" in refused(b"\0" * 1000)
    assert "it is cut or damaged; get" in refused(b"\x80" * 30)
    assert "a number of more than ten bytes" in refused(b"\xff" * 30)


def test_c13_a_cut_model_is_refused():
    data = loudness_graph()
    for size in range(len(data)):
        try:
            check_onnx(data[:size], "m.onnx")
        except BundleError:
            continue
        # What is cut between two fields behind the graph is whole, as far as the format knows.
        assert load_model_from_string(data[:size]).graph.output


def test_hostile_bytes_neither_crash_nor_hang():
    chance = random.Random(0)
    data = loudness_graph()
    began = time.monotonic()
    for _ in range(3_000):
        damaged = bytearray(data)
        for _ in range(chance.randrange(1, 5)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with contextlib.suppress(BundleError):
            check_onnx(bytes(damaged), "m.onnx")
    assert time.monotonic() - began < 20


def test_depth_and_types_are_checked():
    data = b""
    for _ in range(40):  # graphs within attributes within nodes within graphs
        attribute = b"\x32" + varint(len(data)) + data
        node = b"\x2a" + varint(len(attribute)) + attribute
        data = b"\x0a" + varint(len(node)) + node
    assert "nested too deeply" in refused(b"\x3a" + varint(len(data)) + data)
    assert "a number where a graph is due" in refused(b"\x38\x01")
    assert "a field of 100 bytes with 1 bytes left" in refused(b"\x3a\x64\x00")
    assert "wire type 3" in refused(b"\x3b")
    assert "ends inside a number" in refused(b"\x08")


def varint(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def test_a_bundle_with_such_a_graph_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"model.onnx keeps weights in another file"):
        make_bundle(tmp_path / "m", graph=model_with(initializers=[external_tensor("w.bin")]))
    with pytest.raises(BundleError, match=r"model.onnx is not an ONNX model .* it is a web page"):
        make_bundle(tmp_path / "m", graph=b"<html>")
