# SPDX-License-Identifier: Apache-2.0
"""From a clip of the manifest to an augmented training crop, and to the windows that score it.

Inputs are waveforms ``(time,)`` out of the cache, or log-mels ``(mel, frame)`` as the user stored them; in
both, time is the last axis. A crop's randomness is a function of (seed, epoch, clip).
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from auricle.batches.augment.crop import Plan, augment_waveform, draw_plan, take_crop
from auricle.batches.cache import WaveformCache
from auricle.batches.frame_targets import Timetable
from auricle.batches.sampling import CROP, Share, generator
from auricle.batches.worker_status import WorkerStatus
from auricle.data.arrays import load_array
from auricle.data.manifest import ArraySpec, Clip
from auricle.distill.targets import TeacherBatch, TeacherTargets, no_teacher
from auricle.errors import InputError
from auricle.nn.frontends.logmel import LOG_FLOOR
from auricle.recipe.schema import Recipe
from auricle.results import FloatArray
from auricle.runtime.windows import cut_windows
from auricle.synth.mixtures import Mixture, MixtureSources
from auricle.timeline import pad_window, seconds_to_samples, window_starts


class FrameTargets(NamedTuple):
    """When the classes of a batch are heard, and of which classes of which item that is known.

    Of a clip with weak labels it is known of the classes that are not in it: they are in none of its frames.

    Shape:
        frames: ``(batch, frame, label)`` in [0, 1]; known: ``(batch, label)``, 1 or 0.
        Where no label of a run says when, both have axes of length 0.
    """

    frames: Tensor
    known: Tensor


def untimed(batch: int) -> FrameTargets:
    """Return what a batch has where no label says when."""
    return FrameTargets(torch.zeros(batch, 0, 0), torch.zeros(batch, 0))


class Batch(NamedTuple):
    """One step's input.

    Shape:
        inputs: ``(batch, sample)`` or ``(batch, mel, frame)``; masks: ``(batch, 2, mask, 2)``;
        equalisers: ``(batch, point)`` in dB;
        targets: ``(batch, label)``; weights and clips: ``(batch,)``.
        taught: what the teacher says; without one, tensors with an axis of length 0.
        timed: what is known of when.
    """

    inputs: Tensor
    masks: Tensor
    equalisers: Tensor
    targets: Tensor
    weights: Tensor
    clips: Tensor
    taught: TeacherBatch
    timed: FrameTargets


class _Crop(NamedTuple):
    inputs: FloatArray
    masks: FloatArray
    equaliser: FloatArray
    clip: int
    block: int = 0
    roll: int = 0
    frames: FloatArray | None = None


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


class CropDataset(Dataset[_Crop]):
    """Augmented crops by ``(epoch, clip)``.

    Args:
        clips: of the training part, and mixtures.
        reader: reads them.
        recipe: crop length, padding and augmentation.
        teacher_targets: of a teacher: crops begin where its windows begin, and are rolled by whole windows.
        watch: where to note what is being read; None notes nothing.
        skipped_clips: numbers of clips that are not read: the next one that can be takes their place.
        timetable: of the clips' events; None where no label says when.
    """

    def __init__(
        self,
        clips: Sequence[Clip | Mixture],
        reader: ClipReader,
        recipe: Recipe,
        teacher_targets: TeacherTargets | None = None,
        watch: WorkerStatus | None = None,
        skipped_clips: Collection[int] = (),
        timetable: Timetable | None = None,
    ) -> None:
        self.clips = clips
        self.reader = reader
        self.recipe = recipe
        self.teacher_targets = teacher_targets
        self.watch = watch
        self.skipped_clips = frozenset(skipped_clips)
        self.timetable = timetable
        self.length = crop_length(recipe, reader)

    def plan(self, epoch: int, clip: int) -> Plan:
        """Return the augmentation of one crop."""
        recipe = self.recipe
        rng = generator(recipe.seed, CROP, epoch, clip)
        return draw_plan(recipe.augment, rng, recipe.data.clip_s * 1000, recipe.frontend.n_mels)

    def __getitem__(self, position: tuple[int, int]) -> _Crop:
        epoch, clip = position
        clip = replacement_clip(clip, self.skipped_clips, len(self.clips))
        with contextlib.nullcontext() if self.watch is None else self.watch.reading(clip):
            return self._crop(epoch, clip)

    def _crop(self, epoch: int, clip: int) -> _Crop:
        plan = self.plan(epoch, clip)
        values = self.reader.read(self.clips[clip])
        block, roll, first = 0, 0, 0
        if self.teacher_targets is not None:
            block, roll, plan = self.teacher_targets.place(clip, plan)
            first = round(block * self.teacher_targets.hop_share * self.length / self.teacher_targets.per_crop)
            values = values[..., first:]
        rule, is_logmel, frames = self.recipe.data.pad, self.reader.is_logmel, None
        if self.timetable is not None:
            frames = self.timetable.targets(
                clip, values.shape[-1], self.length, plan, rule, first=first, speeds=not is_logmel
            )
        crop = _feature_crop if is_logmel else _waveform_crop
        return _Crop(crop(values, self.length, plan, rule), plan.masks, plan.equaliser, clip, block, roll, frames)

    def __len__(self) -> int:
        return len(self.clips)


def replacement_clip(clip: int, skipped_clips: Collection[int], count: int) -> int:
    """Return the clip that is read where ``clip`` of ``count`` is planned: the next one that is not in quarantine."""
    while clip in skipped_clips:
        clip = (clip + 1) % count
    return clip


def crop_length(recipe: Recipe, reader: ClipReader) -> int:
    """Return the length of a crop along its last axis."""
    samples = seconds_to_samples(recipe.data.clip_s, recipe.frontend.sample_rate)
    if not reader.is_logmel:
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
    if recipe.frontend.name == "waveform":
        raw = recipe.model.raw
        return raw.stride * math.prod(raw.pools)
    hop = seconds_to_samples(recipe.frontend.hop_ms / 1000, recipe.frontend.sample_rate)
    return hop * recipe.model.time_stride


def scoring_hop_samples(recipe: Recipe) -> int:
    """Return the step between scoring windows: as the recipe says, or half a clip, rounded up to whole frames."""
    rate, frame = recipe.frontend.sample_rate, frame_samples(recipe)
    if recipe.data.hop_s is not None:
        return seconds_to_samples(recipe.data.hop_s, rate)
    window = seconds_to_samples(recipe.data.clip_s, rate)
    return min(window, -(-window // (2 * frame)) * frame)


def scoring_windows(values: FloatArray, recipe: Recipe, reader: ClipReader) -> FloatArray:
    """Return the windows by which a clip is scored, ``(window, ...)``: the runtime's own for waveforms."""
    length, hop = crop_length(recipe, reader), scoring_hop_samples(recipe)
    if not reader.is_logmel:
        return cut_windows(np.asarray(values), length, hop, recipe.data.pad, (frame_samples(recipe) - 1) // 2)
    per_frame = seconds_to_samples(recipe.frontend.hop_ms / 1000, recipe.frontend.sample_rate)
    starts = window_starts(values.shape[1], length, max(1, hop // per_frame), (recipe.model.time_stride - 1) // 2)
    return np.stack([pad_features(values[:, s : s + length], length, recipe.data.pad) for s in starts])


def make_loader(
    dataset: CropDataset,
    share: Share,
    collate: Callable[[list[_Crop]], Batch],
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
    loader: DataLoader[_Crop] = DataLoader(
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
        targets: ``(clip, label)``.
        weights: ``(clip,)``.
        teacher_targets: of a teacher, who may also speak of the classes.
        timetable: of the clips' events; None where no label says when.
    """

    targets: FloatArray
    weights: FloatArray
    teacher_targets: TeacherTargets | None = None
    timetable: Timetable | None = None

    def __call__(self, crops: list[_Crop]) -> Batch:
        """Stack the crops and look up what is known of them."""
        clips = np.array([crop.clip for crop in crops])
        targets, taught = self.targets[clips], no_teacher(len(crops))
        timed = untimed(len(crops)) if self.timetable is None else self._timed(crops, targets, self.timetable)
        if self.teacher_targets is not None:
            targets, taught = self.teacher_targets.teach(
                targets, [(crop.clip, crop.block, crop.roll) for crop in crops]
            )
        return Batch(
            torch.from_numpy(np.stack([crop.inputs for crop in crops])),
            torch.from_numpy(np.stack([crop.masks for crop in crops])),
            torch.from_numpy(np.stack([crop.equaliser for crop in crops])),
            torch.from_numpy(targets),
            torch.from_numpy(self.weights[clips]),
            torch.from_numpy(clips),
            taught,
            timed,
        )

    @staticmethod
    def _timed(crops: list[_Crop], targets: FloatArray, timetable: Timetable) -> FrameTargets:
        """Return when the classes are heard; ``targets`` become what the crops of strong clips hold."""
        frames = np.zeros((len(crops), timetable.axis.frames, timetable.labels), np.float32)
        known = (targets == 0).astype(np.float32)
        for i, crop in enumerate(crops):
            if crop.frames is not None:
                frames[i], known[i] = crop.frames, 1
                if timetable.replaces[crop.clip]:
                    targets[i] = crop.frames.max(axis=0, initial=0)
        return FrameTargets(torch.from_numpy(frames), torch.from_numpy(known))


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
