# SPDX-License-Identifier: Apache-2.0
"""Crops at a student's rate, with the teacher's scores, in shards of memory-mapped float16.

A shard is a function of (rules, recordings, teacher, student's front end, number), so a store that was killed on its
way continues to the same bytes. Every crop of several sources brings these too, each alone, as crops of one source.

plan.json             what the shards are a function of
NNNNN.features.npy    log-mels of the student, (item, mel, frame)
NNNNN.logits.npy      of the teacher, (item, class)
NNNNN.deep.npy        the teacher's last map over time, (item, dimension, step)
NNNNN.activity.npy    when each source can be resampled, (item, source, frame) in 255ths
NNNNN.sources.npy     of each item, the items of its shard that are its sources alone, (item, source), or -1
NNNNN.json            hashes; it comes last and makes the shard count
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auricle.audio.resample import resample
from auricle.distill.crops import MOST_SOURCES, CropRules, make_crop
from auricle.distill.networks import StagedTeacher
from auricle.distill.recordings import RecordingPack
from auricle.errors import DataError
from auricle.files import atomic_write, json_differences, read_json, sha256_bytes, write_json
from auricle.nn.modules.mobilenet import MobileNet
from auricle.results import FloatArray
from auricle.timeline import FrameGrid, samples_to_seconds

PLAN = "plan.json"
#: Crops of a shard, their sources not counted: what a kill costs at most.
SHARD_CROPS = 32
#: Waveforms that go through the teacher at once.
AT_ONCE = 12
#: Items that a class counts as having beside its own, and bounds of how often an item is drawn.
COMMON, WEIGHTS = 20, (0.25, 4.0)
#: Items whose weights are computed at once.
_PART = 4_096
PARTS = ("features", "logits", "deep", "activity", "sources")
#: Steps of ``Crop.activity``, in seconds.
ACTIVITY_S = 0.01


class CropMaker:
    """Makes shards.

    Args:
        teacher: labels the crops.
        student: its front end makes their features, its grid says where frames lie.
        rules: how crops are made.
        pack: what they are made of, at the teacher's rate.
        members: the recordings that are used, by number.
    """

    def __init__(
        self,
        teacher: StagedTeacher,
        student: MobileNet,
        rules: CropRules,
        pack: RecordingPack,
        members: Sequence[int],
    ) -> None:
        self.teacher, self.student, self.rules, self.pack = teacher, student, rules, pack
        self.members = np.asarray(members, np.int64)
        self.lengths = np.array([pack.length(number) for number in members], np.int64)

    def plan(self) -> dict[str, Any]:
        """Return what the shards are a function of."""
        hashes = [self.pack.recordings[number].sha256 for number in self.members]
        spec = self.student.spec
        return {
            "teacher": self.teacher.identity,
            "rules": self.rules.to_dict(),
            "recordings": sha256_bytes("\n".join(hashes).encode()),
            "frontend": [spec.sample_rate, spec.n_mels, spec.window_ms, spec.hop_ms, spec.f_min, spec.f_max],
            "shard": SHARD_CROPS,
        }

    def shard(self, number: int) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of a shard."""
        rate = self.teacher.sample_rate
        length_s = self.rules.lengths_s[number % len(self.rules.lengths_s)]
        waves: list[FloatArray] = []
        activities: list[FloatArray] = []
        sources: list[list[int]] = []
        for index in range(number * SHARD_CROPS, (number + 1) * SHARD_CROPS):
            crop = make_crop(self.rules, index, self.lengths, self._read, rate, length_s)
            first = len(waves)
            several = len(crop.sources) > 1
            waves += [crop.mixture, *(crop.sources if several else [])]
            activities += [crop.activity, *(crop.activity[:, None] if several else [])]
            alone = list(range(first + 1, first + 1 + len(crop.sources))) if several else [first]
            sources += [alone, *([[item] for item in alone] if several else [])]
        logits, deep = self._label(waves)
        grid, spec = self.student.grid, self.student.spec
        resampled = torch.from_numpy(np.stack([resample(wave, rate, spec.sample_rate) for wave in waves]))
        with torch.inference_mode():
            features = self.student.features(resampled).numpy()
        seen = np.zeros((len(waves), MOST_SOURCES, -(-features.shape[2] // 4)), np.uint8)
        links = np.full((len(waves), MOST_SOURCES), -1, np.int32)
        for item, (activity, alone) in enumerate(zip(activities, sources, strict=True)):
            frames = frame_means(activity, grid, spec.sample_rate, seen.shape[2])
            seen[item, : len(frames)] = np.rint(frames * 255)
            links[item, : len(alone)] = alone
        return {
            "features": features.astype(np.float16),
            "logits": logits.astype(np.float16),
            "deep": deep.astype(np.float16),
            "activity": seen,
            "sources": links,
        }

    def _read(self, member: int, first: int, count: int) -> FloatArray:
        return self.pack.read(int(self.members[member]), first, count)

    def _label(self, waves: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray]:
        """Return the teacher's logits ``(wave, class)`` and deep maps ``(wave, dimension, step)``."""
        logits, maps = [], []
        for start in range(0, len(waves), AT_ONCE):
            # Rounded as it is stored, into memory of its own: the engine's last bits depend on where its memory lies.
            deep = self.teacher.deep_map(torch.from_numpy(np.stack(waves[start : start + AT_ONCE]))).half().float()
            with torch.inference_mode():
                logits.append(self.teacher.head(deep.mean(2)).numpy())
                maps.append(deep.numpy())
        return np.concatenate(logits), np.concatenate(maps)


def frame_means(activity: FloatArray, grid: FrameGrid, sample_rate: int, frames: int) -> FloatArray:
    """Return the mean of ``(source, step)`` over each frame of ``grid``, ``(source, frame)``."""
    steps = samples_to_seconds(1, sample_rate) / ACTIVITY_S
    centres = (grid.first_centre_samples + 0.5 + np.arange(frames) * grid.hop_samples) * steps
    half = grid.hop_samples * steps / 2
    sums = np.pad(np.cumsum(activity, axis=1), ((0, 0), (1, 0)))
    last = activity.shape[1]
    low, high = (np.clip(np.rint(centres + side), 0, last).astype(int) for side in (-half, half))
    return np.asarray((sums[:, high] - sums[:, low]) / np.maximum(high - low, 1), np.float32)


def make_store(folder: Path, maker: CropMaker, shards: int, advance: Callable[[int], None] = lambda n: None) -> None:
    """Make the shards of a store that are missing or damaged.

    Raises:
        DataError: the folder holds a store of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = maker.plan()
    if (folder / PLAN).is_file():
        other = list(json_differences(read_json(folder / PLAN), plan))
        if other:
            raise DataError(f"{folder} holds crops of another run", other[:5])
    write_json(folder / PLAN, plan)
    for number in range(shards):
        if not is_whole(folder, number):
            _write_shard(folder, number, maker.shard(number))
        advance(number)


def _write_shard(folder: Path, number: int, arrays: dict[str, npt.NDArray[Any]]) -> None:
    hashes = {}
    for name, values in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        atomic_write(folder / f"{number:05d}.{name}.npy", buffer.getvalue())
        hashes[name] = sha256_bytes(buffer.getvalue())
    write_json(folder / f"{number:05d}.json", {"items": len(arrays["logits"]), "sha256": hashes})


def is_whole(folder: Path, number: int) -> bool:
    """Tell whether a shard is there and undamaged."""
    facts = folder / f"{number:05d}.json"
    if not facts.is_file():
        return False
    hashes: dict[str, str] = read_json(facts)["sha256"]
    files = {name: folder / f"{number:05d}.{name}.npy" for name in hashes}
    return all(file.is_file() and sha256_bytes(file.read_bytes()) == hashes[name] for name, file in files.items())


def item_weights(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return how often each item of ``(item, class)`` is drawn, with mean 1 before bounds.

    Its classes, as far as the teacher says they are there, count the more the fewer other items have them.
    """
    parts = [logits[start : start + _PART] for start in range(0, len(logits), _PART)]
    present = sum(_shares(part).sum(0) for part in parts)
    weights = np.concatenate([(_shares(part) / (present + COMMON)).sum(1) for part in parts])
    return np.asarray(np.clip(weights / weights.mean(), *WEIGHTS))


def _shares(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))))


