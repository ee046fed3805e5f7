# SPDX-License-Identifier: Apache-2.0
"""How the frame scores of an enrolled model become events: fitted on scenes of held-out clips, and on the bank.

Each clip's scene is scored by a layer that was fitted without the clip's group, so that filters, thresholds and
hysteresis fit sounds that are new. The bank's runs of frames stand beside them as recordings without events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from auricle.enrolment.bank import Bank
from auricle.enrolment.clips import EnrolledClip
from auricle.enrolment.heads import FRAME_PENALTY, Items, frame_items
from auricle.enrolment.linear import COARSE, Array, Linear, fit_linear
from auricle.evaluation.tuning.events import Thresholds, fit_events
from auricle.events.segments import find_segments, segment_rule
from auricle.events.smoothing import median_size, median_smooth
from auricle.results import Event, Scores
from auricle.runtime.spec import PostprocessPart
from auricle.timeline import FrameGrid

FRAME_FOLDS = 5
#: Longest gap that is filled, in seconds: one cry has breaths in it.
GAP_S = 0.4
#: Scenes that events are fitted on, at most.
MOST_SCENES = 80


@dataclass(frozen=True)
class FrameHead:
    """The layer of frame scores, and how its scores become events.

    Attributes:
        layer: on scaled vectors.
        postprocess: filters, hysteresis and gaps.
        thresholds: by label.
        f1: mean F1 over labels on the scenes it was fitted on.
        fragments: events found for each event that was found at all, by label.
        by_fold: the layer of each fit without a fold of ``split_folds``, on scaled vectors.
    """

    layer: Linear
    postprocess: PostprocessPart
    thresholds: dict[str, float]
    f1: float
    fragments: dict[str, float | None]
    by_fold: Mapping[int, Linear]


def fit_frame_head(
    clips: Sequence[EnrolledClip], labels: Sequence[str], task: str, bank: Bank, grid: FrameGrid, rate: int
) -> FrameHead:
    """Fit the layer, and on scenes that it was not fitted on, the rest."""
    items = frame_items(clips, labels, bank, grid.step_s(rate), FRAME_FOLDS)
    layer = fit_linear(items.x, items.targets, items.weights, FRAME_PENALTY, task)
    by_fold = _fits_without(items, layer, task)
    scores, truth, durations = _held_out_scenes(items, by_fold, clips, labels, task, bank, grid, rate)
    fitted = fit_events(scores, truth, durations, max_gap_s=GAP_S)
    post = PostprocessPart(
        median_s=0.24, medians_s=fitted.medians_s, off_ratio=0.5, off_ratios=fitted.off_ratios, max_gap_s=GAP_S
    )
    found = _fragments(scores, truth, labels, post, fitted, grid.step_s(rate))
    return FrameHead(layer, post, fitted.thresholds, fitted.f1, found, by_fold)


def _fits_without(items: Items, layer: Linear, task: str) -> dict[int, Linear]:
    """Return a fit without each fold of the clips."""
    found = {}
    for fold in map(int, np.unique(items.fold[items.owner >= 0])):
        rest = items.without(fold)
        found[fold] = fit_linear(rest.x, rest.targets, rest.weights, FRAME_PENALTY, task, layer, COARSE)
    return found


def _held_out_scenes(
    items: Items,
    by_fold: Mapping[int, Linear],
    clips: Sequence[EnrolledClip],
    labels: Sequence[str],
    task: str,
    bank: Bank,
    grid: FrameGrid,
    rate: int,
) -> tuple[dict[str, Scores], dict[str, list[Event]], dict[str, float]]:
    """Return scores, truth and length of each scene and each run of the bank, by fits without them."""
    step_s = grid.step_s(rate)
    scores: dict[str, Scores] = {}
    truth: dict[str, list[Event]] = {}
    durations: dict[str, float] = {}
    chosen = np.random.default_rng(0).permutation(len(clips))[:MOST_SCENES].tolist()
    fold_of = {int(owner): int(fold) for owner, fold in zip(items.owner, items.fold, strict=True) if owner >= 0}

    def keep(name: str, vectors: Array, fit: Linear, events: list[Event]) -> None:
        values = fit.scores(vectors, task).astype(np.float32)
        scores[name] = Scores(grid.times(len(values), rate), values, tuple(labels), step_s)
        truth[name], durations[name] = events, len(values) * step_s

    for fold, fit in by_fold.items():
        for number in (i for i in chosen if fold_of.get(i) == fold):
            clip = clips[number]
            events = [Event(label, float(a), float(b), 1.0) for a, b in clip.truth for label in clip.label]
            keep(f"clip {number}", bank.frame_scale.apply(clip.scene), fit, events)
        for number in range(fold, len(bank.runs), FRAME_FOLDS):
            keep(f"bank {number}", _lengthened(bank.runs[number]), fit, [])
    return scores, truth, durations


def _lengthened(run: Array) -> Array:
    """Return a run of frames played forth and back twice: filters of a second need a second."""
    return np.concatenate([run, run[::-1], run, run[::-1]])


def _fragments(
    scores: Mapping[str, Scores],
    truth: Mapping[str, Sequence[Event]],
    labels: Sequence[str],
    post: PostprocessPart,
    fitted: Thresholds,
    step_s: float,
) -> dict[str, float | None]:
    """Return how many events are found for each true one that is found, by label; None where none is."""
    counts: dict[str, list[int]] = {label: [] for label in labels}
    on = [fitted.thresholds[label] for label in labels]
    rule = segment_rule(
        on,
        off_ratio=[post.off_ratio_of(label) for label in labels],
        min_event_s=post.min_event_s,
        max_gap_s=post.max_gap_s,
        step_s=step_s,
    )
    for name, part in scores.items():
        columns = [
            median_smooth(part.values[:, [i]], median_size(post.median_of(label), step_s))
            for i, label in enumerate(labels)
        ]
        segments = find_segments(np.concatenate(columns, axis=1), rule)
        for event in truth[name]:
            column = list(labels).index(event.label)
            hits = [
                s
                for s in segments
                if s.label == column and s.first * step_s < event.offset and (s.last + 1) * step_s > event.onset
            ]
            counts[event.label].append(len(hits))
    return {
        label: float(np.sum(n) / np.count_nonzero(n)) if np.count_nonzero(n) else None for label, n in counts.items()
    }
