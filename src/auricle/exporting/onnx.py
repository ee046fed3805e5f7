# SPDX-License-Identifier: Apache-2.0
"""One network, one ONNX graph: waveform in, scores out, checked against torch before it is kept.

The tracing exporter is used on purpose: torch's newer one fails on, or freezes, a dynamic time axis that
passes through a GRU. Constants are not folded, so that the front end's Fourier matrix stays a computation
(a few bytes) instead of a table (0.8 MB).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from auricle.errors import TrainingError
from auricle.nn.losses import clip_scores
from auricle.nn.networks import Network
from auricle.results import FloatArray

OPSET = 17
#: Largest difference of any score between torch and ONNX Runtime.
TOLERANCE = 1e-4


class ScoringGraph(nn.Module):
    """What is exported: a network with its front end, and its logits turned into scores.

    Args:
        network: in evaluation mode.
        task: ``single`` or ``multi``.
        negatives: whether "none of the classes" takes part in the softmax.
        frames: task of the frame scores; those of enrolled models are one of the classes or none, as clip scores are.
    """

    def __init__(self, network: Network, task: str, *, negatives: bool, frames: str = "multi") -> None:
        super().__init__()
        self.frames = frames
        self.network = network
        self.task = task
        self.negatives = negatives
        scored = ["frames"] if network.has_frames else []
        self.outputs = ["clip", *scored, "embedding", *(["frame_embedding"] if network.has_frame_embedding else [])]

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        """Return clip scores, frame scores (if the head has them), embedding, that of frames (if it is given)."""
        output = self.network(waveform)
        clip = clip_scores(output.clip_logits, self.task, negatives=self.negatives)
        if output.frame_logits is None:
            return clip, output.embedding
        rest = (output.embedding, *(() if output.frame_embedding is None else (output.frame_embedding,)))
        return clip, clip_scores(output.frame_logits, self.frames, negatives=self.negatives), *rest


def export_onnx(graph: ScoringGraph, samples: int) -> bytes:
    """Trace a graph with dynamic batch and time; ``samples`` is the length of the example."""
    axes = {"waveform": {0: "batch"}, **{name: {0: "batch"} for name in graph.outputs}}
    if graph.network.fixed_length is None:
        axes["waveform"][1] = "sample"
    for name in {"frames", "frame_embedding"} & set(graph.outputs):
        axes[name][1] = "frame"
    return trace(graph.eval(), {"waveform": torch.zeros(2, samples)}, axes)


def trace(module: nn.Module, inputs: Mapping[str, Tensor], axes: Mapping[str, Mapping[int, str]]) -> bytes:
    """Trace a module; ``axes`` names the dynamic axes of inputs and of all outputs, in their order."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The tracer warns of every Python number it sees; whoever exports compares the scores, at several shapes.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            buffer,  # type: ignore[arg-type]  # a file object is taken by this exporter
            input_names=list(inputs),
            output_names=[name for name in axes if name not in inputs],
            dynamic_axes={name: dict(names) for name, names in axes.items()},
            opset_version=OPSET,
            do_constant_folding=False,
            dynamo=False,
        )
    return buffer.getvalue()


def check_parity(
    graph: ScoringGraph, content: bytes, lengths: Sequence[int], batches: Sequence[int], tolerance: float = TOLERANCE
) -> float:
    """Compare torch and ONNX Runtime on noise; returns the largest difference of any score.

    Raises:
        TrainingError: if it is above ``tolerance``.
    """
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    worst = 0.0
    for samples in lengths:
        for batch in batches:
            waveform = (0.1 * rng.standard_normal((batch, samples))).astype(np.float32)
            worst = max(worst, _difference(graph, session, waveform))
    if worst > tolerance:
        raise TrainingError(
            f"the exported graph's scores differ from torch's by {worst:.2g}, more than {tolerance:g}; "
            "the weights are kept in the checkpoint, no model was written"
        )
    return worst


def _difference(graph: ScoringGraph, session: onnxruntime.InferenceSession, waveform: FloatArray) -> float:
    with torch.inference_mode():
        expected = graph(torch.from_numpy(waveform))
    found = session.run(None, {"waveform": waveform})
    worst = 0.0
    for name, a, b in zip(graph.outputs, expected, found, strict=True):
        if not name.endswith("embedding"):
            worst = max(worst, float(np.abs(a.numpy() - b).max()))
    return worst
