# SPDX-License-Identifier: Apache-2.0
"""A model folder whose scores can be worked out by hand: loudness, and its opposite.

At 1 kHz, a frame is the mean of ``|x|`` over 100 samples: ``loud`` is that, ``quiet`` is one minus that.
The clip score is the mean over frames; the embedding is ``(mean, max, min)`` of the frames.

    bundle = make_bundle(tmp_path / "tiny")                  # windows of 1 s every 0.5 s, frames every 0.1 s
    make_bundle(folder, frames=None, window_s=0.4, ...)      # any field of auricle.json can be changed
    make_causal_bundle(folder)                               # with stream.onnx, see ``echo_graph``
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from auricle.runtime.bundle import Bundle, BundleSpec, write_bundle

RATE = 1_000
HOP = 100
LABELS = ("loud", "quiet")


@cache
def loudness_graph(*, frames: bool = True, embedding: bool = True, scale: float = 1.0) -> bytes:
    """Return the ONNX file; ``scale`` other than 1 makes other weights of the same shape."""
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "one"], ["wide"]),
        helper.make_node("Abs", ["wide"], ["rectified"]),
        helper.make_node("AveragePool", ["rectified"], ["mean"], kernel_shape=[HOP], strides=[HOP]),
        helper.make_node("Mul", ["mean", "scale"], ["loud"]),
        helper.make_node("Sub", ["unit", "loud"], ["quiet"]),
        helper.make_node("Concat", ["loud", "quiet"], ["both"], axis=1),
        helper.make_node("ReduceMean", ["both"], ["clip"], axes=[2], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("clip", TensorProto.FLOAT, ["batch", 2])]
    if frames:
        nodes.append(helper.make_node("Transpose", ["both"], ["frames"], perm=[0, 2, 1]))
        outputs.append(helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["batch", "frame", 2]))
    if embedding:
        kinds = ("Mean", "Max", "Min")
        nodes += [helper.make_node(f"Reduce{k}", ["loud"], [f"e{k}"], axes=[2], keepdims=0) for k in kinds]
        nodes.append(helper.make_node("Concat", ["eMean", "eMax", "eMin"], ["embedding"], axis=1))
        outputs.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]))
    constants = {"one": np.array([1], np.int64), "unit": np.float32(1), "scale": np.float32(scale)}
    graph = helper.make_graph(
        nodes,
        "loudness",
        [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "sample"])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def spec_values(**changes: Any) -> dict[str, Any]:
    """Return the fields of ``auricle.json``, with changes."""
    values: dict[str, Any] = {
        "name": "tiny",
        "task": "multi",
        "labels": list(LABELS),
        "model": {"name": "loudness"},
        "sample_rate": RATE,
        "window_s": 1.0,
        "hop_s": 0.5,
        "pad": "zero",
        "aggregate": "mean",
        "min_samples": HOP,
        "frames": {"hop_samples": HOP, "first_centre_samples": 50.0, "receptive_samples": HOP},
        "thresholds": dict.fromkeys(LABELS, 0.5),
    }
    return values | changes


def make_bundle(folder: Path, graph: bytes | None = None, **changes: Any) -> Bundle:
    """Write a tiny bundle and return it; ``changes`` are fields of ``auricle.json``."""
    values = spec_values(**changes)
    if graph is None:
        graph = loudness_graph(frames=values["frames"] is not None)
    return write_bundle(folder, BundleSpec(**values), {"model.onnx": graph})


@cache
def echo_graph() -> bytes:
    """Return a ``stream.onnx``: ``loud`` is half the mean of ``|x|`` of a frame and half that of the frame before.

    The state is one number, the last mean.
    """
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "one"], ["wide"]),
        helper.make_node("Abs", ["wide"], ["rectified"]),
        helper.make_node("AveragePool", ["rectified"], ["means"], kernel_shape=[HOP], strides=[HOP]),
        helper.make_node("Unsqueeze", ["state", "one"], ["before"]),
        helper.make_node("Concat", ["before", "means"], ["chain"], axis=2),
        helper.make_node("AveragePool", ["chain"], ["loud"], kernel_shape=[2], strides=[1]),
        helper.make_node("Sub", ["unit", "loud"], ["quiet"]),
        helper.make_node("Concat", ["loud", "quiet"], ["both"], axis=1),
        helper.make_node("Transpose", ["both"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("ReduceMean", ["both"], ["clip"], axes=[2], keepdims=0),
        helper.make_node("Gather", ["means", "last"], ["next_state"], axis=2),
    ]
    constants = {"one": np.array([1], np.int64), "unit": np.float32(1), "last": np.int64(-1)}
    values = {"waveform": ["batch", "sample"], "state": ["batch", 1]}
    found = {"frames": ["batch", "frame", 2], "clip": ["batch", 2], "next_state": ["batch", 1]}
    graph = helper.make_graph(
        nodes,
        "echo",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in found.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def make_causal_bundle(folder: Path, stream: bytes | None = None, **changes: Any) -> Bundle:
    """Write a tiny causal bundle and return it."""
    frames = {"hop_samples": HOP, "first_centre_samples": (HOP - 1) / 2, "receptive_samples": 2 * HOP}
    values = spec_values(**{"model": {"name": "echo", "causal": True}, "frames": frames, **changes})
    files = {"model.onnx": loudness_graph(), "stream.onnx": echo_graph() if stream is None else stream}
    return write_bundle(folder, BundleSpec(**values), files)
