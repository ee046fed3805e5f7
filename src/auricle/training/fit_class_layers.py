# SPDX-License-Identifier: Apache-2.0
"""Fitting the last layers before training: logistic regression on what the layers below say of the training clips.

A network that begins with the weights of another model has new last layers. Fitted first, in seconds, they spare the
layers below the large and wrong gradients that random ones would send, and little is left to train.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from auricle.batches.crops import scoring_windows
from auricle.data.manifest import Clip
from auricle.nn.modules.mobilenet import MobileNet
from auricle.nn.networks import Network
from auricle.results import FloatArray
from auricle.synth.activity import active_regions
from auricle.teachers.heads import fit_head
from auricle.training.init_weights import LEAST_PRIOR
from auricle.training.preparation import Material

#: Weight of the squared weights beside the summed loss.
PENALTY = 8.0
#: So many clips, windows of each, and frames in all say enough.
MOST_CLIPS, MOST_WINDOWS, MOST_FRAMES = 4_096, 4, 20_000


def fit_class_layers(network: Network, material: Material, train: npt.NDArray[np.int64]) -> bool:
    """Fit the last layers of a network whose other layers know sounds already; returns whether it was done.

    Classes are fitted one by one, so that clips of none of them are clips like others. A clip is taken to hold its
    labels where it is loud: training will find out better.
    """
    if not isinstance(network, MobileNet) or material.reader.is_logmel:
        return False
    chosen = train[np.unique(np.linspace(0, len(train) - 1, min(len(train), MOST_CLIPS)).astype(np.int64))]
    found = [_hidden(network, material, material.manifest.clips[i]) for i in chosen]
    network.train()
    targets, windows = material.targets[chosen], [len(clip) for clip, _, _ in found]
    last = network.head[-1]
    if isinstance(last, nn.Linear):
        fit_linear(last, np.concatenate([clip for clip, _, _ in found]), targets.repeat(windows, axis=0))
    states = np.concatenate([states for _, states, _ in found])
    loud = np.concatenate([loud for _, _, loud in found])
    wanted = targets.repeat([len(states) for _, states, _ in found], axis=0) * loud[:, None]
    kept = np.linspace(0, len(states) - 1, min(len(states), MOST_FRAMES)).astype(np.int64)
    fit_linear(network.frame_head, states[kept], wanted[kept])
    return True


def _hidden(network: MobileNet, material: Material, clip: Clip) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what the last layers get of a clip, by window and by frame, and which frames are loud."""
    windows = scoring_windows(material.reader.read(clip), material.recipe, material.reader)[:MOST_WINDOWS]
    network.eval()
    with torch.inference_mode():
        output = network(torch.from_numpy(windows))
        rows = network.head[:-1](output.embedding)
    states = output.frame_embedding
    if states is None:
        raise ValueError("a network without states of frames has no last layer of frames")
    rate = material.recipe.frontend.sample_rate
    centres = network.grid.times(states.shape[1], rate) * rate
    loud = np.zeros((len(windows), states.shape[1]), np.float32)
    for row, window in zip(loud, windows, strict=True):
        for begin, end in active_regions(window, rate):
            row[(centres >= begin) & (centres < end)] = 1
    return rows.numpy(), states.flatten(0, 1).numpy(), loud.ravel()


def fit_linear(layer: nn.Linear, inputs: FloatArray, targets: FloatArray) -> None:
    """Set a layer to the logistic regressions of some classes; one that is never there is taken to be rare.

    Args:
        layer: gives logits.
        inputs: ``(row, dimension)``.
        targets: ``(row, label)`` in [0, 1].
    """
    weight = torch.zeros_like(layer.weight)
    bias = torch.full_like(layer.bias, float(np.log(LEAST_PRIOR)))
    there = np.flatnonzero(targets.sum(0) > 0)
    if len(there):
        head = fit_head(inputs, targets[:, there], "multi", penalty=PENALTY)
        scaled = head.weight / head.scale[:, None]
        weight[there] = _tensor(scaled.T)
        bias[there] = _tensor(head.bias - head.mean @ scaled)
    layer.weight.data, layer.bias.data = weight, bias


def _tensor(values: npt.NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
