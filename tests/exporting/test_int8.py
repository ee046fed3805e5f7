# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import onnx
import pytest
from helpers.smallgraphs import SAMPLES, conv_graph, graph, gru_graph, noise, run
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from auricle.exporting.int8 import quantise, round_to_int8
from auricle.runtime.onnx_safety import check_onnx


def stored(content: bytes) -> dict[str, list[tuple[int, ...]]]:
    """Return the shapes of the constants by type."""
    found: dict[str, list[tuple[int, ...]]] = {}
    for tensor in onnx.load_from_string(content).graph.initializer:
        found.setdefault(onnx.TensorProto.DataType.Name(tensor.data_type), []).append(tuple(tensor.dims))
    return found


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=6, max_size=6))
def test_a_weight_is_off_by_half_a_step_at_most(values):
    weight = np.array(values, np.float32).reshape(2, 3)
    numbers, scale = round_to_int8(weight, 0)
    assert numbers.dtype == np.int8
    assert np.abs(numbers.astype(int)).max() <= 127
    assert (np.abs(numbers * scale[:, None].astype(np.float64) - weight) <= 0.5001 * scale[:, None]).all()


def test_each_channel_has_its_own_scale():
    numbers, scale = round_to_int8(np.array([[127, 0.5], [-63.5, 0.25]], np.float32), 1)
    assert numbers.tolist() == [[127, 127], [-64, 64]]
    np.testing.assert_allclose(scale, [1, 0.5 / 127], rtol=1e-6)


def test_convolutions_keep_8_bits_a_weight_and_nearly_their_result():
    content, waveform = conv_graph(), noise()
    smaller = quantise(content)
    assert (16, 1, 20) in stored(smaller)["INT8"]
    assert not [shape for shape in stored(smaller)["FLOAT"] if len(shape) > 1]
    check_onnx(smaller, "smaller")
    before, after = run(content, waveform), run(smaller, waveform)
    error = np.abs(after - before).max(axis=(0, 2)) / np.abs(before).max(axis=(0, 2))
    assert 0 < error.max() < 0.02, "small in the faintest channel too"


def test_gru_weights_have_a_scale_for_each_direction_and_row():
    content = gru_graph()
    smaller = quantise(content)
    assert "INT8" not in stored(smaller), "fewer than FEWEST numbers stay as they are"
    large = gru_graph(hidden=16, step=6)
    shapes = stored(quantise(large))
    assert sorted(shapes["INT8"]) == [(96, 6), (96, 16)]
    assert (96,) in shapes["FLOAT"]
    np.testing.assert_allclose(run(quantise(large), noise()), run(large, noise()), atol=0.02)


@pytest.mark.parametrize("windows", [[], list(noise(8))], ids=["weights", "arithmetic"])
def test_the_front_end_stays_float_in_half_the_bytes(windows):
    weight = np.random.default_rng(0).standard_normal((SAMPLES, 16)).astype(np.float32)
    product = np.random.default_rng(1).standard_normal((16, 20)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["waveform", "network.frontend.bank"], ["heard"]),
        helper.make_node("MatMul", ["heard", "network.mix.weight"], ["clip"]),
    ]
    content = graph(nodes, {"network.frontend.bank": weight, "network.mix.weight": product})
    shapes = stored(quantise(content, windows))
    assert shapes["FLOAT16"] == [(SAMPLES, 16)]
    assert (16, 20) in shapes["INT8"]
    before, after = run(content, noise()), run(quantise(content, windows), noise())
    assert 0 < np.abs(after - before).max() / np.abs(before).max() < 0.03


@pytest.mark.parametrize("turned", [0, 1])
def test_a_product_with_bias_has_its_channels_where_it_says(turned):
    weight = (
        np.random.default_rng(0).standard_normal((16, SAMPLES)).astype(np.float32) * np.geomspace(1, 99, 16)[:, None]
    )
    constants = {
        "w": weight.astype(np.float32) if turned else weight.T.astype(np.float32),
        "b": np.ones(16, np.float32),
    }
    content = graph([helper.make_node("Gemm", ["waveform", "w", "b"], ["clip"], transB=turned)], constants)
    model = onnx.load_from_string(quantise(content))
    scale = next(numpy_helper.to_array(t) for t in model.graph.initializer if tuple(t.dims) == (16,) and t.name != "b")
    assert scale.size == 16
    before = run(content, noise())
    assert (np.abs(run(model.SerializeToString(), noise()) - before) / np.abs(before).max(axis=0)).max() < 0.02


def test_with_windows_the_products_compute_in_8_bits():
    content = conv_graph()
    model = onnx.load_from_string(quantise(content, list(noise(40))))
    assert {"QLinearConv", "QuantizeLinear"} <= {node.op_type for node in model.graph.node}
    check_onnx(model.SerializeToString(), "smaller")
    before, after = run(content, noise()), run(model.SerializeToString(), noise())
    assert 0 < np.abs(after - before).max() / np.abs(before).max() < 0.03
