# SPDX-License-Identifier: Apache-2.0
"""The PSDS as its definition reads: each threshold is tried, each pair of events is compared. Slow and obvious."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from auricle.evaluation.events.psds import PsdsRule
from auricle.results import Event, Scores

Span = tuple[float, float]
EPS = 5e-7


def detect(scores: Scores, label: str, threshold: float, duration: float) -> list[Span]:
    column = scores.values[:, scores.labels.index(label)]
    spans: list[Span] = []
    for time, value in zip(scores.times, column, strict=True):
        begin, end = max(0.0, time - scores.step_s / 2), min(duration, time + scores.step_s / 2)
        if value < threshold or end <= begin:
            continue
        if spans and abs(spans[-1][1] - begin) < 1e-4:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((begin, end))
    return spans


def shared(a: Span, b: Span) -> float:
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def count_recording(found: list[Span], truth: Mapping[str, list[Span]], label: str, rule: PsdsRule):
    """Return hits, false alarms, and cross-triggers by label, of one recording at one threshold."""
    criteria = rule.criteria
    relevant = [d for d in found if sum(shared(d, g) for g in truth[label]) >= criteria.dtc * (d[1] - d[0]) - EPS]
    hits = sum(sum(shared(d, g) for d in relevant) >= criteria.gtc * (g[1] - g[0]) - EPS for g in truth[label])
    wrong = [d for d in found if d not in relevant]
    crossed = {
        other: 0
        if criteria.cttc is None
        else sum(sum(shared(d, g) for g in spans) >= criteria.cttc * (d[1] - d[0]) - EPS for d in wrong)
        for other, spans in truth.items()
        if other != label
    }
    return hits, len(wrong), crossed


def reference_psds(
    detections: Mapping[str, Scores | Sequence[Event]],
    truth: Mapping[str, Sequence[Event]],
    durations: Mapping[str, float],
    labels: Sequence[str],
    rule: PsdsRule,
) -> tuple[float | None, dict[str, float | None]]:
    hours = sum(durations.values()) / 3600
    true = {
        name: {label: [(e.onset, e.offset) for e in truth.get(name, ()) if e.label == label] for label in labels}
        for name in durations
    }
    true_hours = {
        label: sum(end - begin for name in durations for begin, end in true[name][label]) / 3600 for label in labels
    }
    points: dict[str, list[tuple[float, float]]] = {}
    for label in labels:
        events = sum(len(true[name][label]) for name in durations)
        if events == 0:
            continue
        thresholds = {np.inf}
        for value in detections.values():
            if isinstance(value, Scores):
                thresholds |= set(value.values[:, value.labels.index(label)].tolist())
            else:
                thresholds |= {event.score for event in value if event.label == label}
        for threshold in thresholds:
            hits, alarms, crossed = 0, 0, dict.fromkeys((other for other in labels if other != label), 0)
            for name, duration in durations.items():
                value = detections[name]
                if isinstance(value, Scores):
                    found = detect(value, label, threshold, duration)
                else:
                    found = [(e.onset, e.offset) for e in value if e.label == label and e.score >= threshold]
                h, a, c = count_recording(found, true[name], label, rule)
                hits, alarms = hits + h, alarms + a
                for other in crossed:
                    crossed[other] += c[other]
            rates = [count / true_hours[other] for other, count in crossed.items() if true_hours[other] > 0]
            rate = alarms / hours + (rule.alpha_ct * sum(rates) / len(rates) if rates else 0.0)
            points.setdefault(label, []).append((rate, hits / events))
    if not points:
        return None, dict.fromkeys(labels)

    def best(label: str, rate: float) -> float:
        return max([share for r, share in points[label] if r <= rate], default=0.0)

    def area(curve) -> float:
        steps = sorted({0.0, rule.max_efpr} | {r for p in points.values() for r, _ in p if r < rule.max_efpr})
        return sum(curve(a) * (b - a) for a, b in pairwise(steps)) / rule.max_efpr

    def effective(rate: float) -> float:
        heights = [best(label, rate) for label in points]
        mean = sum(heights) / len(heights)
        spread = (sum((h - mean) ** 2 for h in heights) / len(heights)) ** 0.5
        return max(0.0, mean - rule.alpha_st * spread)

    per_class = {label: area(lambda r, x=label: best(x, r)) if label in points else None for label in labels}
    return area(effective), per_class
