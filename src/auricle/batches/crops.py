# SPDX-License-Identifier: Apache-2.0
"""From a clip of the manifest to an augmented training crop, and to the windows that score it.

Inputs are waveforms ``(time,)`` out of the cache, or log-mels ``(mel, frame)`` as the user stored them; in
both, time is the last axis. A crop's randomness is a function of (seed, epoch, clip).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from auricle.batches.augment.augmentation import Augmentation, CutRule, Placement
from auricle.batches.augment.batch import WaveAugmentation
from auricle.batches.augment.crop import CropAugmentation, LogmelAugmentation, pad_features
from auricle.batches.cache import WaveformCache
from auricle.batches.packed import PackedCopies
from auricle.batches.scene_items import SceneItem, SceneMaker
from auricle.batches.targets import Batch, Crop, TargetSource, collate_targets
from auricle.batches.worker_status import WorkerStatus
from auricle.data.arrays import load_array
from auricle.data.manifest import ArraySpec, Clip
from auricle.errors import InputError
from auricle.recipe.schema import Recipe
from auricle.results import FloatArray
from auricle.runtime.windows import cut_windows
from auricle.synth.mixtures import Mixture, MixtureSources
from auricle.timeline import seconds_to_samples, window_starts


@dataclass(frozen=True)
class ClipReader:
    """Reads clips as arrays whose last axis is time.

    Attributes:
        cache: prepared for every audio file and waveform array.
        arrays: what ``.npy`` files hold; None if there are none.
        sample_rate: of the model in Hz.
        steps_per_s: entries of the last axis a second: samples, or log-mel frames.
        n_mels: that log-mels must have; None for waveforms.
        mixtures: what mixtures are made of, if there are any.
    """

    cache: WaveformCache
    arrays: ArraySpec | None
    sample_rate: int
    steps_per_s: float
    n_mels: int | None = None
    mixtures: MixtureSources | None = None

    @property
    def is_logmel(self) -> bool:
        """Whether the inputs are features already."""
        return self.arrays is not None and self.arrays.kind == "logmel"

    def read(self, clip: Clip | Mixture) -> FloatArray:
        """Return the clip, its segment, or the mixture, whole; raises ``InputError`` if there is nothing to read."""
        if isinstance(clip, Mixture):
            if self.mixtures is None:
                raise InputError("internal", f"{clip.key}: nothing says what it is made of")
            return self.mixtures.make(clip, self.read, self.sample_rate)
        if not clip.is_array:
            values: FloatArray = self.cache.load(clip.path)
        elif self.arrays is None:
            raise InputError("bad_array", f"{clip.key}: nothing says what the array holds; pass --sample-rate")
        else:
            values = read_array(clip.path, self.arrays, self.sample_rate, self.n_mels)
        if clip.onset is None and clip.offset is None:
            return values
        start = round((clip.onset or 0.0) * self.steps_per_s)
        end = values.shape[-1] if clip.offset is None else round(clip.offset * self.steps_per_s)
        if start >= values.shape[-1]:
            length_s = values.shape[-1] / self.steps_per_s
            raise InputError(
                "no_audio", f"{clip.key}: the part from {clip.onset:g} s on begins after the end, at {length_s:g} s"
            )
        return values[..., start : max(end, start + 1)]


def read_array(path: str, spec: ArraySpec, sample_rate: int, n_mels: int | None = None) -> FloatArray:
    """Return a ``.npy`` file as float32, waveforms resampled to ``sample_rate``; raises ``InputError``."""
    values = load_array(path, spec.kind, n_mels=n_mels, scale=spec.scale).values
    if spec.kind == "waveform" and spec.sample_rate != sample_rate:
        from auricle.audio.resample import resample  # noqa: PLC0415 (only where rates differ)

        return resample(values, spec.sample_rate, sample_rate)
    return values


class BatchDataset(Dataset[Batch]):
    """Augmented batches by the ``(epoch, clip)`` pairs of their crops.

    Args:
        clips: of the training part, and mixtures.
        reader: reads them.
        augmentation: of the crops.
        weights: ``(clip,)``.
        sources: of targets, in the order in which they are asked.
        copies: changed versions of the clips, drawn beside the recordings; None where there are none.
        status: where to note what is being read; None notes nothing.
        skipped_clips: numbers of clips that are not read: the next one that can be takes their place.
        scenes: makes those of the items that are scenes.
    """

    def __init__(
        self,
        clips: Sequence[Clip | Mixture | SceneItem],
        reader: ClipReader,
        augmentation: Augmentation,
        weights: FloatArray,
        sources: Sequence[TargetSource[Any]],
        *,
        copies: PackedCopies | None = None,
        status: WorkerStatus | None = None,
        skipped_clips: Collection[int] = (),
        scenes: SceneMaker | None = None,
    ) -> None:
        self.scenes = scenes
        self.clips = clips
        self.reader = reader
        self.augmentation = augmentation
        self.weights = weights
        self.sources = sources
        self.copies = copies
        self.status = status
        self.skipped_clips = frozenset(skipped_clips)

    def __getitem__(self, positions: Sequence[tuple[int, int]]) -> Batch:
        epochs = np.array([epoch for epoch, _ in positions], np.int64)
        clips = np.array(
            [replacement_clip(clip, self.skipped_clips, len(self.clips)) for _, clip in positions], np.int64
        )
        draw = self.augmentation.draw(epochs, clips)
        parts = np.empty((len(clips), *self.augmentation.shape), np.float32)
        crops = []
        drawn = zip(epochs.tolist(), clips.tolist(), draw.places, draw.variants, strict=True)
        for i, (epoch, clip, place, variant) in enumerate(drawn):
            with contextlib.nullcontext() if self.status is None else self.status.reading(clip):
                parts[i], crop = self._cut(epoch, clip, place, variant)  # copied: a page that fails is this clip's
            crops.append(crop)
        return Batch(
            torch.from_numpy(self.augmentation.apply(parts, [crop.place for crop in crops], draw.changes)),
            torch.from_numpy(draw.masks),
            torch.from_numpy(draw.equalisers),
            torch.from_numpy(self.weights[clips]),
            torch.from_numpy(clips),
            collate_targets(self.sources, crops),
        )

    def _cut(self, epoch: int, clip: int, place: Placement, variant: float) -> tuple[FloatArray, Crop]:
        first = 0
        for source in self.sources:
            left_out, place = source.place(clip, place)
            first += left_out
        values = self._read(epoch, clip, variant)[..., first:]
        return self.augmentation.cut(values, place), Crop(clip, first, values.shape[-1], place, epoch)

    def _read(self, epoch: int, clip: int, variant: float) -> FloatArray:
        """Return a clip, one of its copies, or a scene of this epoch.

        What could not be copied is read itself, and says why it cannot be.
        """
        item = self.clips[clip]
        if isinstance(item, SceneItem):
            if self.scenes is None:
                raise InputError("internal", f"{item.key}: nothing makes it")
            return self.scenes.render(self.scenes.plan(epoch, item.number), self.reader.read)
        copy = None if self.copies is None else self.copies.read(clip, variant)
        return self.reader.read(item) if copy is None else copy

    def __len__(self) -> int:
        return len(self.clips)


def make_augmentation(recipe: Recipe, *, is_logmel: bool) -> Augmentation:
    """Return the augmentation of a recipe: of log-mels, of single waveforms, or for `rawnet` of batches of them."""
    rule = CutRule(crop_length(recipe, is_logmel=is_logmel), recipe.data.pad, speeds=not is_logmel)
    if is_logmel:
        return LogmelAugmentation(recipe, rule)
    return (WaveAugmentation if recipe.frontend.name == "waveform" else CropAugmentation)(recipe, rule)


def replacement_clip(clip: int, skipped_clips: Collection[int], count: int) -> int:
    """Return the clip that is read where ``clip`` of ``count`` is planned: the next one that is not skipped."""
    while clip in skipped_clips:
        clip = (clip + 1) % count
    return clip


def crop_length(recipe: Recipe, *, is_logmel: bool) -> int:
    """Return the length of a crop along its last axis, in samples or in log-mel frames."""
    samples = seconds_to_samples(recipe.data.clip_s, recipe.frontend.sample_rate)
    if not is_logmel:
        return samples
    return samples // seconds_to_samples(recipe.frontend.hop_ms / 1000, recipe.frontend.sample_rate)


def frame_samples(recipe: Recipe) -> int:
    """Return the samples that one output frame of the network stands for."""
    return recipe.model.hop_samples(recipe.frontend)


def scoring_hop_samples(recipe: Recipe) -> int:
    """Return the step between scoring windows: as the recipe says, or half a clip, rounded up to whole frames."""
    rate, frame = recipe.frontend.sample_rate, frame_samples(recipe)
    if recipe.data.hop_s is not None:
        return seconds_to_samples(recipe.data.hop_s, rate)
    window = seconds_to_samples(recipe.data.clip_s, rate)
    return min(window, -(-window // (2 * frame)) * frame)


def scoring_windows(values: FloatArray, recipe: Recipe, reader: ClipReader) -> FloatArray:
    """Return the windows by which a clip is scored, ``(window, ...)``: the runtime's own for waveforms."""
    length, hop = crop_length(recipe, is_logmel=reader.is_logmel), scoring_hop_samples(recipe)
    if not reader.is_logmel:
        return cut_windows(np.asarray(values), length, hop, recipe.data.pad, (frame_samples(recipe) - 1) // 2)
    per_frame = seconds_to_samples(recipe.frontend.hop_ms / 1000, recipe.frontend.sample_rate)
    stride = frame_samples(recipe) // per_frame
    starts = window_starts(values.shape[1], length, max(1, hop // per_frame), (stride - 1) // 2)
    return np.stack([pad_features(values[:, s : s + length], length, recipe.data.pad) for s in starts])