@dataclass(frozen=True)
class CropBatch:
    """Items of a store as tensors.

    Shape:
        features: ``(item, mel, frame)``.
        logits: ``(item, class)``.
        deep: ``(item, dimension, step)``.
        activity: ``(item, source, frame)`` in [0, 1]; zeros where there is no source.
        source_deep: ``(item, source, dimension, step)``, the deep map of each source alone.
    """

    features: Tensor
    logits: Tensor
    deep: Tensor
    activity: Tensor
    source_deep: Tensor

    def first(self, count: int) -> CropBatch:
        """Return the first items."""
        return CropBatch(*(getattr(self, f.name)[:count] for f in fields(self)))


class CropStore:
    """The items of a store's shards, numbered through.

    Args:
        folder: of the store.
        shards: how many of its shards are used.
    """

    def __init__(self, folder: Path, shards: int) -> None:
        self.folder = folder
        self._arrays: list[dict[str, npt.NDArray[Any]]] = []
        self._places: list[tuple[int, int]] = []
        #: Of each item, how many sources it has, and how often it is drawn: rare classes more than frequent ones.
        self.counts = np.zeros(0, np.int64)
        #: Of each item, the frames of its features: those of a batch are of one length.
        self.frames = np.zeros(0, np.int64)
        self.weights: npt.NDArray[np.float64] = np.zeros(0)
        self.extend(shards)

    def extend(self, shards: int) -> None:
        """Use so many shards from now on, if they are more than before."""
        for number in range(len(self._arrays), shards):
            arrays = {name: np.load(self.folder / f"{number:05d}.{name}.npy", mmap_mode="r") for name in PARTS}
            self._arrays.append(arrays)
            self._places += [(number, item) for item in range(len(arrays["logits"]))]
            self.counts = np.concatenate([self.counts, (arrays["sources"] >= 0).sum(1)])
            frames = np.full(len(arrays["logits"]), arrays["features"].shape[2])
            self.frames = np.concatenate([self.frames, frames])
        if self._arrays:
            self.weights = item_weights(np.concatenate([arrays["logits"] for arrays in self._arrays]))

    def __len__(self) -> int:
        return len(self._places)

    def of_frequent_length(self) -> npt.NDArray[np.int64]:
        """Return the items of the length that most have."""
        lengths, numbers = np.unique(self.frames, return_counts=True)
        return np.flatnonzero(self.frames == lengths[numbers.argmax()])

    def batches(self, size: int) -> Iterator[CropBatch]:
        """Yield all items, up to ``size`` of one length at a time."""
        for length in np.unique(self.frames):
            items = np.flatnonzero(self.frames == length)
            yield from (self.batch(items[start : start + size]) for start in range(0, len(items), size))

    def deep(self, items: Sequence[int] | npt.NDArray[np.int64]) -> Tensor:
        """Return the teacher's last maps of items of one length as stored, ``(item, dimension, step)`` in float16."""
        return torch.from_numpy(np.stack([self._arrays[s]["deep"][i] for s, i in map(self._places.__getitem__, items)]))

    def batch(self, items: Sequence[int] | npt.NDArray[np.int64]) -> CropBatch:
        """Return some items of one length."""
        rows: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in PARTS}
        alone = []
        for item in items:
            shard, place = self._places[item]
            arrays = self._arrays[shard]
            for name in PARTS:
                rows[name].append(arrays[name][place])
            alone.append(arrays["deep"][np.maximum(arrays["sources"][place], 0)])
        values = {name: np.stack(found) for name, found in rows.items()}
        return CropBatch(
            torch.from_numpy(values["features"].astype(np.float32)),
            torch.from_numpy(values["logits"].astype(np.float32)),
            torch.from_numpy(values["deep"].astype(np.float32)),
            torch.from_numpy(values["activity"].astype(np.float32) / 255),
            torch.from_numpy(np.stack(alone).astype(np.float32)),
        )
