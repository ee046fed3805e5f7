# SPDX-License-Identifier: Apache-2.0
"""Frame targets: which share of each output frame's span the events of a class fill, moved as the sound is moved.

A target is the share itself, not a yes or no from one half on: the frame that an event begins in is then neither wrong
nor free, and the score there says how much of it sounds; where crops begin at any sample, the edges of events average
out finer than a frame. Events of one class that overlap are one.

All positions here are entries of the input's time axis (samples, or log-mel frames), as real numbers. A *span* is a row
``(label, begin, end)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from auricle.batches.augment.augmentation import CutRule, Placement
from auricle.batches.scene_items import SceneItem, SceneMaker
from auricle.batches.targets import (
    Batch,
    ClipBatch,
    ClipTargets,
    Crop,
    TargetsByName,
    TargetSource,
    blend,
    known_of_both,
)
from auricle.data.manifest import Clip
from auricle.nn.losses import frame_loss
from auricle.nn.network import NetworkOutput
from auricle.results import Event, FloatArray
from auricle.synth.mixtures import Mixture
from auricle.timeline import FrameGrid

Spans = npt.NDArray[np.float64]
#: Where a decision is needed, a frame belongs to an event that fills so much of it.
HALF = 0.5


@dataclass(frozen=True)
class FrameAxis:
    """How output frames lie over the input: frame ``i`` stands for ``first + i * hop`` to ``first + (i + 1) * hop``."""

    first: float
    hop: float
    frames: int


def frame_axis(grid: FrameGrid, frames: int, entry_samples: float) -> FrameAxis:
    """Return the axis of a network's grid, over inputs of which an entry stands for so many samples."""
    hop = grid.hop_samples / entry_samples
    # Sample j stands for the time from j to j + 1, so its centre lies half a sample behind it.
    return FrameAxis((grid.first_centre_samples + 0.5) / entry_samples - hop / 2, hop, frames)


def merged_spans(events: Sequence[Event], labels: Sequence[str], entries_per_s: float) -> Spans:
    """Return the spans of events, shape ``(span, 3)``; those of one label that overlap or touch are one."""
    rows: list[list[float]] = []
    for event in sorted(events, key=lambda e: (e.label, e.onset)):
        label, begin, end = labels.index(event.label), event.onset * entries_per_s, event.offset * entries_per_s
        if rows and rows[-1][0] == label and begin <= rows[-1][2]:
            rows[-1][2] = max(rows[-1][2], end)
        else:
            rows.append([label, begin, end])
    return np.array(rows, np.float64).reshape(-1, 3)


def cut_spans(spans: Spans, low: float, high: float) -> Spans:
    """Return what of the spans lies between two positions."""
    cut = spans.copy()
    np.clip(cut[:, 1:], low, high, out=cut[:, 1:])
    return cut[cut[:, 2] > cut[:, 1]]


def frame_shares(spans: Spans, axis: FrameAxis, labels: int) -> FloatArray:
    """Return the share of each frame that the spans of each label fill, shape ``(frame, label)``."""
    shares = np.zeros((axis.frames, labels), np.float64)
    edges = axis.first + axis.hop * np.arange(axis.frames + 1)
    for label, begin, end in spans:
        inside = np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin)
        shares[:, int(label)] += np.maximum(inside, 0)
    return np.minimum(shares / axis.hop, 1).astype(np.float32)


def crop_spans(spans: Spans, available: int, place: Placement, rule: CutRule, *, first: int = 0) -> Spans:
    """Return the spans in a crop, which is cut, sped up, padded and rolled as ``Augmentation.cut`` and ``apply`` do.

    Args:
        spans: of the whole clip.
        available: entries of the clip from ``first`` on.
        place: of the crop in them.
        rule: how it is cut.
        first: entries before the place.
    """
    length, speed = rule.length, place.speed if rule.speeds else 1.0
    needed = length if speed == 1.0 else int(length * speed) + 2
    if rule.filled is not None:
        spans = fill_spans(cut_spans(_shifted(spans, -first), 0, available), available, rule.filled, rule.pad)
        first, needed, available = 0, rule.filled, max(available, rule.filled)
    start = int(place.start * max(0, available - needed + 1))
    taken = min(needed, available - start)
    held = taken if speed == 1.0 or taken < 2 else min(length, int((taken - 1) / speed))
    moved = spans.copy()
    moved[:, 1:] = (moved[:, 1:] - first - start) / speed
    moved = fill_spans(cut_spans(moved, 0, min(held, length)), held, length, rule.pad)
    roll = int(place.shift * length)
    if roll == 0:
        return moved
    moved = _shifted(moved, roll)
    return np.concatenate([cut_spans(moved, 0, length), cut_spans(_shifted(moved, -length), 0, length)])


def fill_spans(spans: Spans, held: int, length: int, rule: str) -> Spans:
    """Return the spans of something ``held`` entries long after ``timeline.pad_window`` has made it ``length`` long."""
    if rule != "repeat" or not 0 < held < length:
        return spans
    return cut_spans(np.concatenate([_shifted(spans, at) for at in range(0, length, held)]), 0, length)


def _shifted(spans: Spans, by: float) -> Spans:
    return np.asarray(spans + np.array([0.0, by, by]))


