# SPDX-License-Identifier: Apache-2.0
"""From a path and a recipe to everything that a loop needs: manifest, split, decoded waveforms, targets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from auricle.batches.cache import CacheReport, WaveformCache, default_cache_dir
from auricle.batches.crops import ClipReader, frame_samples, scoring_hop_samples
from auricle.batches.scene_items import SceneItem, make_scene_maker
from auricle.batches.targets import ClipTask
from auricle.data.balance import class_weights, group_weights, sampler_weights
from auricle.data.formats.registry import read_source
from auricle.data.manifest import Clip, Manifest
from auricle.data.soft_labels import attach_soft_labels, read_soft_labels
from auricle.data.splits import Split, check_trainable, make_split, without_systems
from auricle.distill.store import open_store
from auricle.distill.targets import SoftLabelDataset, make_training_items, read_soft_label_dataset, teacher_manifest
from auricle.errors import ConfigError, DataError, InputError
from auricle.files import printable
from auricle.nn.models.mobilenet import MobileNetOptions
from auricle.progress import Progress
from auricle.recipe.requests import DataSource
from auricle.recipe.schema import Recipe, make_recipe
from auricle.registry import shorten
from auricle.results import Failure, FloatArray
from auricle.training.distributed import Group
from auricle.training.loop import TrainingSet

Segment = tuple[str, float, float | None]

#: A run stops before it starts when more than this share of its files cannot be decoded.
MAX_FAILED = 0.1
#: A model does not step by less, nor by less than half an output frame.
LEAST_HOP_S = 0.01


@dataclass(frozen=True)
class Material:
    """A data set that is ready to be trained on.

    Attributes:
        manifest: only clips that can be read and that the recipe uses.
        recipe: with the task and front end that the data decides.
        reader: reads clips as arrays.
        target: how the labels of clips are meant.
        targets: ``(clip, label)``, hard and soft labels joined as the recipe weighs them.
        skipped: why a clip is not used, by its ``Clip.segment``.
        soft_labels: what a teacher said, where the recipe names a folder of soft labels.
    """

    manifest: Manifest
    recipe: Recipe
    reader: ClipReader
    target: ClipTask
    targets: FloatArray
    skipped: dict[Segment, Failure]
    soft_labels: SoftLabelDataset | None = None

    @property
    def failures(self) -> dict[str, Failure]:
        """Why a recording, or a part of it, is not used, by its name in the data."""
        return {key: failure for (key, *_), failure in reversed(self.skipped.items())}

    @property
    def has_labels(self) -> bool:
        """Whether the clips have labels of their own; else what a teacher said is all there is."""
        return self.soft_labels is None or self.soft_labels.has_labels

    @property
    def teacher_summary(self) -> str:
        """The teacher and how much sound it labelled, for people; empty without a teacher."""
        if self.soft_labels is None:
            labels = self.recipe.teacher.labels
            return "" if labels is None else Path(labels).name
        index = self.soft_labels.store.index
        mixtures = 0 if index.mixtures is None else index.mixtures.count
        return (
            f"{index.teacher} ({index.items - mixtures} recordings, {index.pool} of them a pool, {mixtures} mixtures)"
        )


@dataclass(frozen=True)
class PreparedRun:
    """A data set and what a run makes of it.

    Attributes:
        material: decoded, with its labels joined.
        test_fold: the fold that is held out.
    """

    material: Material
    test_fold: str | None = None

    @cached_property
    def split(self) -> Split:
        """Which clips train, select and test, as the recipe says."""
        data = self.material.recipe.data
        return make_split(
            self.material.manifest,
            test_fold=self.test_fold,
            dev=data.dev,
            dev_fraction=data.dev_fraction,
            dev_systems=data.dev_systems,
            seed=self.material.recipe.seed,
        )


def evenly_spread(count: int, most: int) -> npt.NDArray[np.int64]:
    """Return the numbers of at most ``most`` of ``count`` things, from the first to the last.

    >>> evenly_spread(9, 3).tolist()
    [0, 4, 8]
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def prepare_run(
    data: DataSource | Manifest,
    recipe: Recipe,
    progress: Progress,
    *,
    test_fold: str | None = None,
    cache_folder: Path | None = None,
) -> PreparedRun:
    """Read a data set, check it, decode it, join its labels: what every run begins with, whoever asks for it.

    Args:
        data: where it lies, or what ``read_training_data`` read: many runs of one data set read it once.
        recipe: every choice of the run.
        progress: is called with what is noticed.
        test_fold: fold to hold out.
        cache_folder: where decoded waveforms are kept; the user's if None.
    """
    manifest = read_training_data(data, recipe, progress) if isinstance(data, DataSource) else data
    return PreparedRun(prepare(manifest, recipe, progress, cache_folder=cache_folder), test_fold)


