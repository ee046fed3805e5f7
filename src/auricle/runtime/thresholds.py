# SPDX-License-Identifier: Apache-2.0
"""Thresholds as a user gives them: one for all labels, others for single ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Thresholds:
    """What a user said.

    Attributes:
        default: for labels that are not named; None leaves the model's own.
        labels: for single labels.
    """

    default: float | None = None
    labels: Mapping[str, float] = field(default_factory=dict)

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
