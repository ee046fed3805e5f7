# SPDX-License-Identifier: Apache-2.0
"""True events beside those that were found, for people to look at.

The rule is plain: a true event is found if an event of its label overlaps it; a found event that overlaps no true one
of its label is false. It says nothing of how exact the times are, which is why pages and tables show them;
``evaluation.events.metrics`` has the strict measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from auricle.results import Event


@dataclass(frozen=True)
class Pair:
    """One row of the comparison.

    Attributes:
        label: of both sides.
        true: the true event; None for a false one.
        found: what was found for it, in time order; empty for a missed one.
    """

    label: str
    true: Event | None
    found: tuple[Event, ...]

    @property
    def verdict(self) -> str:
        """Return ``found``, ``missed`` or ``false``."""
        if self.true is None:
            return "false"
        return "found" if self.found else "missed"

    @property
    def onset(self) -> float:
        """Return where the row begins in seconds."""
        return self.found[0].onset if self.true is None else self.true.onset


def pair_events(truth: Sequence[Event], found: Sequence[Event]) -> list[Pair]:
    """Return a pair for each true event and for each false one, in time order."""
    ordered = sorted(found, key=lambda event: event.onset)
    pairs = [Pair(true.label, true, tuple(e for e in ordered if overlap(true, e))) for true in truth]
    pairs += [Pair(e.label, None, (e,)) for e in ordered if not any(overlap(true, e) for true in truth)]
    return sorted(pairs, key=lambda pair: (pair.onset, pair.label))


def count_verdicts(pairs: Sequence[Pair]) -> dict[str, int]:
    """Return how many pairs are ``found``, ``missed`` and ``false``."""
    verdicts = [pair.verdict for pair in pairs]
    return {name: verdicts.count(name) for name in ("found", "missed", "false")}


def overlap(true: Event, found: Event) -> bool:
    """Tell whether two events have the label and some time in common."""
    return true.label == found.label and found.onset < true.offset and true.onset < found.offset
