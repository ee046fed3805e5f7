# SPDX-License-Identifier: Apache-2.0
"""A graph of ONNX as the bytes of its parts: nodes are taken away or added, and the rest is copied byte for byte.

An ONNX file is a Protocol Buffers message (https://protobuf.dev/programming-guides/encoding). The field numbers are
those of ``onnx.proto`` (IR version 3 and later), which never change. Files were checked by ``runtime.onnx_safety``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from auricle.errors import BundleError

MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_TENSOR, GRAPH_OUTPUT, GRAPH_VALUE = 1, 5, 12, 13
NODE_INPUT, NODE_OUTPUT, NODE_OPERATOR, NODE_ATTRIBUTE = 1, 2, 4, 5
NAME_OF_TENSOR, NAME_OF_VALUE = 8, 1


@dataclass(frozen=True)
class Node:
    """A node: the bytes it is copied by, and what it reads and makes."""

    raw: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operator: str


#: Operators that hold a graph of their own, which may read what stands outside it.
_NESTED = frozenset(("If", "Loop", "Scan"))


def only_outputs(content: bytes, names: Collection[str], most: float = 1.0) -> bytes | None:
    """Return the graph with some of its outputs alone, without what only the others need.

    Args:
        content: the file.
        names: outputs to keep; those that it has not are passed over.
        most: share of its nodes that may be left.

    Returns:
        None if more than that is left, or if it has nested graphs.
    """
    graph = graph_of(content)
    outputs = {name: raw for name, raw in graph_outputs(graph).items() if name in names}
    nodes = graph_nodes(graph)
    kept, needed = needed_nodes(nodes, outputs)
    if any(node.operator in _NESTED for node in nodes) or len(kept) > most * len(nodes):
        return None
    return _with_graph(content, _assembled(graph, kept, needed, [], outputs))


def needed_nodes(nodes: Sequence[Node], outputs: Iterable[str]) -> tuple[list[Node], set[str]]:
    """Return the nodes that some values need, in their order, and the names of all values that these read or give."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):  # they stand in the order in which they run
        if needed.intersection(node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    return kept[::-1], needed


def rebuilt(content: bytes, nodes: Sequence[bytes], tensors: Sequence[bytes], outputs: Mapping[str, bytes]) -> bytes:
    """Return the model with nodes added, other outputs, and nothing that no output needs."""
    graph = graph_of(content)
    made = {name for raw in nodes for name in read_node(raw).outputs}
    old = [node for node in graph_nodes(graph) if not made.intersection(node.outputs)]
    kept, needed = needed_nodes([*old, *map(read_node, nodes)], outputs)
    return _with_graph(content, _assembled(graph, kept, needed, tensors, outputs))


def _assembled(
    graph: bytes,
    nodes: Sequence[Node],
    needed: Collection[str],
    tensors: Sequence[bytes],
    outputs: Mapping[str, bytes],
) -> bytes:
    """Return a graph of some nodes, the tensors that they need, new tensors, and outputs."""
    parts = [field(GRAPH_NODE, node.raw) for node in nodes]
    for number, value, raw in fields(graph):
        if number == GRAPH_TENSOR and name_of(value, NAME_OF_TENSOR) not in needed:
            continue
        if number not in (GRAPH_NODE, GRAPH_OUTPUT, GRAPH_VALUE):
            parts.append(raw)
    parts += [field(GRAPH_TENSOR, tensor) for tensor in tensors]
    parts += [field(GRAPH_OUTPUT, value) for value in outputs.values()]
    return b"".join(parts)


def _with_graph(content: bytes, graph: bytes) -> bytes:
    return b"".join(field(number, graph) if number == MODEL_GRAPH else raw for number, _, raw in fields(content))


def graph_of(content: bytes) -> bytes:
    """Return the graph of a model; raises ``BundleError`` where there is none."""
    for number, value, _ in fields(content):
        if number == MODEL_GRAPH and isinstance(value, bytes):
            return value
    raise BundleError("the model's ONNX file holds no graph")


def graph_nodes(graph: bytes) -> list[Node]:
    """Return the nodes, in the order in which they run."""
    return [read_node(value) for number, value, _ in fields(graph) if number == GRAPH_NODE and isinstance(value, bytes)]


def graph_outputs(graph: bytes) -> dict[str, bytes]:
    """Return the description of each output, by name."""
    found = (value for number, value, _ in fields(graph) if number == GRAPH_OUTPUT and isinstance(value, bytes))
    return {name_of(value, NAME_OF_VALUE): value for value in found}


def read_node(raw: bytes) -> Node:
    """Return the node of some bytes."""
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_OPERATOR: []}
    for number, value, _ in fields(raw):
        if number in texts and isinstance(value, bytes):
            texts[number].append(value.decode())
    return Node(raw, tuple(texts[NODE_INPUT]), tuple(texts[NODE_OUTPUT]), "".join(texts[NODE_OPERATOR]))


def name_of(message: int | bytes, number: int) -> str:
    """Return a text of a message."""
    if isinstance(message, bytes):
        for found, value, _ in fields(message):
            if found == number and isinstance(value, bytes):
                return value.decode()
    return ""


def fields(message: bytes) -> Iterator[tuple[int, int | bytes, bytes]]:
    """Yield number, value and bytes of each field."""
    at, end = 0, len(message)
    while at < end:
        start = at
        key = message[at]
        at += 1
        if key > 127:
            key, at = _read_varint(message, start)
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


def field(number: int, value: int | bytes) -> bytes:
    """Return a field of a message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value