def read_training_data(data: DataSource | str | Path, recipe: Recipe, progress: Progress | None = None) -> Manifest:
    """Read a data set of any format and join soft labels of a table to it; decodes nothing.

    The soft labels of a folder are joined in ``prepare``; here they only make a data set of unlabelled recordings.
    """
    source = data if isinstance(data, DataSource) else DataSource(Path(data))
    soft = None if recipe.teacher.labels is None else Path(recipe.teacher.labels)
    folder = soft if soft is not None and soft.is_dir() else None
    if folder is not None and not open_store(folder).index.parts:
        return teacher_manifest(folder, source.path)
    manifest = read_source(source, task=recipe.task)
    if recipe.data.exclude_systems:
        manifest = without_systems(manifest, recipe.data.exclude_systems)
    if soft is not None and folder is None:
        manifest = attach_soft_labels(manifest, read_soft_labels(soft, task=manifest.task))
    check_trainable(manifest)
    if progress is not None:
        for note in manifest.notes:
            progress.notice(note)
    return manifest


def prepare(manifest: Manifest, recipe: Recipe, progress: Progress, *, cache_folder: Path | None = None) -> Material:
    """Decode everything once, leave out what cannot be used, and join the targets.

    Args:
        manifest: what to train on.
        recipe: every choice of the run.
        progress: is called.
        cache_folder: where decoded waveforms are kept; the user's if None.

    Raises:
        DataError: if more than ``MAX_FAILED`` of the files cannot be decoded, or the front ends differ.
    """
    recipe = resolve_recipe(manifest, recipe)
    manifest = _without_ignored(manifest, recipe)
    soft_labels = _read_soft_label_dataset(manifest, recipe)
    folder = default_cache_dir() if cache_folder is None else cache_folder
    reader, skipped = _prepare_reader(manifest, recipe, soft_labels, progress, folder)
    manifest = manifest.select([i for i, clip in enumerate(manifest.clips) if clip.segment not in skipped])
    check_trainable(manifest)
    target = ClipTask(recipe.task, negatives=manifest.negatives > 0, temperature=recipe.teacher.temperature)
    targets = _join_targets(manifest, recipe.teacher.soft_weight)
    soft_labels = None if soft_labels is None else replace(soft_labels, manifest=manifest)
    return Material(manifest, recipe, reader, target, targets, skipped, soft_labels)


def _read_soft_label_dataset(manifest: Manifest, recipe: Recipe) -> SoftLabelDataset | None:
    labels = recipe.teacher.labels
    if labels is None or not Path(labels).is_dir():
        return None
    if recipe.data.balance != "none":
        text = f"data.balance {recipe.data.balance} is for labelled clips alone; with a folder of soft labels use none"
        raise ConfigError("the recipe has settings that cannot be used", [text])
    return read_soft_label_dataset(Path(labels), manifest, recipe.teacher.pool)


def resolve_recipe(manifest: Manifest, recipe: Recipe) -> Recipe:
    """Return the recipe with its task settled, and with the front end of stored log-mels."""
    values = recipe.model_dump()
    values["task"] = manifest.task if recipe.task == "auto" else recipe.task
    arrays = manifest.arrays
    if arrays is not None and arrays.kind == "logmel" and arrays.frontend is not None:
        # The features are given: the model's front end must be the one that made them.
        values["frontend"] = {**values["frontend"], **arrays.frontend}
        values["augment"] = {**values["augment"], "speed": (1.0, 1.0), "noise_snr_db": None}
    recipe = make_recipe(values)
    rate = recipe.frontend.sample_rate
    hop_s, least_s = scoring_hop_samples(recipe) / rate, max(LEAST_HOP_S, frame_samples(recipe) / rate / 2)
    if hop_s < least_s:
        text = f"scoring windows would step by {hop_s:g} s; the least is {least_s:g}: raise data.hop_s or data.clip_s"
        raise ConfigError("the recipe has settings that cannot be used", [text])
    return recipe


