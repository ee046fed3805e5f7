# SPDX-License-Identifier: Apache-2.0
"""From events that a format has read to clips with strong labels; what all such formats check is checked here, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from auricle.data.formats.draft import Draft
from auricle.data.labels import is_negative
from auricle.data.manifest import Clip
from auricle.data.paths import Found
from auricle.results import Event, Flag

#: Events may end this much after their file before it counts: times in tables are rounded.
EVENT_TOLERANCE_S = 0.01


@dataclass
class StrongRecord:
    """What tables or label files say about one recording.

    Attributes:
        place: where it was first named, for messages.
        found: where it lies.
        strong: somebody said when; without events that means silence.
        events: each with the place that named it.
        weak: classes, and whether it is a negative, where a weak label says so.
        repeats: how many rows stood twice.
        onset: where a part of the recording begins, in seconds; its events count from there. None is the beginning.
        offset: where that part ends; None is the end of the recording.
    """

    place: str
    found: Found
    strong: bool = False
    events: dict[Event, str] = field(default_factory=dict)
    weak: tuple[tuple[str, ...], bool] | None = None
    duration: float | None = None
    split: str | None = None
    fold: str | None = None
    group: str | None = None
    repeats: int = 0
    onset: float | None = None
    offset: float | None = None

    def add_event(self, event: Event, place: str) -> None:
        """Add an event; one that stands there already is only counted."""
        if event in self.events:
            self.repeats += 1
        self.events.setdefault(event, place)


def add_records(draft: Draft, records: Iterable[StrongRecord]) -> None:
    """Make clips of records and add them to a draft, with the flags and problems of their events."""
    repeated, clipped, overlapping, both = [], [], [], []
    for record in records:
        key = record.found.key
        events = _inside(draft, record)
        if any(event.offset < whole.offset - EVENT_TOLERANCE_S for event, whole in events):
            clipped.append(key)
        kept = tuple(sorted((event for event, _ in events), key=lambda e: (e.onset, e.offset, e.label)))
        if has_overlap(kept):
            overlapping.append(key)
        if record.repeats:
            repeated.append(key)
        if record.strong and record.weak is not None:
            both.append(key)
        draft.add(record.place, _clip(record, kept), record.found)
    for code, keys in (("duplicate_row", repeated), ("clipped_event", clipped), ("overlapping_event", overlapping)):
        if keys:
            draft.flags.append(Flag(code, {"count": len(keys), "first": keys[0]}))
    if both:
        draft.notes.append(f"{len(both)} files have events and labels without times; the events count")
    strong = sum(clip.strong for clip in draft.clips)
    draft.notes.append(f"{strong} clips say when (strong labels), {len(draft.clips) - strong} say only what (weak)")


def _inside(draft: Draft, record: StrongRecord) -> list[tuple[Event, Event]]:
    """Return the events cut at the end that the data declares, each with itself uncut; negatives are no events."""
    end, inside = record.duration, []
    for event, place in record.events.items():
        if is_negative(event.label):
            continue
        if end is not None and event.onset >= end:
            text = f"{place}: event {event.label!r} begins at {event.onset:g} s, the file ends at {end:g} s"
            draft.problems.add("beyond", text)
            continue
        cut = event if end is None else replace(event, offset=min(event.offset, end))
        inside.append((cut, event))
    return inside


def _clip(record: StrongRecord, events: tuple[Event, ...]) -> Clip:
    label, negative = record.weak if record.weak is not None else ((), False)
    if record.strong:
        label = tuple(sorted({event.label for event in events}))
        negative = not label
    return Clip(
        record.found.key, record.found.path, label, negative, fold=record.fold, split=record.split,
        group=record.group, events=events if record.strong else None, duration=record.duration,
        onset=record.onset, offset=record.offset,
    )  # fmt: skip


def has_overlap(events: Sequence[Event]) -> bool:
    """Tell whether two events of one label overlap or touch."""
    by_label: dict[str, list[Event]] = {}
    for event in sorted(events, key=lambda e: (e.onset, e.offset)):
        by_label.setdefault(event.label, []).append(event)
    return any(b.onset <= a.offset for same in by_label.values() for a, b in pairwise(same))
