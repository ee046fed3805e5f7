# SPDX-License-Identifier: Apache-2.0
"""Batches of waveforms without Python for each crop: cut, changed and stacked by a few array operations.

Before the first step all clips are laid end to end in one memory-mapped file, each padded to the length that a crop
needs. A batch is then one gather from it. The file has no name and goes with the process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch.utils.data import Dataset

from auricle.batches.augment.batch import WavePlan, apply_waves, draw_waves
from auricle.batches.augment.offline import draw_copy, make_copy
from auricle.batches.crops import ClipReader, crop_length
from auricle.batches.targets import Batch, ClipBatch, ClipTargets
from auricle.data.manifest import Clip
from auricle.recipe.schema import Recipe
from auricle.results import FloatArray
from auricle.synth.mixtures import Mixture
from auricle.timeline import pad_window

IntArray = npt.NDArray[np.int64]


class WavePack:
    """Recordings end to end.

    Args:
        waves: in their order, each read once.
        least: samples that each must have; shorter ones are padded by ``rule``.
        rule: of ``timeline.pad_window``.
        folder: where the nameless file lies, as large as all waves together.
    """

    def __init__(self, waves: Sequence[_Lazy], least: int, rule: str, folder: Path) -> None:
        lengths = []
        with tempfile.TemporaryFile(dir=folder, prefix="pack") as file:
            for wave in waves:
                samples = wave()
                padded = pad_window(samples, least, rule) if len(samples) < least else samples
                file.write(np.ascontiguousarray(padded, dtype="<f4").data)
                lengths.append(len(padded))
            file.flush()
            self.samples = np.memmap(file, dtype="<f4", mode="r")
        self.lengths: IntArray = np.array(lengths, np.int64)
        self.begins: IntArray = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])

    def cut(self, items: IntArray, start: npt.NDArray[np.float64], length: int) -> FloatArray:
        """Return a crop of each item, shape ``(item, sample)``.

        Args:
            items: numbers of the recordings.
            start: where each crop begins, as a share in [0, 1) of what may be skipped.
            length: samples of a crop.
        """
        first = self.begins[items] + (start * (self.lengths[items] - length + 1)).astype(np.int64)
        return np.asarray(sliding_window_view(self.samples, length)[first])


class _Lazy(Protocol):
    def __call__(self) -> FloatArray:
        """Read a wave."""


class WaveDataset(Dataset[Batch]):
    """Augmented batches by their ``(epoch, clip)`` pairs.

    Args:
        clips: of the training part.
        reader: reads them.
        recipe: crop length, padding and augmentation.
        targets: ``(clip, label)``.
        weights: ``(clip,)``.
    """

    def __init__(
        self,
        clips: Sequence[Clip | Mixture],
        reader: ClipReader,
        recipe: Recipe,
        targets: FloatArray,
        weights: FloatArray,
    ) -> None:
        self.recipe = recipe
        self.targets, self.weights = targets, weights
        self.length = crop_length(recipe, is_logmel=reader.is_logmel)
        fastest = recipe.augment.speed[1]
        self.needed = self.length if fastest == 1.0 else int(self.length * fastest) + 2
        self.versions = 1 + recipe.augment.copies
        waves = [_Wave(reader, recipe, clip, i, n) for i, clip in enumerate(clips) for n in range(self.versions)]
        self.pack = WavePack(waves, self.needed, recipe.data.pad, reader.cache.folder)

    def plan(self, positions: Sequence[tuple[int, int]]) -> WavePlan:
        """Return the changes to the crops of one batch."""
        epochs, clips = np.array(positions, np.int64).T
        recipe = self.recipe
        return draw_waves(recipe.augment, recipe.seed, epochs, clips, recipe.data.clip_s * 1000)

    def __getitem__(self, positions: Sequence[tuple[int, int]]) -> Batch:
        clips = np.array([clip for _, clip in positions], np.int64)
        plan = self.plan(positions)
        versions = clips * self.versions + (plan.variant * self.versions).astype(np.int64)
        waves = self.pack.cut(versions, plan.start, self.needed)
        changed = apply_waves(waves, plan, self.length)
        return Batch(
            torch.from_numpy(changed),
            torch.from_numpy(plan.masks),
            torch.zeros(len(clips), 0),
            torch.from_numpy(self.weights[clips]),
            torch.from_numpy(clips),
            {ClipTargets.name: ClipBatch(torch.from_numpy(self.targets[clips]))},
        )

    def __len__(self) -> int:
        return len(self.pack.lengths) // self.versions


@dataclass(frozen=True)
class _Wave:
    """A version of a clip, read when it is called for; version 0 is the recording itself."""

    reader: ClipReader
    recipe: Recipe
    clip: Clip | Mixture
    number: int
    version: int

    def __call__(self) -> FloatArray:
        samples, recipe = self.reader.read(self.clip), self.recipe
        if self.version == 0:
            return samples
        plan = draw_copy(recipe.augment, recipe.seed, self.number, self.version)
        return make_copy(samples, recipe.frontend.sample_rate, plan)
