# SPDX-License-Identifier: Apache-2.0
"""The last layers of an enrolled model, fitted on vectors of its clips and of what else there is.

Each class weighs the same however many clips it has, and "none of them" as much as all classes together. How strongly
weights are held down is chosen by held-out clips; so are the slope and offset of the logits, which make scores of new
recordings mean what they say: a fit of few clips is surer of its own than of others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from auricle.enrolment.bank import Bank, Scale, far_from, similarity
from auricle.enrolment.clips import EnrolledClip
from auricle.enrolment.linear import COARSE, Array, Linear, fit_linear, link, log_loss, minimise

IntArray = npt.NDArray[np.int64]

PENALTIES = (0.02, 0.1, 0.5)
FRAME_PENALTY = 0.05
#: Held-out scores come from as many fits at most; with fewer groups each is left out by itself.
MOST_FOLDS = 10
#: A sound of the bank that is this similar to a clip may be what the clip is; nearer kin of the class set it lower.
SAME_SOUND = 0.85
#: Frames that scenes and clips give together, about; each clip gives at least eight of a kind.
MOST_FRAMES = 9_000
#: Frames this near an edge of a sound are neither inside nor outside.
GUARD_FRAMES = 1
_CHOOSING_FOLDS = 5


@dataclass(frozen=True)
class Items:
    """Vectors to fit a layer on.

    Attributes:
        x: scaled, ``(item, feature)``.
        targets: 0 or 1, ``(item, label)``.
        weights: ``(item,)``.
        fold: which fit leaves it out, ``(item,)``.
        owner: number of its clip, -1 for sounds of the bank, ``(item,)``.
    """

    x: Array
    targets: Array
    weights: Array
    fold: IntArray
    owner: IntArray

    def without(self, fold: int) -> Items:
        """Return those of all other folds."""
        kept = self.fold != fold
        return Items(self.x[kept], self.targets[kept], self.weights[kept], self.fold[kept], self.owner[kept])


@dataclass(frozen=True)
class ClipHead:
    """The layer of clip scores.

    Attributes:
        layer: on scaled vectors.
        held_out: logits of each item by a fit without its fold.
        penalty: that was chosen.
        by_fold: the layer of each fit without a fold, on scaled vectors, calibrated as ``layer`` is.
    """

    layer: Linear
    held_out: Array
    penalty: float
    by_fold: Mapping[int, Linear]


def split_folds(clips: Sequence[EnrolledClip], most: int) -> IntArray:
    """Return a fold for each clip: a group is never torn apart, and classes are spread evenly."""
    order = sorted(dict.fromkeys((clip.label, clip.group) for clip in clips))
    groups = {group: i for i, group in enumerate(dict.fromkeys(group for _, group in order))}
    folds = max(2, min(most, len(groups)))
    return np.array([groups[clip.group] % folds for clip in clips], np.int64)


def targets_of(clips: Sequence[EnrolledClip], labels: Sequence[str]) -> Array:
    """Return 1 where a clip has a class, ``(clip, label)``."""
    return np.array([[float(label in clip.label) for label in labels] for clip in clips])


def useful_bank(bank: Bank, clips: Sequence[EnrolledClip]) -> Array:
    """Return the bank's sounds without those that may be what the clips are."""
    positives = [clip for clip in clips if clip.label]
    views = bank.clip_scale.apply(np.stack([clip.views[0] for clip in positives]))
    return bank.clips[far_from(bank.clips, views, _kinship(views, positives))]


def _kinship(views: Array, clips: Sequence[EnrolledClip]) -> float:
    """Return from which similarity on a sound is as near to a clip as clips of one class are to each other."""
    alike = similarity(views, views)
    nearest = []
    for i, clip in enumerate(clips):
        kin = [j for j, other in enumerate(clips) if other.group != clip.group and other.label == clip.label]
        if kin:
            nearest.append(float(alike[i, kin].max()))
    return min(SAME_SOUND, float(np.median(nearest))) if nearest else SAME_SOUND


