# SPDX-License-Identifier: Apache-2.0
"""From a folder of soft labels to what a run learns: which recordings and mixtures, and the teacher's labels of each.

Nothing of a clip outside the training part is used: a mixture takes part only if all its labelled sources are
training clips, and the head for the user's classes is fitted on the training clips of this very run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from auricle.batches.augment.augmentation import Placement
from auricle.batches.crops import crop_length
from auricle.batches.targets import ClipBatch, ClipTargets, Crop, TargetsByName, TargetSource, blend, known_of_both
from auricle.data.manifest import Clip, Manifest
from auricle.distill.loss import TEACHER, DistillationLoss, TeacherBatch
from auricle.distill.stage_head import fit_stage_head
from auricle.distill.store import Row, SoftStore, item_key, open_store
from auricle.errors import ConfigError, DataError
from auricle.recipe.schema import Recipe, TeacherSection
from auricle.results import FloatArray
from auricle.synth.mixtures import Mixture, MixtureSources
from auricle.teachers.heads import fit_head
from auricle.teachers.label_map import same_names

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
#: So many windows say enough about the spread of embeddings.
_SAMPLE = 4_096
#: Windows must fill a crop exactly, up to this share of a window.
_FIT_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class TeacherTargets(TargetSource[TeacherBatch]):
    """A teacher's labels of the items of a run: crops begin where its windows begin, and are rolled by whole windows.

    Attributes:
        scores: of its own classes, ``(window, class)`` float16, memory-mapped; no columns if they are the run's.
        embeddings: ``(window, dimension)`` float16; no columns if there are none.
        class_scores: of the run's classes, ``(window, label)``; None where the teacher does not know them.
        first: the first window of each item, ``(item,)``; -1 where the teacher has not labelled it.
        count: how many windows each item has.
        labelled: which items have labels of people too, ``(item,)``.
        per_crop: windows in a crop.
        hop: entries of the input between the beginnings of two windows.
        task: ``single`` or ``multi``: how the windows of a crop make its targets (mean or highest).
        settings: weight beside the labels of people, and weights of the parts of the loss.
    """

    scores: FloatArray
    embeddings: FloatArray
    class_scores: FloatArray | None
    first: IntArray
    count: IntArray
    labelled: BoolArray
    per_crop: int
    hop: float
    task: str
    settings: TeacherSection
    name = TEACHER

    def place(self, clip: int, place: Placement) -> tuple[int, Placement]:
        """Move the crop to the beginning of a window, and its roll to a whole number of windows."""
        if self.first[clip] < 0:
            return 0, place
        windows = max(1, int(self.count[clip]) - self.per_crop + 1)
        shift = place.shift if self.per_crop == 1 else int(place.shift * self.per_crop) / self.per_crop
        return round(int(place.start * windows) * self.hop), place._replace(start=0.0, shift=shift)

    def _windows(self, crop: Crop) -> IntArray:
        """Return the windows of a placed crop in the order in which they sound; the last stands for missing ones."""
        inside = round(crop.first / self.hop) + np.arange(self.per_crop)
        rows = self.first[crop.clip] + np.minimum(inside, self.count[crop.clip] - 1)
        return np.roll(rows, round(crop.place.shift * self.per_crop))

    def collate(self, crops: Sequence[Crop], found: TargetsByName) -> dict[str, Any]:
        """Return the teacher's labels of the crops; the labels of clips become a weighted mean with the teacher's."""
        clip = found[ClipTargets.name].labels.numpy()
        size, labels = clip.shape
        several = self.per_crop if self.class_scores is not None and self.per_crop > 1 else 0
        scores = np.zeros((size, self.scores.shape[1]), np.float32)
        embedding = np.zeros((size, self.embeddings.shape[1]), np.float32)
        windows = np.zeros((size, several, labels), np.float32)
        known = np.zeros(size, np.float32)
        for i, crop in enumerate(crops):
            if self.first[crop.clip] < 0:
                continue
            rows = self._windows(crop)
            scores[i], known[i] = self.scores[rows].max(0), 1
            embedding[i] = self.embeddings[rows].astype(np.float32).mean(0)
            if self.class_scores is not None:
                said = self.class_scores[rows]
                soft = said.mean(0) if self.task == "single" else said.max(0)
                weight = self.settings.soft_weight if self.labelled[crop.clip] else 1.0
                clip[i] = (1 - weight) * clip[i] + weight * soft
                windows[i] = said[:several]
        batch = TeacherBatch(*map(torch.from_numpy, (scores, embedding, windows, known)))
        return {ClipTargets.name: ClipBatch(torch.from_numpy(clip)), self.name: batch}

    def mix(self, targets: TeacherBatch, partner: Tensor, weight: Tensor) -> TeacherBatch:
        """Mix the teacher's labels as the sound is mixed; of a mix is known what is known of both."""
        scores, embedding, windows = (blend(values, partner, weight) for values in targets[:-1])
        return TeacherBatch(scores, embedding, windows, known_of_both(targets.known, partner, weight))

    def loss(self, embedding_size: int) -> DistillationLoss:
        """Return layers and losses for the teacher's labels."""
        sample = np.linspace(0, len(self.scores) - 1, min(_SAMPLE, len(self.scores))).astype(np.int64)
        return DistillationLoss(embedding_size, self.scores[sample], self.embeddings[sample], self.settings)


