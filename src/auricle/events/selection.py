# SPDX-License-Identifier: Apache-2.0
"""Which events of a recording are kept: labels, gaps that are bridged, shortest length, and the strongest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from auricle.errors import UsageError
from auricle.registry import nearest
from auricle.results import Event


@dataclass(frozen=True)
class EventSelection:
    """What is kept, in this order.

    Attributes:
        labels: only events of these; all if empty.
        merge_gap_s: events of one label that lie at most this far apart become one, with the higher score.
        min_duration_s: shorter events are left out.
        top: the strongest of a recording; all if None.
    """

    labels: tuple[str, ...] = ()
    merge_gap_s: float | None = None
    min_duration_s: float = 0.0
    top: int | None = None

    def of_model(self, known: Sequence[str]) -> EventSelection:
        """Return the selection with labels of a model, of which some have commas themselves.

        Raises:
            UsageError: the model has no such label.
        """
        labels: list[str] = []
        for text in self.labels:
            labels += [text] if text in known else [part.strip() for part in text.split(",")]
        for label in labels:
            if label not in known:
                raise UsageError(f"--labels: the model has no label {label!r}{nearest(label, known)}")
        return replace(self, labels=tuple(labels))

    def __call__(self, events: Sequence[Event]) -> tuple[Event, ...]:
        """Return the events that are kept, in their order."""
        kept: Iterable[Event] = events
        if self.labels:
            kept = [event for event in kept if event.label in self.labels]
        if self.merge_gap_s is not None:
            kept = merged(kept, self.merge_gap_s)
        # Times are sums of frames: a tenth of a millisecond below is the same.
        kept = [event for event in kept if event.offset - event.onset >= self.min_duration_s - 1e-4]
        if self.top is not None:
            strongest = sorted(kept, key=lambda event: -event.score)[: self.top]
            kept = [event for event in kept if event in strongest][: self.top]
        return tuple(kept)


def merged(events: Iterable[Event], gap_s: float) -> list[Event]:
    """Return events of which those of one label at most ``gap_s`` apart are joined, in the order of their onsets."""
    found: list[Event] = []
    open_at: dict[str, int] = {}
    for event in sorted(events, key=lambda event: event.onset):
        index = open_at.get(event.label)
        before = None if index is None else found[index]
        if index is None or before is None or event.onset - before.offset > gap_s + 1e-4:
            open_at[event.label] = len(found)
            found.append(event)
        else:
            score, offset = max(before.score, event.score), max(before.offset, event.offset)
            found[index] = replace(before, offset=offset, score=score)
    return found