def clip_items(clips: Sequence[EnrolledClip], labels: Sequence[str], bank: Bank, most_folds: int) -> Items:
    """Return the vectors of clips, two views of each, and those of the bank."""
    folds, truth = split_folds(clips, most_folds), targets_of(clips, labels)
    sounds = useful_bank(bank, clips)
    views = bank.clip_scale.apply(np.concatenate([clip.views for clip in clips]))
    per_clip = np.array([len(clip.views) for clip in clips])
    owner = np.repeat(np.arange(len(clips)), per_clip)
    own_weights = _balanced(truth, np.ones(len(clips)), len(labels))[owner] / per_clip[owner]
    bank_weights = np.full(len(sounds), len(labels) / max(len(sounds), 1))
    return Items(
        np.concatenate([views, sounds]),
        np.concatenate([truth[owner], np.zeros((len(sounds), len(labels)))]),
        np.concatenate([own_weights, bank_weights]),
        np.concatenate([folds[owner], np.arange(len(sounds)) % (folds.max() + 1)]),
        np.concatenate([owner, np.full(len(sounds), -1)]),
    )


def _balanced(truth: Array, weights: Array, negatives: float) -> Array:
    """Return weights by which each class sums to 1, and what has no class to ``negatives``, or less if it is few.

    One clip of none of the classes never weighs more than one of a class does: a single sound that was refused would
    weigh as much as all that were confirmed.
    """
    counts = np.maximum(truth.T @ weights, 1e-9)
    shares = (truth / counts).sum(axis=1) / np.maximum(truth.sum(axis=1), 1)
    none = truth.sum(axis=1) == 0
    few = min(1.0, float(weights[none].sum()) / float(counts.mean()))
    shares[none] = few * negatives / max(float(weights[none].sum()), 1e-9)
    return np.asarray(weights * shares)


def fit_clip_head(items: Items, task: str) -> ClipHead:
    """Choose the penalty, fit, and calibrate on held-out logits."""
    coarse = replace(items, fold=items.fold % _CHOOSING_FOLDS)
    start: Linear | None = None
    losses = []
    for penalty in PENALTIES:
        start = fit_linear(items.x, items.targets, items.weights, penalty, task, start, COARSE)
        losses.append(float(items.weights @ log_loss(cross_fit(coarse, penalty, task, start)[0], items.targets, task)))
    penalty = PENALTIES[int(np.argmin(losses))]
    layer = fit_linear(items.x, items.targets, items.weights, penalty, task, start)
    held_out, by_fold = cross_fit(items, penalty, task, layer)
    judged = _judged(items)
    slope, offset = 1.0, 0.0
    if items.targets[judged].any():
        slope, offset = fit_scale(held_out[judged], items.targets[judged], items.weights[judged], task)

    def calibrated(fit: Linear) -> Linear:
        return Linear(slope * fit.weight, slope * fit.bias + offset)

    layers = {fold: calibrated(fit) for fold, fit in by_fold.items()}
    return ClipHead(calibrated(layer), slope * held_out + offset, penalty, layers)


def _judged(items: Items) -> npt.NDArray[np.bool_]:
    """Return whose held-out logits say anything: a class in one fold only is unknown to the fit that leaves it out."""
    lone = [len(np.unique(items.fold[column == 1])) < 2 for column in items.targets.T]
    return np.asarray(~(items.targets[:, np.array(lone)] == 1).any(axis=1))


def cross_fit(items: Items, penalty: float, task: str, start: Linear) -> tuple[Array, dict[int, Linear]]:
    """Return logits of each item by a fit without its fold, ``(item, label)``, and these fits."""
    logits, fits = np.zeros_like(items.targets), {}
    for fold in map(int, np.unique(items.fold)):
        rest, held = items.without(fold), items.fold == fold
        fits[fold] = fit_linear(rest.x, rest.targets, rest.weights, penalty, task, start, COARSE)
        logits[held] = fits[fold].logits(items.x[held])
    return logits, fits