@dataclass(frozen=True, eq=False)
class SoftLabelDataset:
    """A folder of soft labels, joined to a data set: everything that does not depend on a split.

    Attributes:
        store: the soft labels.
        manifest: the data set; its clips and the store's rows are joined by key.
        clip_of: the clip of each row of the store, as it lies here; None where the data has none of that name.
    """

    store: SoftStore
    manifest: Manifest
    clip_of: tuple[Clip | None, ...]

    @property
    def has_labels(self) -> bool:
        """Whether people labelled the data; if not, all of it is the pool, and its classes are the teacher's."""
        return bool(self.store.index.parts)

    @property
    def pool_rows(self) -> range:
        """The rows of the pool that go beside the data."""
        return range(len(self.store.index.parts), len(self.store.rows)) if self.has_labels else range(0)

    @cached_property
    def usable(self) -> list[int]:
        """The rows that mixtures were made of, in the order that mixtures count them."""
        return [i for i, row in enumerate(self.store.rows) if row.windows]

    @cached_property
    def sources(self) -> MixtureSources | None:
        """What the mixtures are made of; None if there are no mixtures."""
        rules, parts = self.store.index.mixtures, self.store.index.parts
        if rules is None:
            return None
        usable = self.usable
        clips = tuple(self.clip_of[i] for i in usable)
        return MixtureSources(rules, clips, tuple(parts[i] for i in usable if i < len(parts)))

    def mixtures(self, rows: frozenset[int]) -> list[Mixture]:
        """Return the mixtures all of whose sources are among ``rows`` of the store."""
        sources, usable = self.sources, self.usable
        if sources is None:
            return []
        drawn = map(sources.draw, range(sources.rules.count))
        return [m for m in drawn if all(usable[s] in rows for s in m.sources)]


def read_soft_label_dataset(folder: Path, manifest: Manifest, pool: str | None) -> SoftLabelDataset:
    """Join a folder of soft labels to a data set.

    Args:
        folder: that ``auricle teach`` wrote.
        manifest: the data.
        pool: where the pool lies now; None takes the place where it lay when the teacher labelled it.

    Raises:
        DataError: the teacher has labelled no clip of the data.
    """
    store = open_store(folder)
    own = {item_key(clip): clip for clip in manifest.clips}
    labelled = len(store.index.parts)
    if labelled == 0:
        return SoftLabelDataset(store, manifest, tuple(own.get(row.key) for row in store.rows))
    pooled = _pool_clips(store, pool, labelled)
    joined = [own.get(row.key) for row in store.rows[:labelled]]
    if not any(clip is not None for clip in joined):
        text = f"{store.index.teacher} has labelled no file of the data; labelled: {store.rows[0].key}, ..."
        raise DataError(f"{folder} does not fit the data", [f"{text}; data: {manifest.clips[0].key}, ..."])
    return SoftLabelDataset(store, manifest, (*joined, *pooled))


