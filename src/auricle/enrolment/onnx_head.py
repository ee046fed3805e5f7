# SPDX-License-Identifier: Apache-2.0
"""New last layers for a network that is an ONNX file already, without torch and without the package ``onnx``.

What is kept of the file is copied byte for byte (``runtime.onnx_graph``); written are two linear layers and the scores
behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.enrolment.linear import Linear
from auricle.errors import BundleError
from auricle.runtime.onnx_graph import (
    NAME_OF_TENSOR,
    NAME_OF_VALUE,
    NODE_ATTRIBUTE,
    NODE_INPUT,
    NODE_OPERATOR,
    NODE_OUTPUT,
    Node,
    field,
    graph_nodes,
    graph_of,
    graph_outputs,
    rebuilt,
)
from auricle.runtime.onnx_session import CLIP, FRAMES

_FLOAT, _INT64 = 1, 7
_LAST_LAYERS = frozenset(("Gemm", "MatMul"))
#: What only lays a value out anew: its first input; the others say how.
_LAYOUT = frozenset(("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"))
#: What only carries weights to where they are used.
_CARRIERS = frozenset(("Cast", "Constant", "DequantizeLinear", "Transpose"))


@dataclass(frozen=True)
class LastInputs:
    """Names of the values that the last linear layers take: of clip scores, and of frame scores."""

    clip: str
    frames: str


def last_inputs(content: bytes) -> LastInputs:
    """Return what the last linear layers take; raises ``BundleError`` where a score does not come from such a layer."""
    makers = {name: node for node in graph_nodes(graph_of(content)) for name in node.outputs}
    return LastInputs(_last_input(makers, CLIP), _last_input(makers, FRAMES))


def _last_input(makers: dict[str, Node], output: str) -> str:
    """Walk back from an output to the first linear layer."""
    name = output
    for _ in range(8):
        node = makers.get(name)
        if node is None:
            break
        if node.operator in _LAST_LAYERS:
            return _before_layout(makers, node.inputs[0])
        inputs = node.inputs[:1] if node.operator in _LAYOUT else node.inputs
        computed = [i for i in inputs if i in makers and makers[i].operator not in _CARRIERS]
        if len(computed) != 1:
            break
        name = computed[0]
    raise BundleError(
        f"the graph's output {output!r} does not come from a linear layer: no classes can be enrolled on it"
    )


def _before_layout(makers: dict[str, Node], name: str) -> str:
    """Return the value behind steps that only lay frames out for the layer: the last axis is what it takes."""
    while name in makers and makers[name].operator == "Reshape":
        name = makers[name].inputs[0]
    return name


def with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """Return the graph that gives these inner values and computes nothing else."""
    return rebuilt(content, [], [], {name: _value(name, []) for name in names})


def with_heads(content: bytes, inputs: LastInputs, clip: Linear, frames: Linear, task: str) -> bytes:
    """Return the graph with new last layers; its other outputs stay.

    Args:
        content: the file of the network.
        inputs: where the layers begin.
        clip: from the clip's vector to logits.
        frames: from a frame's vector to logits.
        task: ``single`` scores are a softmax in which "none" has the logit 0, ``multi`` scores are sigmoids.
    """
    labels = len(clip.bias)
    tensors: dict[str, npt.NDArray[Any]] = {}
    nodes = []
    for output, layer, vectors, axis in ((CLIP, clip, inputs.clip, 1), (FRAMES, frames, inputs.frames, 2)):
        weight, bias = layer.weight, layer.bias
        if task == "single":
            weight, bias = np.vstack([weight, np.zeros((1, weight.shape[1]))]), np.append(bias, 0.0)
        own = f"head.{output}"
        tensors[f"{own}.weight"] = np.ascontiguousarray(weight.T, np.float32)
        tensors[f"{own}.bias"] = bias.astype(np.float32)
        nodes += [
            _node("MatMul", [vectors, f"{own}.weight"], f"{own}.product"),
            _node("Add", [f"{own}.product", f"{own}.bias"], f"{own}.logits"),
        ]
        if task == "multi":
            nodes.append(_node("Sigmoid", [f"{own}.logits"], output))
            continue
        ends = {f"{own}.first": 0, f"{own}.last": labels, f"{own}.axis": axis}
        tensors |= {name: np.array([value]) for name, value in ends.items()}
        nodes.append(_node("Softmax", [f"{own}.logits"], f"{own}.shares", axis=axis))
        nodes.append(_node("Slice", [f"{own}.shares", *ends], output))
    outputs = {CLIP: _value(CLIP, ["batch", labels]), FRAMES: _value(FRAMES, ["batch", "frame", labels])}
    kept = {name: raw for name, raw in graph_outputs(graph_of(content)).items() if name not in outputs}
    return rebuilt(content, nodes, [_tensor(name, value) for name, value in tensors.items()], {**outputs, **kept})


def _node(operator: str, inputs: Iterable[str], output: str, axis: int | None = None) -> bytes:
    parts = [field(NODE_INPUT, name.encode()) for name in inputs]
    parts += [field(NODE_OUTPUT, output.encode()), field(NODE_OPERATOR, operator.encode())]
    if axis is not None:  # AttributeProto: name, i, type (2 is INT)
        parts.append(field(NODE_ATTRIBUTE, field(1, b"axis") + field(3, axis) + field(20, 2)))
    return b"".join(parts)


def _tensor(name: str, values: npt.NDArray[Any]) -> bytes:
    """Return a TensorProto: dims, data_type, name, raw_data."""
    kind = _FLOAT if values.dtype == np.float32 else _INT64
    data = values.astype("<f4" if kind == _FLOAT else "<i8").tobytes()
    dims = b"".join(field(1, size) for size in values.shape)
    return dims + field(2, kind) + field(NAME_OF_TENSOR, name.encode()) + field(9, data)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """Return a ValueInfoProto of floats; a text in the shape names a size that is not fixed."""
    dims = b"".join(field(1, field(1, size) if isinstance(size, int) else field(2, size.encode())) for size in shape)
    tensor = field(1, _FLOAT) + (field(2, dims) if shape else b"")
    return field(NAME_OF_VALUE, name.encode()) + field(2, field(1, tensor))