def fit_scale(logits: Array, targets: Array, weights: Array, task: str) -> tuple[float, float]:
    """Return slope (above 0) and offset of logits with the least weighted log loss."""
    share = weights / weights.sum()

    def value(at: Array) -> tuple[float, Array]:
        slope, offset = float(np.exp(at[0])), float(at[1])
        moved = slope * logits + offset
        error = (link(moved, task) - targets) * share[:, None]
        gradient = np.array([float((error * logits).sum()) * slope, float(error.sum())])
        # A weak pull to 1 keeps the slope finite where held-out clips are told apart without a mistake.
        pull = 0.01
        gradient[0] += pull * at[0]
        return float(share @ log_loss(moved, targets, task)) + pull / 2 * float(at[0]) ** 2, gradient

    log_slope, offset = minimise(value, np.zeros(2)).tolist()
    return float(np.exp(log_slope)), float(offset)


def frame_items(clips: Sequence[EnrolledClip], labels: Sequence[str], bank: Bank, step_s: float, folds: int) -> Items:
    """Return vectors of frames: loud ones of clips, inside and outside of sounds in their scenes, and of the bank."""
    fold_of, truth = split_folds(clips, folds), targets_of(clips, labels)
    x, targets, owner, kind = [], [], [], []

    def add(vectors: Array, target: Array, number: int, group: int) -> None:
        x.append(vectors)
        targets.append(np.broadcast_to(target, (len(vectors), len(labels))))
        owner.append(np.full(len(vectors), number))
        kind.append(np.full(len(vectors), group))

    nothing, most = np.zeros(len(labels)), max(8, MOST_FRAMES // (3 * len(clips)))
    for number, clip in enumerate(clips):
        scene, (inside, outside) = bank.frame_scale.apply(clip.scene), scene_masks(clip, step_s)
        add(_thinned(bank.frame_scale.apply(clip.frames), most), truth[number], number, 0)
        add(_thinned(scene[inside], most), truth[number], number, 0)
        add(_thinned(scene[outside], most), nothing, number, 1)
    runs = bank.runs.reshape(-1, bank.runs.shape[2])
    add(runs, nothing, -1, 2)
    all_targets, kinds, owners = np.concatenate(targets), np.concatenate(kind), np.concatenate(owner)
    weights = np.zeros(len(kinds))
    for group, share in ((0, None), (1, 0.5), (2, 0.5)):
        mask = kinds == group
        if share is None:
            weights[mask] = _balanced(all_targets[mask], np.ones(int(mask.sum())), 0.5 * len(labels))
        else:
            weights[mask] = share * len(labels) / max(int(mask.sum()), 1)
    run = np.arange(len(runs)) // bank.runs.shape[1]
    fold = np.concatenate([fold_of[owners[owners >= 0]], run % (fold_of.max() + 1)])
    return Items(np.concatenate(x), all_targets, weights, fold, owners)


def _thinned(vectors: Array, most: int) -> Array:
    """Return every second or third of the vectors and so on, so that at most so many are left."""
    return vectors[:: max(1, -(-len(vectors) // most))]


def scene_masks(clip: EnrolledClip, step_s: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which frames of a clip's scene lie well inside its sounds, and which well outside."""
    centre, guard = (np.arange(len(clip.scene)) + 0.5) * step_s, GUARD_FRAMES * step_s
    inside = np.zeros(len(centre), np.bool_)
    outside = np.ones(len(centre), np.bool_)
    for onset, offset in clip.truth:
        inside |= (centre >= onset) & (centre <= offset)
        outside &= (centre < onset - guard) | (centre > offset + guard)
    return inside, outside & ~inside


def unscaled(layer: Linear, scale: Scale) -> Linear:
    """Return the layer that takes vectors as the network gives them."""
    weight = layer.weight / scale.deviation
    return Linear(weight, layer.bias - weight @ scale.mean)