def _pool_clips(store: SoftStore, pool: str | None, labelled: int) -> list[Clip]:
    if store.index.pool_root is None and pool is None:
        return []
    root = Path(str(store.index.pool_root) if pool is None else pool)
    folder = root if root.is_dir() else root.parent
    return [Clip(row.key, str(folder / row.key), kind="soft") for row in store.rows[labelled:]]


def teacher_manifest(folder: Path, data: Path) -> Manifest:
    """Return unlabelled recordings as a data set whose classes are the teacher's."""
    store = open_store(folder)
    clips = []
    labels, _ = store.class_scores(store.scores[:1])
    for row, clip in zip(store.rows, _pool_clips(store, str(data), 0), strict=True):
        if row.windows:
            targets = store.class_scores(_of(store.scores, row).max(0))[1]
            present = tuple(sorted(labels[i] for i in np.flatnonzero(targets >= 0.5)))
            size = Path(clip.path).stat().st_size if Path(clip.path).is_file() else 0
            clips.append(replace(clip, targets=targets, label=present, negative=False, size_bytes=size))
    return Manifest(data, "teacher", "multi", labels, tuple(clips), notes=(f"labels of {store.index.teacher}",))


def _of(values: FloatArray, row: Row) -> FloatArray:
    return np.asarray(values[row.first_window : row.first_window + row.windows], np.float32)


@dataclass(frozen=True, eq=False)
class TrainingItems:
    """The items of a run, and the teacher's labels of them.

    Attributes:
        items: training clips (repeated as the recipe says), clips of the pool, mixtures.
        clip: for each item the place of its clip among the training clips; -1 for what has no label of people.
        weights: of each item's class loss.
        teacher_targets: the teacher's labels.
    """

    items: tuple[Clip | Mixture, ...]
    clip: IntArray
    weights: FloatArray
    teacher_targets: TeacherTargets

    def summary(self) -> str:
        """Say in one line what an epoch holds."""
        mixtures = sum(isinstance(item, Mixture) for item in self.items)
        people = int((self.clip >= 0).sum())
        unlabelled = len(self.items) - mixtures - people
        return f"an epoch: {people} labelled clips, {unlabelled} unlabelled ones, {mixtures} mixtures of the teacher's"


def make_training_items(
    soft_labels: SoftLabelDataset, indices: Sequence[int] | IntArray, recipe: Recipe, targets: FloatArray
) -> TrainingItems:
    """Choose the items for a training part.

    Args:
        soft_labels: soft labels joined to the data.
        indices: of the training clips in the manifest.
        recipe: its section ``teacher``, and the crop length.
        targets: hard labels of the training clips, ``(clip, label)``.

    Raises:
        ConfigError: the windows of the soft labels do not fill a crop.
    """
    store = soft_labels.store
    chosen = [soft_labels.manifest.clips[int(i)] for i in indices]
    rows = [store.row_of.get(item_key(clip), -1) for clip in chosen]
    pooled = [r for r in soft_labels.pool_rows if store.rows[r].windows]
    mixtures = soft_labels.mixtures(frozenset(r for r in rows if r >= 0) | frozenset(pooled))
    repeats = _repeats(len(chosen), len(pooled) + len(mixtures), recipe.teacher.clip_share)
    spans = [*(_span(store, r) for r in rows * repeats), *(_span(store, r) for r in pooled)]
    spans += [
        (store.first_mixture_window + m.number * store.windows_a_mixture, store.windows_a_mixture) for m in mixtures
    ]
    joined = (soft_labels.clip_of[r] for r in pooled)
    items: tuple[Clip | Mixture, ...] = (*chosen * repeats, *(clip for clip in joined if clip is not None), *mixtures)
    clip = np.array([*list(range(len(chosen))) * repeats, *[-1] * (len(pooled) + len(mixtures))], np.int64)
    class_scores = _class_scores(soft_labels, indices, rows, targets, recipe)
    known = set(soft_labels.manifest.labels) == set(store.index.labels)
    per_crop, is_logmel = _windows_a_crop(store, recipe), soft_labels.manifest.is_logmel
    teacher_targets = TeacherTargets(
        store.scores[:, :0] if known else store.scores,
        store.embeddings,
        class_scores,
        np.array([first for first, _ in spans], np.int64),
        np.array([count for _, count in spans], np.int64),
        (clip >= 0) & soft_labels.has_labels,
        per_crop,
        store.index.hop_s / store.index.window_s * crop_length(recipe, is_logmel=is_logmel) / per_crop,
        recipe.task,
        recipe.teacher,
    )
    weights = np.array(
        [_weight(soft_labels, item, recipe, has_scores=class_scores is not None) for item in items], np.float32
    )
    return TrainingItems(items, clip, weights, teacher_targets)


