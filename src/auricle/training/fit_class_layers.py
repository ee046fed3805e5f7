# SPDX-License-Identifier: Apache-2.0
"""Fitting the last layers: on what the layers below say of the training clips, which stay as they are.

A network that begins with the weights of another model has new last layers. Fitted first, in seconds, they spare the
layers below the large and wrong gradients that random ones would send, and little is left to train. What the layers
below give is computed once: clips are fitted by logistic regression, and the branch of frames by many short steps over
sounds whose times are known. Where labels say when, that is before training; else on scenes, when the layers below are
trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from auricle.batches.crops import scoring_windows
from auricle.batches.frame_targets import frame_axis, frame_shares, merged_spans
from auricle.batches.scene_items import make_scene_maker
from auricle.data.manifest import Clip
from auricle.nn.modules.mobilenet import MobileNet
from auricle.nn.networks import Network, build_network
from auricle.results import Event, FloatArray
from auricle.synth.activity import active_regions
from auricle.teachers.heads import fit_head
from auricle.timeline import pad_window, seconds_to_samples
from auricle.training.init_weights import LEAST_PRIOR
from auricle.training.preparation import Material, evenly_spread

#: Weight of the squared weights beside the summed loss.
PENALTY = 8.0
#: So many clips, windows of each, and frames in all say enough.
MOST_CLIPS, MOST_WINDOWS, MOST_FRAMES = 4_096, 4, 20_000
#: Scenes that the branch is fitted on: how many crops long, how many a class, seconds of all, which of all scenes.
CROPS, SCENES_A_CLASS, MOST_S, EPOCH = 2, 100, 10_000, 2**31 + 1
#: Passes of the branch over them, scenes a step, the rate at its peak, and how many of its states are dropped.
PASSES, BATCH, RATE, DROPOUT = 15, 32, 3e-3, 0.2


def fit_class_layers(network: Network, material: Material, train: npt.NDArray[np.int64]) -> bool:
    """Fit the last layers of a network whose other layers know sounds already; returns whether it was done.

    Classes are fitted one by one, so that clips of none of them are clips like others. For frames, a clip is taken to
    hold its labels where it is loud; where labels say when, the branch is fitted on these clips after that.
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
    if any(clip.strong for clip in clips):
        _train_branch(network, [_timed(network, material, *crop) for crop in _strong_crops(material, clips)], material)
    network.train()
    return True


def with_fitted_branch(
    weights: Mapping[str, Tensor], material: Material, train: npt.NDArray[np.int64]
) -> dict[str, Tensor]:
    """Return the weights of a ``mobilenet`` with a branch of frames that was fitted on scenes of the training clips."""
    network = build_network(material.recipe, len(material.manifest.labels))
    network.load_state_dict(weights)
    clips = [material.manifest.clips[i] for i in train]
    if not isinstance(network, MobileNet):
        raise ValueError("only a mobilenet has a branch of frames")
    scene_s = CROPS * material.recipe.data.clip_s
    maker = make_scene_maker(clips, material.reader.read, material.recipe, scene_s=scene_s)
    if maker is not None:
        count = min(SCENES_A_CLASS * len(material.manifest.labels), max(1, int(MOST_S / scene_s)))
        plans = (maker.plan(EPOCH, number) for number in range(count))
        scenes = ((maker.render(plan, material.reader.read), maker.events(plan)) for plan in plans)
        _train_branch(network, [_timed(network, material, *scene) for scene in scenes], material)
    return network.state_dict()


def _strong_crops(material: Material, clips: Sequence[Clip]) -> Iterator[tuple[FloatArray, Sequence[Event]]]:
    """Yield the beginnings of clips whose labels say when, all of one length, with their events."""
    rate = material.recipe.frontend.sample_rate
    length = seconds_to_samples(material.recipe.data.clip_s, rate)
    strong = [clip for clip in clips if clip.strong]
    for number in evenly_spread(len(strong), int(MOST_S * rate / length)):
        samples = material.reader.read(strong[number])[:length]
        yield pad_window(samples, length, material.recipe.data.pad), strong[number].events or ()


def _timed(
    network: MobileNet, material: Material, samples: FloatArray, events: Sequence[Event]
) -> tuple[list[Tensor], Tensor]:
    """Return what the branch gets of some sound, in half precision to be kept, and the targets of its frames."""
    network.eval()
    with torch.no_grad():  # not inference mode: gradients of the branch go through what it is given
        maps = [part.half() for part in network.maps(network.features(torch.from_numpy(samples[None])))[1]]
    labels = material.manifest.labels
    spans = merged_spans(events, labels, material.recipe.frontend.sample_rate)
    shares = frame_shares(spans, frame_axis(network.grid, maps[0].shape[3], 1.0), len(labels))
    return maps, torch.from_numpy(shares[None])


def _train_branch(network: MobileNet, scenes: Sequence[tuple[list[Tensor], Tensor]], material: Material) -> None:
    """Train the branch of frames alone."""
    torch.manual_seed(material.recipe.seed)
    rng = np.random.default_rng([material.recipe.seed, EPOCH])
    layers = nn.ModuleList([network.branch, network.frame_head]).train()
    optimizer = torch.optim.AdamW(layers.parameters(), lr=RATE, weight_decay=0.01)
    steps = PASSES * -(-len(scenes) // BATCH)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(PASSES):
        order = rng.permutation(len(scenes))
        for start in range(0, len(order), BATCH):
            chosen = [scenes[i] for i in order[start : start + BATCH]]
            maps = [torch.cat(parts).float() for parts in zip(*(maps for maps, _ in chosen), strict=True)]
            states = nn.functional.dropout(network.branch(maps).transpose(1, 2), DROPOUT)
            logits = network.frame_head(states)
            wanted = torch.cat([targets for _, targets in chosen])
            loss = (
                nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean(1).sum(1).mean()
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            rates.step()
    layers.eval()


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
