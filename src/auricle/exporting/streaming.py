# SPDX-License-Identifier: Apache-2.0
"""``stream.onnx``: a causal network with its memory as an input and an output, checked against the whole-file form.

Inputs ``waveform`` ``(batch, frame * n)``, a whole number of frames, and ``state`` ``(batch, size)``, zeros before the
first sample. Outputs ``frames`` ``(batch, n, label)``, ``clip`` ``(batch, label)``, the scores of all since the
zeros, and ``next_state``.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from auricle.errors import TrainingError
from auricle.exporting.onnx import OPSET, TOLERANCE, ScoringGraph
from auricle.nn.losses import clip_scores
from auricle.nn.network import Network, StreamingNetwork
from auricle.results import FloatArray
from auricle.runtime.streaming import INPUTS, OUTPUTS

#: Frames of the pieces in which a recording is compared with the whole.
_PIECES = (1, 2, 1, 13, 5)


class RunningGraph(nn.Module):
    """What is exported: the running form of a network, and its logits turned into scores."""

    def __init__(self, network: StreamingNetwork, task: str, *, negatives: bool) -> None:
        super().__init__()
        self.network = network
        self.task = task
        self.negatives = negatives

    def forward(self, waveform: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return frame scores, clip scores, next state."""
        clip_logits, frame_logits, after = self.network(waveform, state)
        clip = clip_scores(clip_logits, self.task, negatives=self.negatives)
        return torch.sigmoid(frame_logits), clip, after


def export_running(network: Network, streaming: StreamingNetwork, task: str, *, negatives: bool) -> bytes:
    """Return ``stream.onnx``, compared with torch.

    Args:
        network: in evaluation mode.
        streaming: its form for streams.
        task: of the model.
        negatives: whether the model knows sounds of no class.

    Raises:
        TrainingError: the pieces of a recording do not give the scores of the whole.
    """
    graph = RunningGraph(streaming, task, negatives=negatives).eval()
    content = _trace(graph)
    worst = running_difference(ScoringGraph(network, task, negatives=negatives).eval(), graph, content)
    if worst > TOLERANCE:
        raise TrainingError(
            f"the scores of the exported stream differ from those of the whole recording by {worst:.2g}, more than "
            f"{TOLERANCE:g}; the weights are kept in the checkpoint, no model was written"
        )
    return content


def _trace(graph: RunningGraph) -> bytes:
    frame, size = graph.network.frame_samples, graph.network.state_size
    axes = {"waveform": {0: "batch", 1: "sample"}, "state": {0: "batch"}}
    axes |= {"frames": {0: "batch", 1: "frame"}, "clip": {0: "batch"}, "next_state": {0: "batch"}}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of every Python number; the result is compared below
        torch.onnx.export(
            graph,
            (torch.zeros(2, 3 * frame), torch.zeros(2, size)),
            buffer,  # type: ignore[arg-type]  # a file object is taken by this exporter
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=False,
            dynamo=False,
        )
    return buffer.getvalue()


def running_difference(whole: ScoringGraph, graph: RunningGraph, content: bytes, batch: int = 3) -> float:
    """Return the largest difference of a score between whole recordings in torch and pieces in ONNX Runtime."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    frame = graph.network.frame_samples
    rng = np.random.default_rng(0)
    waveform = (0.1 * rng.standard_normal((batch, sum(_PIECES) * frame))).astype(np.float32)
    with torch.inference_mode():
        clip, frames, *_ = (found.numpy() for found in whole(torch.from_numpy(waveform)))
    state: FloatArray = np.zeros((batch, graph.network.state_size), np.float32)
    worst, at = 0.0, 0
    for count in _PIECES:
        piece = waveform[:, at * frame : (at + count) * frame]
        found, running, state = session.run(list(OUTPUTS), dict(zip(INPUTS, (piece, state), strict=True)))
        worst = max(worst, float(np.abs(found - frames[:, at : at + count]).max()))
        at += count
    return max(worst, float(np.abs(running - clip).max()))
