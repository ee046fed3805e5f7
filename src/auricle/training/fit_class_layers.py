# SPDX-License-Identifier: Apache-2.0
"""Fitting the last layers before training: on what the layers below say of the training clips, which stay as they are.

A network that begins with the weights of another model has new last layers. Fitted first, in seconds, they spare the
layers below the large and wrong gradients that random ones would send, and little is left to train. What the layers
below give is computed once: clips are fitted by logistic regression, and the branch of frames by many short steps over
scenes, which say when.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from auricle.batches.crops import scoring_windows
from auricle.batches.frame_targets import frame_axis, frame_shares, merged_spans
from auricle.batches.scene_items import make_scene_maker
from auricle.data.manifest import Clip
from auricle.nn.modules.mobilenet import MobileNet
from auricle.nn.networks import Network
from auricle.results import FloatArray
from auricle.synth.activity import active_regions
from auricle.teachers.heads import fit_head
from auricle.training.init_weights import LEAST_PRIOR
from auricle.training.preparation import Material, evenly_spread, makes_scenes

#: Weight of the squared weights beside the summed loss.
PENALTY = 8.0
#: So many clips, windows of each, and frames in all say enough.
MOST_CLIPS, MOST_WINDOWS, MOST_FRAMES = 4_096, 4, 20_000
#: Scenes that the branch is fitted on, where there are scenes: for each class, and seconds of all; which of all scenes.
SCENES_A_CLASS, MOST_S, EPOCH = 60, 3_000, 2**31 + 1
#: Passes of the branch over them, scenes a step, and the rate at its peak.
PASSES, BATCH, RATE = 15, 32, 3e-3


def fit_class_layers(network: Network, material: Material, train: npt.NDArray[np.int64]) -> bool:
    """Fit the last layers of a network whose other layers know sounds already; returns whether it was done.

    Classes are fitted one by one, so that clips of none of them are clips like others. Frames are fitted on scenes;
    without scenes, a clip is taken to hold its labels where it is loud: training will find out better.
    """
    if not isinstance(network, MobileNet) or material.reader.is_logmel:
        return False
    last = network.head[-1]
    if not isinstance(last, nn.Linear):
        raise ValueError("the last layer of a mobilenet is linear")
    chosen = train[evenly_spread(len(train), MOST_CLIPS)]
    clips, targets = [material.manifest.clips[i] for i in chosen], material.targets[chosen]
    every = max(1, MOST_FRAMES // len(clips))
    rows, of_row, frames, of_frame = [], [], [], []
    for clip, target in zip(clips, targets, strict=True):
        windows = _windows(material, clip)
        hidden, states = _hidden(network, windows)
        rows.append(hidden)
        of_row.append(target[None].repeat(len(hidden), axis=0))
        kept = evenly_spread(states.shape[0] * states.shape[1], every)
        frames.append(states.reshape(-1, states.shape[2])[kept])
        of_frame.append(_loud(network, material, windows).ravel()[kept, None] * target)
    fit_linear(last, np.concatenate(rows), np.concatenate(of_row))
    fit_linear(network.frame_head, np.concatenate(frames), np.concatenate(of_frame))
    if scenes := _scenes(network, material, clips):
        _train_branch(network, scenes, material.recipe.seed)
    network.train()
    return True


def _scenes(network: MobileNet, material: Material, clips: Sequence[Clip]) -> list[tuple[list[Tensor], Tensor]]:
    """Return maps and targets of the frames of scenes of some clips; none where the recipe makes no scenes."""
    recipe, labels = material.recipe, material.manifest.labels
    if not makes_scenes(material, clips):
        return []
    maker = make_scene_maker(clips, material.reader.read, recipe, scene_s=recipe.data.clip_s)
    if maker is None:
        return []
    network.eval()
    found = []
    count = min(SCENES_A_CLASS * len(labels), max(1, int(MOST_S / recipe.data.clip_s)))
    for number in range(count):
        plan = maker.plan(EPOCH, number)
        scene = torch.from_numpy(maker.render(plan, material.reader.read)[None])
        with torch.no_grad():  # not inference mode: gradients of the branch go through what it is given
            maps = [part.float() for part in network.maps(network.features(scene))[1]]
        axis = frame_axis(network.grid, maps[0].shape[3], 1.0)
        spans = merged_spans(maker.events(plan), labels, recipe.frontend.sample_rate)
        found.append((maps, torch.from_numpy(frame_shares(spans, axis, len(labels))[None])))
    return found


def _train_branch(network: MobileNet, scenes: Sequence[tuple[list[Tensor], Tensor]], seed: int) -> None:
    """Train the branch of frames alone."""
    rng = np.random.default_rng([seed, EPOCH])
    layers = nn.ModuleList([network.branch, network.frame_head]).train()
    optimizer = torch.optim.AdamW(layers.parameters(), lr=RATE, weight_decay=0.01)
    steps = PASSES * -(-len(scenes) // BATCH)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(PASSES):
        order = rng.permutation(len(scenes))
        for start in range(0, len(order), BATCH):
            chosen = [scenes[i] for i in order[start : start + BATCH]]
            maps = [torch.cat(parts) for parts in zip(*(maps for maps, _ in chosen), strict=True)]
            logits = network.frame_head(network.branch(maps).transpose(1, 2))
            wanted = torch.cat([targets for _, targets in chosen])
            loss = (
                nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1).sum(1).mean()
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.step()


def _windows(material: Material, clip: Clip) -> FloatArray:
    return scoring_windows(material.reader.read(clip), material.recipe, material.reader)[:MOST_WINDOWS]


def _hidden(network: MobileNet, windows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what the last layers get of some windows: ``(window, hidden)`` and ``(window, frame, state)``."""
    network.eval()
    with torch.inference_mode():
        output = network(torch.from_numpy(windows))
        rows = network.head[:-1](output.embedding)
    if output.frame_embedding is None:
        raise ValueError("a network without states of frames has no last layer of frames")
    return rows.numpy(), output.frame_embedding.numpy()


def _loud(network: MobileNet, material: Material, windows: FloatArray) -> FloatArray:
    """Return 1 where windows are loud, else 0: ``(window, frame)``."""
    rate = material.recipe.frontend.sample_rate
    centres = network.grid.times(network.frames(windows.shape[1]), rate) * rate
    loud = np.zeros((len(windows), len(centres)), np.float32)
    for row, window in zip(loud, windows, strict=True):
        for begin, end in active_regions(window, rate):
            row[(centres >= begin) & (centres < end)] = 1
    return loud


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
