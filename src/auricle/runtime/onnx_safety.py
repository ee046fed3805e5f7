# SPDX-License-Identifier: Apache-2.0
"""A look at an ONNX file before any engine opens it: no code from elsewhere, no data from elsewhere.

ONNX is a Protocol Buffers message. This walks its wire format (https://protobuf.dev/programming-guides/encoding)
over the few fields that matter, in bounded memory and depth, and needs no ``onnx`` package. Refused are nodes
outside the standard operator sets, tensors stored in other files, functions of the model's own, and loops, which
need not end (networks of ours have none: their GRUs are single operators).
The field numbers are those of ``onnx.proto`` (IR version 3 and later), which never change.
"""

from __future__ import annotations

from collections.abc import Iterator

from auricle.errors import BundleError

#: The operator sets of ONNX itself.
STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
# ONNX Runtime's own operators that are accepted: those that its int8 tool and its fusions leave behind.
# The rest of its set is not, because some of them open files (``EPContext``) or run code (``PythonOp``).
_RUNTIME_OPERATORS = (
    "BiasGelu DequantizeLinear DynamicQuantizeLSTM DynamicQuantizeMatMul FastGelu FusedConv FusedGemm "
    "FusedMatMul Gelu MatMulIntegerToFloat MatMulNBits QGemm QLinearAdd QLinearAveragePool QLinearConcat "
    "QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax "
    "QLinearWhere QuantizeLinear QuickGelu "
)
RUNTIME_OPERATORS = frozenset(_RUNTIME_OPERATORS.split())

_MAX_DEPTH = 16
_MAX_FIELDS = 4_000_000

# Which fields of a message are messages worth entering: {message: {field number: message}}.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_MODEL_VERSION, _MODEL_GRAPH, _MODEL_FUNCTIONS = 1, 7, 25
_NODE_OPERATOR, _NODE_DOMAIN = 4, 7
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_LOCATION_EXTERNAL = 1


def check_onnx(data: bytes, name: str, *, loops: bool = False) -> None:
    """Raise ``BundleError`` unless ``data`` is an ONNX model that is complete and self-contained.

    Args:
        data: the whole file.
        name: its name, for messages.
        loops: whether the operator ``Loop`` is accepted.
    """
    try:
        found = _Walk().run(data)
    except _NotProtobufError as error:
        raise BundleError(
            f"{name} is not an ONNX model ({error}); {_looks_like(data)}get the model folder again"
        ) from error
    if not found.has_version or not found.has_graph:
        raise BundleError(
            f"{name} is not an ONNX model (no graph in it); {_looks_like(data)}get the model folder again"
        )
    if found.external:
        raise BundleError(f"{name} keeps weights in another file (external data), which auricle never opens")
    if found.foreign:
        operators = ", ".join(sorted(found.foreign)[:5])
        raise BundleError(f"{name} uses operators that are not standard ONNX ({operators}), which auricle never runs")
    if found.has_functions:
        raise BundleError(f"{name} defines operators of its own (functions), which auricle never runs")
    if found.has_loops and not loops:
        raise BundleError(f"{name} has a loop (operator Loop), which need not end; export the network without loops")


def _looks_like(data: bytes) -> str:
    """Say what a wrong file seems to be, as text ending in "; "."""
    head = data[:200].lstrip().lower()
    if not data:
        return "it is empty; "
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page; "
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; "
    return "it is cut or damaged; "


class _NotProtobufError(Exception):
    """The bytes are no well-formed message."""


class _Walk:
    """Collects what the check needs; counts fields so that no file makes it run for ever."""

    def __init__(self) -> None:
        self.foreign: set[str] = set()
        self.external = False
        self.has_graph = False
        self.has_version = False
        self.has_functions = False
        self.has_loops = False
        self._fields = 0

    def run(self, data: bytes) -> _Walk:
        """Walk the whole file; return itself."""
        self._message(memoryview(data), "model", 0)
        return self

    def _message(self, data: memoryview, kind: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise _NotProtobufError("nested too deeply")
        operator = domain = ""
        for number, value in self._read_fields(data):
            if kind == "model":
                self._note_model(number)
            elif kind == "node" and number == _NODE_OPERATOR:
                operator = _text(value)
            elif kind == "node" and number == _NODE_DOMAIN:
                domain = _text(value)
            elif kind == "tensor" and (
                number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value == _LOCATION_EXTERNAL)
            ):
                self.external = True
            child = _CHILDREN[kind].get(number)
            if child is not None:
                if isinstance(value, int):
                    raise _NotProtobufError(f"a number where a {child} is due")
                self._message(value, child, depth + 1)
        self.has_loops |= operator == "Loop" and domain in STANDARD_DOMAINS
        accepted = domain in STANDARD_DOMAINS or (domain == "com.microsoft" and operator in RUNTIME_OPERATORS)
        if not accepted:
            self.foreign.add(f"{domain}::{operator}")

    def _note_model(self, number: int) -> None:
        self.has_version |= number == _MODEL_VERSION
        self.has_graph |= number == _MODEL_GRAPH
        self.has_functions |= number == _MODEL_FUNCTIONS

    def _read_fields(self, data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
        """Yield field numbers and values: whole numbers, or the bytes of everything longer."""
        at, end = 0, len(data)
        while at < end:
            self._fields += 1
            if self._fields > _MAX_FIELDS:
                raise _NotProtobufError(f"more than {_MAX_FIELDS} fields")
            key, at = _varint(data, at)
            number, wire = key >> 3, key & 7
            if number == 0:
                raise _NotProtobufError(f"field number 0 at byte {at}")
            value: int | memoryview
            if wire == 0:
                value, at = _varint(data, at)
            elif wire in (1, 2, 5):
                length = {1: 8, 5: 4}.get(wire)
                if length is None:
                    length, at = _varint(data, at)
                if length > end - at:
                    raise _NotProtobufError(f"a field of {length} bytes with {end - at} bytes left")
                value = data[at : at + length]
                at += length
            else:
                raise _NotProtobufError(f"wire type {wire} at byte {at}")
            yield number, value


def _text(value: int | memoryview) -> str:
    """Return a short text field; damaged characters are shown as escapes."""
    if isinstance(value, int):
        raise _NotProtobufError("a number where a text is due")
    return bytes(value[:100]).decode("utf-8", "backslashreplace")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Read a variable-length whole number; return it and the next position."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _NotProtobufError("it ends inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _NotProtobufError("a number of more than ten bytes")
