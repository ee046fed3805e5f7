# SPDX-License-Identifier: Apache-2.0
"""Thresholds as people write them, ``0.5`` or ``dog=0.7``: the same on the command line and over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from auricle.errors import UsageError
from auricle.registry import nearest
from auricle.results import TagResult


@dataclass(frozen=True)
class Thresholds:
    """What a user said.

    Attributes:
        default: for labels that are not named; None leaves the model's own.
        labels: for single labels.
    """

    default: float | None = None
    labels: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def from_argument(value: float | Mapping[str, float] | Thresholds | None) -> Thresholds:
        """Return thresholds of what ``Detector.detect`` takes: one for all, some by label, or None."""
        if value is None or isinstance(value, Thresholds):
            return Thresholds() if value is None else value
        return Thresholds(None, dict(value)) if isinstance(value, Mapping) else Thresholds(value)

    def of(self, label: str, otherwise: float) -> float:
        """Return the threshold of ``label``, or ``otherwise`` where none was given."""
        if label in self.labels:
            return self.labels[label]
        return otherwise if self.default is None else self.default

    def as_argument(self, labels: Sequence[str]) -> float | dict[str, float] | None:
        """Return what ``Detector.detect`` takes: None for the model's own, one for all, or one for some labels."""
        if self.default is not None and self.labels:
            return {label: self.of(label, self.default) for label in labels}
        return dict(self.labels) if self.labels else self.default


def parse_thresholds(values: Sequence[str] | None, name: str = "--threshold") -> Thresholds:
    """Read ``X`` and ``LABEL=X``; the last one of each kind wins. ``name`` is what the user typed, for errors.

    Raises:
        UsageError: if a value is no number from 0 to 1.
    """
    default: float | None = None
    labels: dict[str, float] = {}
    for text in values if values is not None else ():
        label, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = float("nan")
        if not 0 <= value <= 1 or (equals and not label):
            raise UsageError(f"{name} {text}: expected a number from 0 to 1, or LABEL=number, such as 0.5 or dog=0.7")
        if equals:
            labels[label] = value
        else:
            default = value
    return Thresholds(default, labels)


def check_labels(thresholds: Thresholds, labels: Sequence[str], name: str = "--threshold") -> None:
    """Refuse a threshold for a label that the model does not have."""
    for label in thresholds.labels:
        if label not in labels:
            known = ", ".join(labels[:20]) + (", ..." if len(labels) > 20 else "")
            raise UsageError(
                f"{name} {label}=...: the model has no such label{nearest(label, labels)}; it has: {known}"
            )


def strongest(result: TagResult, top: int | None, thresholds: Thresholds) -> TagResult:
    """Return a result with its ``top`` highest scores that reach their label's threshold (0 where none was given)."""
    kept = result.scores
    if thresholds.default is not None or thresholds.labels:
        kept = tuple(score for score in kept if score.score >= thresholds.of(score.label, 0.0))
    return replace(result, scores=kept[:top])
