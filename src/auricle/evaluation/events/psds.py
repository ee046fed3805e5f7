# SPDX-License-Identifier: Apache-2.0
"""The polyphonic sound detection score: how many events are found at how many false alarms, over all thresholds.

Bilen et al., "A Framework for the Robust Evaluation of Sound Event Detection", ICASSP 2020, with every threshold that
makes a difference, as in Ebbers, Serizel and Haeb-Umbach, "Threshold Independent Evaluation of Sound Event Detection
Scores", ICASSP 2022. ``PSDS1`` and ``PSDS2`` are the two settings of the DCASE challenges.

    scores = {"a.wav": detector.frames("a.wav"), ...}            # results.Scores, smoothed or not
    truth = {"a.wav": [Event("dog", 1.0, 2.5, 1.0)], ...}        # recordings without events may be left out
    psds(scores, truth, {"a.wav": 10.0, ...}, PSDS1).value

Instead of frame scores, detections can be events with scores: each is there up to the threshold of its score.
Labels without a true event are left out of all means; a figure that the data cannot give is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from auricle.evaluation.events.intersections import Criteria
from auricle.evaluation.events.threshold_counts import LabelCounts, threshold_counts
from auricle.evaluation.intervals import draw_weights, percentile_interval
from auricle.results import Event, Interval, Scores

Array = npt.NDArray[np.float64]
Detections = Mapping[str, Scores | Sequence[Event]]

REPEATS = 200
_HOUR_S = 3600.0


@dataclass(frozen=True)
class PsdsRule:
    """What a PSDS asks for.

    Attributes:
        criteria: see ``intersections``.
        alpha_ct: weight of the rate of cross-triggers beside that of false alarms.
        alpha_st: weight of the standard deviation over labels, which is taken from their mean.
        max_efpr: effective false alarms an hour up to which the curve counts.
    """

    criteria: Criteria
    alpha_ct: float = 0.0
    alpha_st: float = 0.0
    max_efpr: float = 100.0

    def __post_init__(self) -> None:
        if self.alpha_ct < 0 or self.alpha_st < 0 or not self.max_efpr > 0:
            raise ValueError(
                f"alpha_ct and alpha_st must not be negative and max_efpr must be above 0; got {self.alpha_ct:g}, "
                f"{self.alpha_st:g} and {self.max_efpr:g}"
            )
        if (self.alpha_ct > 0) != (self.criteria.cttc is not None):
            raise ValueError("alpha_ct above 0 and criteria.cttc go together: one needs the other")


#: Reacts fast and precisely.
PSDS1 = PsdsRule(Criteria(0.7, 0.7), alpha_st=1.0)
#: Does not mistake one label for another.
PSDS2 = PsdsRule(Criteria(0.1, 0.1, 0.3), alpha_ct=0.5, alpha_st=1.0)


@dataclass(frozen=True)
class Psds:
    """A PSDS, that of each label (without ``alpha_st``), and an interval over recordings if it was asked for."""

    value: float | None
    per_class: Mapping[str, float | None]
    interval: Interval | None = None


def psds(
    detections: Detections,
    truth: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    rule: PsdsRule = PSDS1,
    *,
    labels: Sequence[str] | None = None,
    groups: Mapping[str, object] | None = None,
    repeats: int = 0,
    seed: int = 0,
) -> Psds:
    """Return the PSDS of frame scores, or of events with scores.

    Args:
        detections: by recording, ``results.Scores`` (times are centres of frames) or events with scores.
        truth: the true events by recording; one without any may be left out.
        durations: of each recording in seconds. It says which recordings there are.
        rule: ``PSDS1``, ``PSDS2`` or another.
        labels: which are counted; None takes those of the scores (needed for events).
        groups: what must be drawn together by the bootstrap, by recording; None takes each recording alone.
        repeats: draws of the bootstrap; 0 gives no interval. ``REPEATS`` is enough for a report.
        seed: of the draws.

    Raises:
        ValueError: a recording, a label, a time or a score that does not fit.
    """
    counts = threshold_counts(detections, truth, durations, rule.criteria, labels)
    names = list(durations)
    lengths_s = np.array([durations[name] for name in names], np.float64)
    once = np.ones(len(names))
    curves = _curves(counts, lengths_s, once, rule)
    value = _area_over_labels(list(curves.values()), rule)
    per_class = {c.label: _area(*curves[c.label], rule.max_efpr) if c.label in curves else None for c in counts}
    if not repeats or value is None:
        return Psds(value, per_class)
    keys: list[object] = list(names) if groups is None else [groups[name] for name in names]
    drawn = [
        _area_over_labels(list(_curves(counts, lengths_s, weights, rule).values()), rule)
        for weights in draw_weights(keys, repeats, seed)
    ]
    known = np.array([figure for figure in drawn if figure is not None])
    return Psds(value, per_class, percentile_interval(value, known, len(names)) if len(known) > repeats / 2 else None)


def _curves(
    counts: Sequence[LabelCounts], lengths_s: Array, weights: Array, rule: PsdsRule
) -> dict[str, tuple[Array, Array]]:
    """Return for each label with true events the steps of its curve: false alarms an hour, and share of events found.

    ``weights`` says how often each recording counts, shape ``(recording,)``.
    """
    hours = float(weights @ lengths_s) / _HOUR_S
    true_hours = np.array([weights @ c.true_s for c in counts]) / _HOUR_S
    curves = {}
    for own, count in enumerate(counts):
        events = float(weights @ count.events)
        if events == 0:
            continue
        cost = np.zeros(count.changes.shape[1])
        cost[1] = 1 / hours
        others = [i for i in range(len(counts)) if i != own and true_hours[i] > 0]
        if rule.alpha_ct > 0 and others:
            cost[2:][others] = rule.alpha_ct / len(others) / true_hours[others]
        found, rate = count.totals(weights, cost)
        curves[count.label] = _staircase(rate, found / events, rule.max_efpr)
    return curves


def _staircase(rate: Array, share: Array, limit: float) -> tuple[Array, Array]:
    """Return where the best share at or below a rate rises, up to ``limit``: two arrays ``(step,)``, both ascending."""
    order = np.lexsort((-share, rate))
    rate, share = rate[order], np.maximum.accumulate(share[order])
    rises = (np.diff(share, prepend=0.0) > 0) & (rate < limit)
    return rate[rises], share[rises]


def _area(rate: Array, share: Array, limit: float) -> float:
    """Return the mean height of a staircase between 0 and ``limit``."""
    return float((np.diff(np.append(rate, limit)) * share).sum() / limit)


def _area_over_labels(curves: Sequence[tuple[Array, Array]], rule: PsdsRule) -> float | None:
    """Return the area under mean minus ``alpha_st`` standard deviations of the labels' curves, never below 0."""
    if not curves:
        return None
    steps = np.unique(np.concatenate([rate for rate, _ in curves]))
    heights = np.stack([np.append(0.0, s)[np.searchsorted(r, steps, side="right")] for r, s in curves])
    effective = np.maximum(heights.mean(axis=0) - rule.alpha_st * heights.std(axis=0), 0)
    return _area(steps, effective, rule.max_efpr)
