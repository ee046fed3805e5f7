# SPDX-License-Identifier: Apache-2.0
"""What a window costs: the multiplications with additions of its products, counted from the shapes that a run has."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from auricle.runtime.onnx_session import INPUT

Shape = tuple[int, ...]


def count_multiply_adds(content: bytes, samples: int) -> int:
    """Return how many multiply-adds convolutions, matrix products and GRUs do for one window.

    The front end's Fourier transform, which is a convolution in the graph, counts as one. What adds up to
    little (norms, activations, pooling) is not counted.

    Args:
        content: a float32 graph of a bundle.
        samples: length of the window.
    """
    model = onnx.load_from_string(content)
    products = [node for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gemm", "GRU")]
    shapes = _shapes(model, products, samples) if products else {}
    return sum(_multiply_adds(node, shapes) for node in products)


def _shapes(model: onnx.ModelProto, products: list[onnx.NodeProto], samples: int) -> dict[str, Shape]:
    """Return the shapes of all inputs and outputs of the products, by running the graph once."""
    shapes: dict[str, Shape] = {t.name: tuple(numpy_helper.to_array(t).shape) for t in model.graph.initializer}
    wanted = {name for node in products for name in (*node.input[:3], node.output[0]) if name and name not in shapes}
    known = {value.name for value in (*model.graph.output, *model.graph.input)}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in sorted(wanted - known))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = sorted(wanted - {INPUT})
    found = session.run(names, {INPUT: np.zeros((1, samples), np.float32)})
    return {**shapes, INPUT: (1, samples), **{n: tuple(v.shape) for n, v in zip(names, found, strict=True)}}


def _multiply_adds(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int:
    """Return the count of one product."""
    first, second = shapes[node.input[0]], shapes[node.input[1]]
    if node.op_type == "GRU":  # input (time, batch, feature), weight (direction, 3 * hidden, feature)
        recurrent = shapes[node.input[2]]
        return first[0] * first[1] * (math.prod(second) + math.prod(recurrent))
    result = math.prod(shapes[node.output[0]])
    if node.op_type == "Conv":  # weight (output, input / groups, kernel...)
        return result * math.prod(second[1:])
    turned = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    return result * first[0 if turned else -1]