@dataclass(frozen=True, eq=False)
class SceneSpans:
    """The spans of scenes, which are others in every epoch.

    Attributes:
        maker: of the scenes.
        labels: the classes.
        entries_per_s: of the input.
        first: number of the first item that is a scene; all that follow are.
    """

    maker: SceneMaker
    labels: tuple[str, ...]
    entries_per_s: float
    first: int

    def of(self, crop: Crop) -> Spans:
        """Return the spans of the scene that a crop is cut from."""
        plan = self.maker.plan(crop.epoch, crop.clip - self.first)
        return merged_spans(self.maker.events(plan), self.labels, self.entries_per_s)


class FrameBatch(NamedTuple):
    """When the classes of a batch are present, and of which classes of which item that is known.

    Of a clip with weak labels it is known of the classes that are not in it: they are in none of its frames.

    Shape:
        frames: ``(batch, frame, label)`` in [0, 1]; known: ``(batch, label)``, 1 or 0.
    """

    frames: Tensor
    known: Tensor


@dataclass(frozen=True, eq=False)
class FrameTargets(TargetSource[FrameBatch]):
    """Frame targets of clips, where labels say when.

    Attributes:
        axis: of the network, for one crop.
        spans: of each clip; None where nobody said when.
        labels: number of classes.
        refines: for each clip, whether its clip target is what the crop holds: only hard labels are cut with it.
        rule: how crops are cut.
        weight: of this part of the loss.
        scenes: of the items that are scenes: by clip and epoch, their spans.
    """

    axis: FrameAxis
    spans: tuple[Spans | None, ...]
    labels: int
    refines: tuple[bool, ...]
    rule: CutRule
    weight: float = 1.0
    scenes: SceneSpans | None = None
    name = "frames"

    def of_crop(self, crop: Crop) -> FloatArray | None:
        """Return the frame targets of a crop, ``(frame, label)``; None for a clip with weak labels."""
        spans = self.spans[crop.clip]
        if self.scenes is not None and crop.clip >= self.scenes.first:
            spans = self.scenes.of(crop)
        if spans is None:
            return None
        moved = crop_spans(spans, crop.available, crop.place, self.rule, first=crop.first)
        return frame_shares(moved, self.axis, self.labels)

    def collate(self, crops: Sequence[Crop], found: TargetsByName) -> dict[str, Any]:
        """Return the frame targets; the labels of strong clips become those that their crops hold."""
        clip = found[ClipTargets.name].labels.numpy()
        frames = np.zeros((len(crops), self.axis.frames, self.labels), np.float32)
        known = (clip == 0).astype(np.float32)
        for i, crop in enumerate(crops):
            shares = self.of_crop(crop)
            if shares is not None:
                frames[i], known[i] = shares, 1
                if self.refines[crop.clip]:
                    clip[i] = shares.max(axis=0, initial=0)
        refined = ClipBatch(torch.from_numpy(clip))
        return {ClipTargets.name: refined, self.name: FrameBatch(torch.from_numpy(frames), torch.from_numpy(known))}

    def mix(self, targets: FrameBatch, partner: Tensor, weight: Tensor) -> FrameBatch:
        """Mix frames as the sound is mixed; of a mix is known what is known of both."""
        return FrameBatch(blend(targets.frames, partner, weight), known_of_both(targets.known, partner, weight))

    def loss(self, embedding_size: int) -> FrameLoss:
        """Return the loss of frame scores."""
        del embedding_size
        return FrameLoss(self.weight)


class FrameLoss(nn.Module):
    """Part of the loss that frame targets give; none where the network has no frames."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, output: NetworkOutput, batch: Batch) -> dict[str, Tensor]:
        """Return the part, a mean over the batch."""
        if output.frame_logits is None:
            return {}
        targets: FrameBatch = batch.targets[FrameTargets.name]
        found = frame_loss(output.frame_logits, targets.frames, targets.known, batch.weights)
        return {"frames": self.weight * found}


def make_frame_targets(
    clips: Sequence[Clip | Mixture | SceneItem],
    labels: Sequence[str],
    axis: FrameAxis,
    entries_per_s: float,
    rule: CutRule,
    *,
    weight: float = 1.0,
    scenes: SceneMaker | None = None,
) -> FrameTargets:
    """Return the frame targets of clips and scenes, which come last; a mixture has no events that anybody named."""
    events = [clip.events if isinstance(clip, Clip) else None for clip in clips]
    spans = tuple(None if e is None else merged_spans(e, labels, entries_per_s) for e in events)
    refines = tuple(
        isinstance(clip, SceneItem) or (isinstance(clip, Clip) and clip.strong and clip.kind == "hard")
        for clip in clips
    )
    first = next((i for i, clip in enumerate(clips) if isinstance(clip, SceneItem)), len(clips))
    made = None if scenes is None else SceneSpans(scenes, tuple(labels), entries_per_s, first)
    return FrameTargets(axis, spans, len(labels), refines, rule, weight, made)


def frame_truth(clip: Clip, labels: Sequence[str], grid: FrameGrid, frames: int, sample_rate: int) -> FloatArray:
    """Return 1 where events of a class fill at least half of a frame of a whole clip, else 0: ``(frame, label)``."""
    spans = merged_spans(() if clip.events is None else clip.events, labels, sample_rate)
    return (frame_shares(spans, frame_axis(grid, frames, 1.0), len(labels)) >= HALF).astype(np.float32)
