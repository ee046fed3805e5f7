# SPDX-License-Identifier: Apache-2.0
"""New last layers for a network that is an ONNX file already, without torch and without the package ``onnx``.

An ONNX file is a Protocol Buffers message (https://protobuf.dev/programming-guides/encoding). What is kept of it is
copied byte for byte; written are two linear layers and the scores behind them. The field numbers are those of
``onnx.proto`` (IR version 3 and later), which never change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.enrolment.linear import Linear
from auricle.errors import BundleError
from auricle.runtime.onnx_session import CLIP, FRAMES

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_OUTPUT, _GRAPH_VALUE = 1, 5, 12, 13
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_NAME_OF_TENSOR, _NAME_OF_VALUE = 8, 1
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


@dataclass(frozen=True)
class _Node:
    """A node: the bytes it is copied by, and what it reads and makes."""

    raw: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operator: str


def last_inputs(content: bytes) -> LastInputs:
    """Return what the last linear layers take; raises ``BundleError`` where a score does not come from such a layer."""
    makers = {name: node for node in _nodes(_graph_of(content)) for name in node.outputs}
    return LastInputs(_last_input(makers, CLIP), _last_input(makers, FRAMES))


def _last_input(makers: dict[str, _Node], output: str) -> str:
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


def _before_layout(makers: dict[str, _Node], name: str) -> str:
    """Return the value behind steps that only lay frames out for the layer: the last axis is what it takes."""
    while name in makers and makers[name].operator == "Reshape":
        name = makers[name].inputs[0]
    return name


def with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """Return the graph that gives these inner values and computes nothing else."""
    return _rebuilt(content, [], [], {name: _value(name, []) for name in names})


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
    kept = {name: raw for name, raw in _outputs(_graph_of(content)).items() if name not in outputs}
    return _rebuilt(content, nodes, [_tensor(name, value) for name, value in tensors.items()], {**outputs, **kept})


def _rebuilt(content: bytes, nodes: Sequence[bytes], tensors: Sequence[bytes], outputs: dict[str, bytes]) -> bytes:
    """Return the model with nodes added, other outputs, and nothing that no output needs."""
    graph = _graph_of(content)
    made = {name for raw in nodes for name in _read_node(raw).outputs}
    old = [node for node in _nodes(graph) if not made.intersection(node.outputs)]
    all_nodes = [*old, *map(_read_node, nodes)]
    needed = set(outputs)
    kept = []
    for node in reversed(all_nodes):  # they stand in the order in which they run
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    parts = [_field(_GRAPH_NODE, node.raw) for node in reversed(kept)]
    for number, value, raw in _fields(graph):
        if number == _GRAPH_TENSOR and _name(value, _NAME_OF_TENSOR) not in needed:
            continue
        if number not in (_GRAPH_NODE, _GRAPH_OUTPUT, _GRAPH_VALUE):
            parts.append(raw)
    parts += [_field(_GRAPH_TENSOR, tensor) for tensor in tensors]
    parts += [_field(_GRAPH_OUTPUT, value) for value in outputs.values()]
    whole = b"".join(parts)
    return b"".join(_field(number, whole) if number == _MODEL_GRAPH else raw for number, _, raw in _fields(content))


def _graph_of(content: bytes) -> bytes:
    for number, value, _ in _fields(content):
        if number == _MODEL_GRAPH and isinstance(value, bytes):
            return value
    raise BundleError("the model's ONNX file holds no graph")


def _nodes(graph: bytes) -> list[_Node]:
    return [
        _read_node(value) for number, value, _ in _fields(graph) if number == _GRAPH_NODE and isinstance(value, bytes)
    ]


def _outputs(graph: bytes) -> dict[str, bytes]:
    found = (value for number, value, _ in _fields(graph) if number == _GRAPH_OUTPUT and isinstance(value, bytes))
    return {_name(value, _NAME_OF_VALUE): value for value in found}


def _read_node(raw: bytes) -> _Node:
    texts: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_OPERATOR: []}
    for number, value, _ in _fields(raw):
        if number in texts and isinstance(value, bytes):
            texts[number].append(value.decode())
    return _Node(raw, tuple(texts[_NODE_INPUT]), tuple(texts[_NODE_OUTPUT]), "".join(texts[_NODE_OPERATOR]))


def _name(message: int | bytes, number: int) -> str:
    """Return a text of a message."""
    if isinstance(message, bytes):
        for found, value, _ in _fields(message):
            if found == number and isinstance(value, bytes):
                return value.decode()
    return ""


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """Yield number, value and bytes of each field; the file was checked by ``runtime.onnx_safety`` when it was read."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        wire = key & 7
        value: int | bytes
        if wire == 0:
            value, at = _read_varint(message, at)
        else:
            size = {1: 8, 5: 4}.get(wire)
            if size is None:
                size, at = _read_varint(message, at)
            value, at = message[at : at + size], at + size
        yield key >> 3, value, message[start:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _varint(value: int) -> bytes:
    """Write a whole number, seven bits a byte.

    >>> _varint(300).hex()
    'ac02'
    """
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _node(operator: str, inputs: Iterable[str], output: str, axis: int | None = None) -> bytes:
    parts = [_field(_NODE_INPUT, name.encode()) for name in inputs]
    parts += [_field(_NODE_OUTPUT, output.encode()), _field(_NODE_OPERATOR, operator.encode())]
    if axis is not None:  # AttributeProto: name, i, type (2 is INT)
        parts.append(_field(_NODE_ATTRIBUTE, _field(1, b"axis") + _field(3, axis) + _field(20, 2)))
    return b"".join(parts)


def _tensor(name: str, values: npt.NDArray[Any]) -> bytes:
    """Return a TensorProto: dims, data_type, name, raw_data."""
    kind = _FLOAT if values.dtype == np.float32 else _INT64
    data = values.astype("<f4" if kind == _FLOAT else "<i8").tobytes()
    dims = b"".join(_field(1, size) for size in values.shape)
    return dims + _field(2, kind) + _field(_NAME_OF_TENSOR, name.encode()) + _field(9, data)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """Return a ValueInfoProto of floats; a text in the shape names a size that is not fixed."""
    dims = b"".join(_field(1, _field(1, size) if isinstance(size, int) else _field(2, size.encode())) for size in shape)
    tensor = _field(1, _FLOAT) + (_field(2, dims) if shape else b"")
    return _field(_NAME_OF_VALUE, name.encode()) + _field(2, _field(1, tensor))
