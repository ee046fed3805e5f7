# SPDX-License-Identifier: Apache-2.0
"""Graphs of a few nodes, with weights that can be followed by hand.

``rows``, the input of each, has shape ``(batch, sample)``, as every graph of auricle has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

SAMPLES = 24


def graph(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, np.ndarray], rank: int = 2) -> bytes:
    """Return a model from ``waveform`` to ``clip``, which has ``rank`` axes."""
    model = helper.make_model(
        helper.make_graph(
            list(nodes),
            "small",
            [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", SAMPLES])],
            [helper.make_tensor_value_info("clip", TensorProto.FLOAT, [f"axis{i}" for i in range(rank)])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    return model.SerializeToString()


def conv_graph(channels: int = 16, kernel: int = 20) -> bytes:
    """Return convolution, batch norm, ReLU; the last channel is a thousand times louder than the first."""
    rng = np.random.default_rng(0)
    loudness = np.geomspace(0.01, 10, channels)
    weight = rng.standard_normal((channels, 1, kernel)) * loudness[:, None, None]
    constants = {
        "one": np.array([1]),
        "network.conv.weight": weight.astype(np.float32),
        "gain": rng.uniform(0.5, 2, channels).astype(np.float32),
        "shift": (rng.standard_normal(channels) * loudness).astype(np.float32),
        "mean": (rng.standard_normal(channels) * loudness).astype(np.float32),
        "variance": rng.uniform(0.5, 2, channels).astype(np.float32),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "one"], ["wide"]),
        helper.make_node("Conv", ["wide", "network.conv.weight"], ["heard"]),
        helper.make_node("BatchNormalization", ["heard", "gain", "shift", "mean", "variance"], ["even"], epsilon=1e-3),
        helper.make_node("Relu", ["even"], ["clip"]),
    ]
    return graph(nodes, constants, rank=3)


def gru_graph(hidden: int = 6, step: int = 4) -> bytes:
    """Return a GRU in both directions whose input weights are put together from two halves, as the exporter does."""
    rng = np.random.default_rng(1)

    def draw(*shape: int) -> np.ndarray:
        return (0.5 * rng.standard_normal(shape)).astype(np.float32)

    constants = {
        "steps": np.array([-1, SAMPLES // step, step]),
        "forth": draw(1, 3 * hidden, step),
        "back": draw(1, 3 * hidden, step),
        "recurrent": draw(2, 3 * hidden, hidden),
        "bias": draw(2, 6 * hidden),
    }
    nodes = [
        helper.make_node("Concat", ["forth", "back"], ["both"], axis=0),
        helper.make_node("Reshape", ["waveform", "steps"], ["sequence"]),
        helper.make_node("Transpose", ["sequence"], ["turned"], perm=[1, 0, 2]),
        helper.make_node(
            "GRU",
            ["turned", "both", "recurrent", "bias"],
            ["states", "clip"],
            hidden_size=hidden,
            direction="bidirectional",
            linear_before_reset=1,
        ),
    ]
    return graph(nodes, constants, rank=3)


def run(content: bytes, waveform: np.ndarray) -> np.ndarray:
    """Return the first output."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"waveform": waveform})[0]


def noise(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(2).standard_normal((rows, SAMPLES)).astype(np.float32)
