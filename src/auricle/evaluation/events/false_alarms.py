# SPDX-License-Identifier: Apache-2.0
"""How often does a detector go off where there is nothing? Events in recordings that hold none of its classes.

Alarms are counts of rare things, so their intervals are those of a Poisson count (Garwood, "Fiducial Limits for the
Poisson Distribution", Biometrika 1936). No alarm in one hour leaves up to 3.7 an hour possible.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from auricle.errors import UsageError
from auricle.evaluation.intervals import NORMAL_QUANTILE
from auricle.results import DetectResult, Interval, Report

_TAIL = 0.025
#: Larger counts take the approximation of Wilson and Hilferty (1931), right to a thousandth by then.
_LARGE = 1_000
#: A threshold lies so far above the score of an alarm that it silences.
STEP = 1e-3


def poisson_interval(count: int, hours: float, n: int) -> Interval:
    """Return a rate an hour with its 95 % interval.

    Args:
        count: what happened in all.
        hours: in which it did.
        n: recordings behind it.
    """
    if count > _LARGE:
        low = count * (1 - 1 / (9 * count) - NORMAL_QUANTILE / (3 * count**0.5)) ** 3
        high = (count + 1) * (1 - 1 / (9 * (count + 1)) + NORMAL_QUANTILE / (3 * (count + 1) ** 0.5)) ** 3
    else:
        low = _mean_at(count - 1, 1 - _TAIL) if count else 0.0
        high = _mean_at(count, _TAIL)
    return Interval(count / hours, low / hours, high / hours, n)


def _mean_at(count: int, share: float) -> float:
    """Return the mean of the Poisson distribution that gives ``count`` or less with this probability; by halving."""
    low, high = 0.0, 2.0 * count + 10
    for _ in range(60):
        mean = (low + high) / 2
        below = sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))
        low, high = (mean, high) if below > share else (low, mean)
    return low


def false_alarm_report(
    results: Sequence[DetectResult], labels: Sequence[str], thresholds: Mapping[str, float]
) -> Report:
    """Return the alarms an hour, over all labels and for each.

    Args:
        results: events of recordings that hold none of the classes; together longer than 0 s.
        labels: of the detector.
        thresholds: its own, shown beside the alarms.
    """
    hours = sum(result.duration or 0.0 for result in results) / 3600
    if not hours > 0:
        raise ValueError("there is no sound to count false alarms in")
    counts = Counter(event.label for result in results for event in result.events)
    rows: dict[str, dict[str, float | int | None]] = {}
    for label in labels:
        rate = poisson_interval(counts[label], hours, len(results))
        rows[label] = {
            "alarms": counts[label],
            "per_hour": rate.value,
            "low": rate.low,
            "high": rate.high,
            "threshold": thresholds[label],
        }
    everything = poisson_interval(counts.total(), hours, len(results))
    return Report({"false_alarms_per_hour": everything}, rows, len(results), "", {"hours": round(hours, 6)})


def raised_thresholds(
    results: Sequence[DetectResult], thresholds: Mapping[str, float], at_most: float
) -> dict[str, float]:
    """Return thresholds above all false alarms but so many an hour, for each label; never below those of now.

    An event goes when the threshold is above its score, the highest inside it.

    Args:
        results: events of recordings that hold none of the classes, found at ``thresholds``.
        thresholds: of now, by label.
        at_most: alarms an hour that a label may keep.

    Raises:
        UsageError: there is too little sound to tell, or a label has alarms of the highest score.
    """
    hours = sum(result.duration or 0.0 for result in results) / 3600
    if not at_most > 0:
        raise UsageError(f"--at-most {at_most:g}: expected alarms an hour above 0, such as 1")
    if hours * at_most < 1:
        raise UsageError(
            f"--at-most {at_most:g}: {hours:.2f} h of sound cannot tell {at_most:g} alarms an hour from none; give "
            f"{1 / at_most:.2f} h or more"
        )
    raised = {}
    for label, threshold in thresholds.items():
        scores = sorted((e.score for r in results for e in r.events if e.label == label), reverse=True)
        kept = int(hours * at_most + 1e-9)
        limit = threshold if len(scores) <= kept else max(threshold, scores[kept] + STEP)
        if len(scores) > kept and limit >= 1:
            raise UsageError(
                f"--at-most {at_most:g}: {label} has {len(scores)} alarms of nearly the highest score, which no "
                "threshold tells from events; add such sounds to the negatives"
            )
        raised[label] = limit
    return raised
