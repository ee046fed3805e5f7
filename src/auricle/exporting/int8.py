# SPDX-License-Identifier: Apache-2.0
"""Weights in 8 bits: convolutions, matrix products and GRUs, one scale for each output channel.

A weight ``w`` becomes ``scale * q`` with ``q`` a whole number from -127 to 127 and ``scale`` the largest magnitude of
its channel over 127, as in Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018. The front end stays float, because its products span ten decades: its
weights are stored in half precision and computed with in float32.

The arithmetic of the result is either

float   8-bit weights become float32 once, when the model is loaded: the speed and nearly the scores of float32
int8    convolutions and matrix products multiply 8-bit numbers; the ranges of what flows between them are learnt from
        recordings. GRUs keep float arithmetic: ONNX Runtime has no other.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from auricle.exporting.graphs import NODE_NAME, AnyArray, Parts, merge_norms, put_together, take_apart
from auricle.results import FloatArray
from auricle.runtime.onnx_session import INPUT

#: Weights with fewer numbers stay float32: their scales and nodes would cost what they save.
FEWEST = 256
#: What the exporter calls the front end's values.
_FRONT_END = (".frontend.", "/frontend/")
#: Part of the names of nodes of the clip-statistics branch: few weights, on logarithms that 8 bits are too coarse for.
_TEXTURE = "/texture/"
_LARGEST = 127
_SMALLEST_SCALE = np.finfo(np.float32).tiny


def quantise(content: bytes, windows: Sequence[FloatArray] = ()) -> bytes:
    """Return the graph with 8-bit weights.

    Args:
        content: a float32 graph, as ``export_onnx`` makes it.
        windows: recordings of shape ``(sample,)``; with any, convolutions and matrix products compute in 8 bits too,
            with the ranges that these windows show.
    """
    model = onnx.load_from_string(content)
    parts = take_apart(model, restore=True)
    merge_norms(parts)
    halved = _Restored(parts)
    for node in parts.nodes:
        for place, name in enumerate(node.input):
            if _is_large(parts, name) and _is_front_end(name):
                node.input[place] = halved.take_half(name)
    parts.nodes = halved.nodes + parts.nodes
    axes = {number: axis for number, node in enumerate(parts.nodes) if (axis := _product_axis(parts, node)) is not None}
    if len(windows):
        names = [NODE_NAME.format(number) for number in axes]
        model = _compute_in_int8(put_together(parts, model), names, windows)
        parts, axes = take_apart(model), {}
    restored = _Restored(parts)
    for number, node in enumerate(parts.nodes):
        if node.op_type == "GRU":
            _shrink_gru(parts, node, restored)
        elif number in axes:
            node.input[1] = restored.take(node.input[1], axes[number])
    parts.nodes = restored.nodes + parts.nodes
    return bytes(put_together(parts, model).SerializeToString())


def _is_large(parts: Parts, name: str) -> bool:
    """Tell whether a value is worth fewer bits: constant floats, and enough of them."""
    value = parts.constants.get(name)
    return value is not None and value.dtype == np.float32 and value.size >= FEWEST


def _is_front_end(name: str) -> bool:
    return any(part in name for part in _FRONT_END)


def _product_axis(parts: Parts, node: onnx.NodeProto) -> int | None:
    """Return the weight's axis of output channels, if ``node`` is a product with a weight worth 8 bits."""
    if node.op_type not in ("Conv", "MatMul", "Gemm") or _TEXTURE in node.name or not _is_large(parts, node.input[1]):
        return None
    turned = any(a.name == "transB" and a.i for a in node.attribute)
    return 0 if node.op_type == "Conv" or turned else 1


class _Restored:
    """Weights in fewer bits, and the nodes that restore them."""

    def __init__(self, parts: Parts) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._constants = parts.constants

    def take(self, name: str, axis: int) -> str:
        """Store a constant in 8 bits; returns the name of its restored form."""
        stored, scale, restored = f"{name}.q", f"{name}.scale", f"{name}.restored"
        if stored not in self._constants:
            self._constants[stored], self._constants[scale] = round_to_int8(self._constants[name], axis)
            self.nodes.append(helper.make_node("DequantizeLinear", [stored, scale], [restored], axis=axis))
        return restored

    def take_half(self, name: str) -> str:
        """Store a constant in half precision; returns the name of its restored form."""
        stored, restored = f"{name}.half", f"{name}.restored"
        if stored not in self._constants:
            self._constants[stored] = self._constants[name].astype(np.float16)
            self.nodes.append(helper.make_node("Cast", [stored], [restored], to=onnx.TensorProto.FLOAT))
        return restored

    def reshape(self, name: str, shape: Sequence[int]) -> str:
        """Give a restored weight its shape back; returns the name of the result."""
        wanted, result = f"{name}.shape", f"{name}.reshaped"
        self._constants[wanted] = np.array(shape, np.int64)
        self.nodes.append(helper.make_node("Reshape", [name, wanted], [result]))
        return result


def _shrink_gru(parts: Parts, gru: onnx.NodeProto, restored: _Restored) -> None:
    """Store input and recurrent weights, ``(direction, gate * hidden, input)``, with a scale for each row."""
    for place in (1, 2):
        name = gru.input[place]
        if _is_large(parts, name):
            weight = parts.constants[name]
            parts.constants[f"{name}.rows"] = weight.reshape(-1, weight.shape[-1])
            gru.input[place] = restored.reshape(restored.take(f"{name}.rows", 0), weight.shape)


def round_to_int8(weight: AnyArray, axis: int) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """Return whole numbers and their scales, so that ``weight`` is nearly ``scale * number`` along ``axis``.

    >>> numbers, scale = round_to_int8(np.array([[1.27, -0.5], [0.0, 0.0]], np.float32), 0)
    >>> numbers.tolist(), [round(step, 4) for step in scale.tolist()]
    ([[127, -50], [0, 0]], [0.01, 0.0])
    """
    others = tuple(i for i in range(weight.ndim) if i != axis)
    values = weight.astype(np.float64)
    peak = np.abs(values).max(axis=others, keepdims=True)
    scale = np.maximum(peak / _LARGEST, _SMALLEST_SCALE).astype(np.float32)
    return np.clip(np.rint(values / scale), -_LARGEST, _LARGEST).astype(np.int8), scale.reshape(-1)


def _compute_in_int8(model: onnx.ModelProto, names: Sequence[str], windows: Sequence[FloatArray]) -> onnx.ModelProto:
    """Return the model with the named products in 8-bit arithmetic, by ONNX Runtime's own tool."""
    from onnxruntime.quantization import (  # noqa: PLC0415 (seconds to import, and only needed here)
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the tool has no types
        def __init__(self) -> None:
            self._items: Iterator[FloatArray] = iter(windows)

        def get_next(self) -> dict[str, FloatArray] | None:
            window = next(self._items, None)
            return None if window is None else {INPUT: window[None]}

    with tempfile.TemporaryDirectory(prefix="auricle-int8-") as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            path,
            Reader(),
            quant_format=QuantFormat.QOperator,
            per_channel=True,
            reduce_range=True,  # 7 bits: processors without VNNI overflow when they add two products of 8
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(names),
        )
        return onnx.load(path)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the tool's advice, meant for those who call it by hand, off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
