# SPDX-License-Identifier: Apache-2.0
"""From a clip of the manifest to an augmented training crop, and to the windows that score it.

Inputs are waveforms ``(time,)`` out of the cache, or log-mels ``(mel, frame)`` as the user stored them; in
both, time is the last axis. A crop's randomness is a function of (seed, epoch, clip).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from auricle.batches.augment.crop import Plan, augment_waveform, draw_plan, take_crop
from auricle.batches.cache import WaveformCache
from auricle.batches.sampling import CROP, Share, generator
from auricle.batches.targets import Batch, Crop, TargetSource, collate_targets
from auricle.batches.worker_status import WorkerStatus
from auricle.data.arrays import load_array
from auricle.data.manifest import ArraySpec, Clip
from auricle.errors import InputError
from auricle.nn.frontends.logmel import LOG_FLOOR
from auricle.recipe.schema import Recipe
from auricle.results import FloatArray
from auricle.runtime.windows import cut_windows
from auricle.synth.mixtures import Mixture, MixtureSources
from auricle.timeline import pad_window, seconds_to_samples, window_starts


class CutCrop(NamedTuple):
    """A crop and its sound, ``(sample,)`` or ``(mel, frame)``."""

    inputs: FloatArray
    crop: Crop


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


class CropDataset(Dataset[CutCrop]):
    """Augmented crops by ``(epoch, clip)``.

    Args:
        clips: of the training part, and mixtures.
        reader: reads them.
        recipe: crop length, padding and augmentation.
        sources: of targets, which may say where a crop lies.
        watch: where to note what is being read; None notes nothing.
        skipped_clips: numbers of clips that are not read: the next one that can be takes their place.
    """

    def __init__(
        self,
        clips: Sequence[Clip | Mixture],
        reader: ClipReader,
        recipe: Recipe,
        sources: Sequence[TargetSource[Any]] = (),
        watch: WorkerStatus | None = None,
        skipped_clips: Collection[int] = (),
    ) -> None:
        self.clips = clips
        self.reader = reader
        self.recipe = recipe
        self.sources = sources
        self.watch = watch
        self.skipped_clips = frozenset(skipped_clips)
        self.length = crop_length(recipe, is_logmel=reader.is_logmel)

    def plan(self, epoch: int, clip: int) -> Plan:
        """Return the augmentation of one crop."""
        recipe = self.recipe
        rng = generator(recipe.seed, CROP, epoch, clip)
        return draw_plan(recipe.augment, rng, recipe.data.clip_s * 1000, recipe.frontend.n_mels)

    def __getitem__(self, position: tuple[int, int]) -> CutCrop:
        epoch, clip = position
        clip = replacement_clip(clip, self.skipped_clips, len(self.clips))
        with contextlib.nullcontext() if self.watch is None else self.watch.reading(clip):
            return self._crop(epoch, clip)

    def _crop(self, epoch: int, clip: int) -> CutCrop:
        plan, first = self.plan(epoch, clip), 0
        for source in self.sources:
            left_out, plan = source.place(clip, plan)
            first += left_out
        values = self.reader.read(self.clips[clip])[..., first:]
        cut = _feature_crop if self.reader.is_logmel else _waveform_crop
        inputs = cut(values, self.length, plan, self.recipe.data.pad)
        return CutCrop(inputs, Crop(clip, first, values.shape[-1], plan))

    def __len__(self) -> int:
        return len(self.clips)


def replacement_clip(clip: int, skipped_clips: Collection[int], count: int) -> int:
    """Return the clip that is read where ``clip`` of ``count`` is planned: the next one that is not in quarantine."""
    while clip in skipped_clips:
        clip = (clip + 1) % count
    return clip


def crop_length(recipe: Recipe, *, is_logmel: bool) -> int:
    """Return the length of a crop along its last axis, in samples or in log-mel frames."""
    samples = seconds_to_samples(recipe.data.clip_s, recipe.frontend.sample_rate)
    if not is_logmel:
        return samples
    return samples // seconds_to_samples(recipe.frontend.hop_ms / 1000, recipe.frontend.sample_rate)


def _waveform_crop(values: FloatArray, length: int, plan: Plan, rule: str) -> FloatArray:
    return augment_waveform(pad_window(take_crop(values, length, plan), length, rule), plan)


def _feature_crop(values: FloatArray, length: int, plan: Plan, rule: str) -> FloatArray:
    """Crop, pad, roll and scale a log-mel; speed and noise are changes to waveforms and do not apply."""
    start = int(plan.start * max(0, values.shape[1] - length + 1))
    padded = pad_features(values[:, start : start + length], length, rule)
    rolled = np.roll(padded, int(plan.shift * length), axis=1)
    return np.asarray(rolled + 2 * np.log(plan.gain), dtype=np.float32)


def pad_features(values: FloatArray, length: int, rule: str) -> FloatArray:
    """Fill a log-mel ``(mel, frame)`` up to ``length`` frames, as padding its waveform would."""
    missing = length - values.shape[1]
    if missing <= 0:
        return values[:, :length]
    if rule == "repeat":
        return np.asarray(np.take(values, np.arange(length) % values.shape[1], axis=1), dtype=np.float32)
    return np.pad(values, ((0, 0), (0, missing)), constant_values=float(np.log(LOG_FLOOR)))


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


def make_loader(
    dataset: CropDataset,
    share: Share,
    collate: Callable[[list[CutCrop]], Batch],
    *,
    first_step: int,
    last_step: int,
    workers: int,
    timeout_s: float = 0.0,
) -> Iterator[Batch]:
    """Return this process's part of the batches from one step to another, read ahead by ``workers`` processes.

    A batch that takes those longer than ``timeout_s`` is an error; 0 waits for ever.

    One loader serves all epochs, so that nothing stops at their borders.
    """
    loader: DataLoader[CutCrop] = DataLoader(
        dataset,
        batch_sampler=_Walk(share, first_step, last_step),
        collate_fn=collate,
        num_workers=workers,
        worker_init_fn=partial(_begin_worker, os.getpid()),
        timeout=timeout_s if workers else 0,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)


def make_batch_loader(
    dataset: Dataset[Batch], share: Share, *, first_step: int, last_step: int, workers: int, timeout_s: float = 0.0
) -> Iterator[Batch]:
    """Return the batches of a data set that makes whole ones, as ``make_loader``."""
    loader: DataLoader[Batch] = DataLoader(
        dataset,
        batch_size=None,
        sampler=_Walk(share, first_step, last_step),
        num_workers=workers,
        worker_init_fn=partial(_begin_worker, os.getpid()),
        timeout=timeout_s if workers else 0,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)


@dataclass(frozen=True, eq=False)
class Collate:
    """Crops to a batch; a class and no closure, because loader processes may have to be sent it.

    Attributes:
        weights: ``(clip,)``.
        sources: of targets, in the order in which they are asked.
    """

    weights: FloatArray
    sources: Sequence[TargetSource[Any]]

    def __call__(self, crops: list[CutCrop]) -> Batch:
        """Stack the crops and look up what is known of them."""
        places = [crop.crop for crop in crops]
        clips = np.array([place.clip for place in places])
        return Batch(
            torch.from_numpy(np.stack([crop.inputs for crop in crops])),
            torch.from_numpy(np.stack([place.plan.masks for place in places])),
            torch.from_numpy(np.stack([place.plan.equaliser for place in places])),
            torch.from_numpy(self.weights[clips]),
            torch.from_numpy(clips),
            collate_targets(self.sources, places),
        )


def _begin_worker(trainer: int, worker: int) -> None:
    """Leave Ctrl-C to the process that trains; end without an error at a SIGTERM, which it got too or has sent.

    From its next line on torch watches whether the worker's parent is still the same. Where the trainer was killed
    before, that would be another one, for ever: so a worker that begins as an orphan ends.
    """
    if multiprocessing.get_start_method() != "forkserver" and os.getppid() != trainer:
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    dataset = getattr(get_worker_info(), "dataset", None)
    if isinstance(dataset, CropDataset) and dataset.watch is not None:
        dataset.watch.begin()


class _Walk:
    """A batch sampler over a range of steps."""

    def __init__(self, share: Share, first_step: int, last_step: int) -> None:
        self.share, self.first_step, self.last_step = share, first_step, last_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return self.share.walk(self.first_step, self.last_step)

    def __len__(self) -> int:
        return self.last_step - self.first_step
