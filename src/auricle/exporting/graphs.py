# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph made ready for smaller numbers: whole weights instead of the steps that assemble them.

The tracing exporter leaves a GRU's weights as slices and concatenations of the network's own, and a norm behind
every convolution. Here both become plain constants. What would grow, such as the front end's Fourier
matrix, which is computed from a ramp of a few bytes, stays a computation.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

AnyArray = npt.NDArray[np.generic]

#: Operators that only move numbers about, or change their type: of constants they make constants.
_MOVES = frozenset(
    [
        "Cast",
        "Concat",
        "Constant",
        "Gather",
        "Identity",
        "Reshape",
        "Shape",
        "Slice",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    ]
)
#: What ``put_together`` calls the node in a place of ``Parts.nodes``.
NODE_NAME = "n{}"
_BATCH_NORM_EPSILON = 1e-5


@dataclass
class Parts:
    """A graph taken apart.

    Attributes:
        nodes: in the order in which they run.
        constants: name to value.
    """

    nodes: list[onnx.NodeProto]
    constants: dict[str, AnyArray]

    def uses(self) -> Counter[str]:
        """Return how many nodes read each value."""
        return Counter(name for node in self.nodes for name in node.input)


def take_apart(model: onnx.ModelProto, *, restore: bool = False) -> Parts:
    """Return nodes and constants; steps that only assemble constants are done here and now.

    ``restore`` makes float32 constants of weights that are stored as float16, which else stay as they are.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        values = _move(node, constants, restore=restore) if node.op_type in _MOVES else None
        if values is None:
            nodes.append(node)
        else:
            constants.update(zip(node.output, values, strict=True))
    return Parts(nodes, constants)


def _move(node: onnx.NodeProto, constants: dict[str, AnyArray], *, restore: bool) -> list[AnyArray] | None:
    """Return what a node makes of constants; None if it takes something else too, or makes more bytes of them."""
    names = [name for name in node.input if name]
    if not all(name in constants for name in names):
        return None
    taken = {name: constants[name] for name in names}
    values = [np.asarray(value) for value in ReferenceEvaluator(node).run(None, taken)]
    grows = bool(names) and sum(v.nbytes for v in values) > sum(v.nbytes for v in taken.values())
    halves = restore and node.op_type == "Cast" and all(value.dtype == np.float16 for value in taken.values())
    return None if grows and not halves else values


def merge_norms(parts: Parts) -> None:
    """Let each convolution do the batch norm that follows it: scale its rows, and add a bias."""
    uses = parts.uses()
    makers = {name: node for node in parts.nodes for name in node.output}
    kept = []
    for node in parts.nodes:
        conv = makers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if (
            conv is not None
            and conv.op_type == "Conv"
            and uses[conv.output[0]] == 1
            and conv.input[1] in parts.constants
        ):
            _merge_norm(conv, node, parts.constants)
        else:
            kept.append(node)
    parts.nodes = kept


def _merge_norm(conv: onnx.NodeProto, norm: onnx.NodeProto, constants: dict[str, AnyArray]) -> None:
    """Put ``norm`` into ``conv``: ``y = (conv(x) - mean) * gain / sqrt(variance + epsilon) + shift``."""
    gain, shift, mean, variance = (constants[name].astype(np.float64) for name in norm.input[1:5])
    epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), _BATCH_NORM_EPSILON)
    factor = gain / np.sqrt(variance + epsilon)
    weight = constants[conv.input[1]].astype(np.float64)
    before = constants[conv.input[2]].astype(np.float64) if len(conv.input) > 2 else 0.0
    name = f"{conv.output[0]}.merged"
    constants[f"{name}.weight"] = (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.float32)
    constants[f"{name}.bias"] = ((before - mean) * factor + shift).astype(np.float32)
    inputs = [conv.input[0], f"{name}.weight", f"{name}.bias"]
    del conv.input[:]
    conv.input.extend(inputs)
    conv.output[0] = norm.output[0]


def put_together(parts: Parts, like: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the inputs, outputs and versions of ``like``, checked; inner names become short."""
    public = {value.name for value in (*like.graph.input, *like.graph.output)}
    used = {name for node in parts.nodes for name in node.input}
    graph = helper.make_graph(
        parts.nodes,
        "auricle",
        like.graph.input,
        like.graph.output,
        [numpy_helper.from_array(value, name) for name, value in parts.constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)
    _shorten_names(model.graph, public)
    onnx.checker.check_model(model)
    return model


def _shorten_names(graph: onnx.GraphProto, public: set[str]) -> None:
    """Give inner values short names: the exporter's are a tenth of a small file."""
    short: dict[str, str] = {}

    def rename(name: str) -> str:
        return name if name in public or not name else short.setdefault(name, f"v{len(short)}")

    for number, node in enumerate(graph.node):
        node.name = NODE_NAME.format(number)
        for names in (node.input, node.output):
            names[:] = [rename(name) for name in names]
    for tensor in graph.initializer:
        tensor.name = rename(tensor.name)