def _without_ignored(manifest: Manifest, recipe: Recipe) -> Manifest:
    if recipe.data.negatives != "ignore" or manifest.negatives == 0:
        return manifest
    return manifest.select([i for i, clip in enumerate(manifest.clips) if not clip.negative])


def _prepare_reader(
    manifest: Manifest, recipe: Recipe, soft_labels: SoftLabelDataset | None, progress: Progress, cache_folder: Path
) -> tuple[ClipReader, dict[Segment, Failure]]:
    """Fill the cache; returns the reader and the clips that cannot be used, with the reasons."""
    rate = recipe.frontend.sample_rate
    cache = WaveformCache(cache_folder, rate)
    files = sorted({clip.path for clip in manifest.clips if not clip.is_array})
    pool = (
        []
        if soft_labels is None
        else sorted({clip.path for clip in map(soft_labels.clip_of.__getitem__, soft_labels.pool_rows) if clip})
    )
    progress.preparing(len(files) + len(pool))
    report = cache.prepare(files, progress.file_prepared)
    absent = cache.prepare(pool, progress.file_prepared).failures
    if absent:
        raise DataError(
            f"{len(absent)} of {len(pool)} recordings of the pool cannot be read",
            [f"{next(iter(absent.values())).message}; say where the pool lies: --set teacher.pool=FOLDER"],
        )
    mels, steps_per_s = (
        (recipe.frontend.n_mels, 1000 / recipe.frontend.hop_ms) if manifest.is_logmel else (None, float(rate))
    )
    mixtures = None if soft_labels is None else soft_labels.sources
    reader = ClipReader(cache, manifest.arrays, rate, steps_per_s, mels, mixtures)
    skipped = _unusable(manifest, reader, report.failures)
    _report(report, skipped, manifest, progress)
    return reader, skipped


def rebuild_cache(material: Material, group: Group) -> Material:
    """Return a material that another process sent, with the cache of this machine.

    The first process of each machine fills it with what is missing: nothing, where machines share the folder.

    Raises:
        DataError: if a file that the sender could read cannot be read here.
    """
    cache = material.reader.cache.at(default_cache_dir())
    if group.local_rank == 0:
        failures = cache.prepare(cache.missing()).failures
        if failures:
            raise DataError(
                f"{len(failures)} files can be read by the first process but not on this machine; all machines must "
                "see the data under the same path",
                [str(error) for error in list(failures.values())[:5]],
            )
    return replace(material, reader=replace(material.reader, cache=cache))


def _unusable(manifest: Manifest, reader: ClipReader, failures: Mapping[str, InputError]) -> dict[Segment, Failure]:
    """Return the clips that cannot be read: files that failed, bad arrays, segments beyond the end of their file."""
    skipped = {}
    for clip in manifest.clips:
        try:
            if clip.path in failures:
                raise failures[clip.path]
            if clip.is_array or clip.onset is not None:
                reader.read(clip)
        except InputError as error:
            skipped[clip.segment] = Failure(error.code, error.message)
    return skipped


def _report(report: CacheReport, skipped: Mapping[Segment, Failure], manifest: Manifest, progress: Progress) -> None:
    """Say what was found; raises ``DataError`` if too much of it cannot be used."""
    named: dict[str, list[str]] = {}
    for (key, *_), failure in skipped.items():
        named.setdefault(f"{failure.code}: {failure.message}", []).append(key)
    reasons = [f"{reason} ({shorten(map(printable, dict.fromkeys(keys)))})" for reason, keys in named.items()]
    if len(skipped) > MAX_FAILED * len(manifest):
        raise DataError(
            f"{len(skipped)} of {len(manifest)} recordings cannot be decoded; training needs at least "
            f"{1 - MAX_FAILED:.0%} of them",
            [*reasons[:5], *(["..."] if len(reasons) > 5 else [])],
        )
    for reason in reasons:
        progress.notice(f"not used: {reason}")
    files = len({clip.path for clip in manifest.clips})
    for code, count in sorted(Counter(flag.code for flags in report.flags.values() for flag in flags).items()):
        progress.notice(f"flag {code}: {count} of {files} recordings")
    if report.repaired:
        progress.notice(f"{report.repaired} damaged cache entries were built again")