def _span(store: SoftStore, row: int) -> tuple[int, int]:
    """Return the first window of a row and how many it has; (-1, 0) if the teacher has not labelled it."""
    if row < 0 or store.rows[row].windows == 0:
        return -1, 0
    return store.rows[row].first_window, store.rows[row].windows


def _repeats(clips: int, others: int, share: float) -> int:
    """Return how often each training clip stands in an epoch, so that clips are about ``share`` of it."""
    return 1 if others == 0 or clips == 0 else max(1, round(share * others / (1 - share) / clips))


def _windows_a_crop(store: SoftStore, recipe: Recipe) -> int:
    """Return how many windows of the teacher fill a crop of the student."""
    ratio = recipe.data.clip_s / store.index.window_s
    several = round(ratio)
    exact = several >= 1 and abs(ratio - several) < _FIT_TOLERANCE
    if exact and (several == 1 or store.index.hop_s == store.index.window_s):
        return several
    raise ConfigError(
        "the soft labels do not fit the recipe",
        [
            f"windows of {store.index.window_s:g} s every {store.index.hop_s:g} s do not fill crops of "
            f"{recipe.data.clip_s:g} s; set data.clip_s to a multiple, or teach with --window {recipe.data.clip_s:g}"
        ],
    )


def _class_scores(
    soft_labels: SoftLabelDataset,
    indices: Sequence[int] | IntArray,
    rows: Sequence[int],
    targets: FloatArray,
    recipe: Recipe,
) -> FloatArray | None:
    """Return the teacher's scores of the run's classes for every window, by name, by map, or by a fitted head."""
    store, labels = soft_labels.store, soft_labels.manifest.labels
    names, scores = store.class_scores(store.scores)
    if set(labels) <= set(names):
        found = scores[:, [names.index(label) for label in labels]]
        return _as_task(found, recipe.task)
    renamed = same_names(labels, names)
    if renamed is not None:
        return _as_task(scores[:, [names.index(renamed[label][0]) for label in labels]], recipe.task)
    known = [i for i, r in enumerate(rows) if r >= 0 and store.rows[r].windows]
    if store.index.embedding_size == 0 or not known or recipe.teacher.head == "none":
        return None
    vectors = np.stack([_of(store.embeddings, store.rows[rows[i]]).mean(0) for i in known])
    if store.index.stages:
        head, _ = fit_stage_head(
            vectors, targets[known], soft_labels.manifest.select([int(indices[i]) for i in known]), recipe.task
        )
    else:
        head = fit_head(vectors, targets[known], recipe.task)
    parts = np.array_split(np.arange(len(store.embeddings)), max(1, len(store.embeddings) // 4096))
    return np.concatenate([head(store.embeddings[part]) for part in parts])


def _as_task(scores: FloatArray, task: str) -> FloatArray:
    """Return scores as the task needs them: one-of-n scores sum to 1."""
    if task != "single":
        return scores
    return np.asarray(scores / np.maximum(scores.sum(-1, keepdims=True), 1e-6), np.float32)


def _weight(soft_labels: SoftLabelDataset, item: Clip | Mixture, recipe: Recipe, *, has_scores: bool) -> float:
    """Return the weight of an item's class loss: less for sound of the pool alone, none where nothing is known."""
    if not soft_labels.has_labels:
        return 1.0
    if isinstance(item, Mixture):
        labelled = 0 if soft_labels.sources is None else len(soft_labels.sources.parts)
        of_pool = item.parts[0].source >= labelled
    else:
        of_pool = item.kind == "soft" and item.targets is None
        if not of_pool:
            return 1.0
    if not has_scores:
        return 0.0
    return recipe.teacher.pool_weight if of_pool else 1.0