def _join_targets(manifest: Manifest, soft_weight: float) -> FloatArray:
    """Return ``(clip, label)``: hard labels, soft labels, or where a clip has both, their weighted mean."""
    targets = manifest.targets()
    soft, _ = manifest.soft_targets()
    both = np.array([clip.kind == "both" for clip in manifest.clips])
    targets[both] = (1 - soft_weight) * targets[both] + soft_weight * soft[both]
    return targets


def training_set(
    material: Material, indices: np.ndarray[tuple[int], np.dtype[np.int64]], progress: Progress | None = None
) -> TrainingSet:
    """Return the clips that a loop trains on, balanced as the recipe says, and what a teacher adds to them."""
    chosen: list[Clip] = [material.manifest.clips[i] for i in indices]
    targets, labels = material.targets[indices], material.manifest.labels
    if material.soft_labels is not None:
        training_items = make_training_items(material.soft_labels, indices, material.recipe, targets)
        if progress is not None:
            progress.notice(training_items.summary())
        padded = np.concatenate([targets, np.zeros((1, targets.shape[1]), np.float32)])  # -1: no label of people
        return TrainingSet(
            training_items.items,
            padded[training_items.clip],
            training_items.weights,
            teacher=training_items.teacher_targets,
            labels=labels,
        )
    return with_scenes(_balanced(material, indices, chosen, targets), material)


def _balanced(
    material: Material, indices: np.ndarray[tuple[int], np.dtype[np.int64]], chosen: list[Clip], targets: FloatArray
) -> TrainingSet:
    ones, labels = np.ones(len(chosen), np.float32), material.manifest.labels
    balance = material.recipe.data.balance
    if balance == "sampler":
        return TrainingSet(chosen, targets, ones, draws=sampler_weights(targets), labels=labels)
    if balance == "groups":
        groups = material.manifest.groups()
        names = [f"{groups[i]} {material.manifest.clips[i].extra.get('system', '')}" for i in indices]
        return TrainingSet(chosen, targets, ones, draws=group_weights(targets, names), labels=labels)
    if balance == "loss":
        weights = targets @ class_weights(targets) + np.clip(1 - targets.sum(1), 0, 1)
        return TrainingSet(chosen, targets, np.asarray(weights / weights.mean(), np.float32), labels=labels)
    return TrainingSet(chosen, targets, ones, labels=labels)


def makes_scenes(material: Material, clips: Sequence[Clip]) -> bool:
    """Whether scenes are made of some clips: as the recipe says, and where no label says when already."""
    wanted = material.recipe.scenes.share > 0 and not material.reader.is_logmel and material.soft_labels is None
    return wanted and not any(clip.strong for clip in clips)


def with_scenes(data: TrainingSet, material: Material) -> TrainingSet:
    """Return a training set with scenes of its clips behind them, as many as the recipe says.

    Not where frames have a branch of their own over layers that know sounds: it is fitted after them, on scenes alone.
    """
    clips = [clip for clip in data.clips if isinstance(clip, Clip)]
    if not makes_scenes(material, clips):
        return data
    recipe = material.recipe
    if recipe.init.new_head and isinstance(recipe.model, MobileNetOptions):
        return replace(data, frames_apart=any(len(clip.label) == 1 and clip.kind == "hard" for clip in clips))
    maker = make_scene_maker(clips, material.reader.read, recipe, scene_s=recipe.data.clip_s)
    if maker is None:
        return data
    count = max(1, round(len(clips) * recipe.scenes.share / (1 - recipe.scenes.share)))
    targets = np.concatenate([data.targets, np.zeros((count, data.targets.shape[1]), np.float32)])
    weights = np.concatenate([data.weights, np.ones(count, np.float32)])
    draws = None if data.draws is None else np.concatenate([data.draws, np.full(count, data.draws.mean())])
    items = [*data.clips, *map(SceneItem, range(count))]
    return replace(data, clips=items, targets=targets, weights=weights, draws=draws, scenes=maker)
