# SPDX-License-Identifier: Apache-2.0
"""The report of a data check, as JSON and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auricle.data.labels import natural_key
from auricle.data.splits import PARTS
from auricle.errors import FLAG_CODES
from auricle.results import Flag

#: Folders shown where the sample rates differ.
_FOLDERS_SHOWN = 20


@dataclass(frozen=True)
class CheckReport:
    """The result of a check.

    Attributes:
        path: what was checked.
        problems: what stops training; empty is good.
        flags: what should be known, each with a count and the first file.
        notes: what was decided while reading.
        facts: the figures: format (``form``), task, counts, durations, rates; empty if the data could not be read.
    """

    path: str
    problems: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Tell whether the data can be trained on."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle data check``."""
        return {
            "path": self.path,
            "ok": self.ok,
            **self.facts,
            "flags": [flag.to_dict() for flag in self.flags],
            "notes": list(self.notes),
            "problems": list(self.problems),
        }

    def lines(self) -> list[str]:
        """Return the report as lines of plain text."""
        lines = [self.path, *(_fact_lines(self.facts) if self.facts else [])]
        lines += [f"note: {note}" for note in self.notes]
        for flag in self.flags:
            details = ", ".join(f"{k} {v}" for k, v in flag.to_dict().items() if k != "code")
            lines.append(f"flag {flag.code}: {FLAG_CODES[flag.code]} ({details})")
        lines += [f"PROBLEM: {problem}" for problem in self.problems]
        count = len(self.problems)
        lines.append(f"{count} problem{'s' if count > 1 else ''}" if count else "no problem: this can be trained on")
        return lines


def _fact_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return the figures as lines of text."""
    lines = [
        f"format {facts['form']}, task {facts['task']}: {facts['clips']} clips, {len(facts['labels'])} classes, "
        f"{facts['negatives']} negatives, {facts['groups']} groups",
        f"data hash {facts['data_hash'][:16]}",
        *_class_table(facts["per_class"]),
        _balance_line(facts["balance"]),
        *_event_lines(facts["events"]),
    ]
    if facts["durations"] is not None:
        d = facts["durations"]
        lines.append(
            f"durations of {facts['probed']} clips: {d['total'] / 60:.1f} min in all, "
            f"{d['min']:g} to {d['max']:g} s, median {d['median']:g} s"
        )
    for title, key in (("sample rates", "sample_rates"), ("formats", "formats")):
        if facts[key]:
            lines.append(f"{title}: " + ", ".join(f"{name} ({n})" for name, n in facts[key].items()))
    for folder, rates in list(facts.get("sample_rates_by_folder", {}).items())[:_FOLDERS_SHOWN]:
        lines.append(f"  {folder}: " + ", ".join(f"{rate} Hz ({n})" for rate, n in rates.items()))
    for code, entry in facts["unreadable"].items():
        lines.append(f"unreadable, {code}: {entry['count']} (first: {entry['first']}: {entry['message']})")
    return lines


def _balance_line(balance: Mapping[str, float | None]) -> str:
    ratio = balance["ratio"]
    times = "a class has no clip" if ratio is None else f"largest class {ratio:g} times the smallest"
    return f"balance: {times}, evenness {balance['evenness']:g}"


def _event_lines(events: Mapping[str, Any] | None) -> list[str]:
    """Return how many events each class has, and how long they are."""
    if events is None:
        return []
    lines = [f"events: {events['count']} in {events['strong_clips']} clips; {events['weak_clips']} clips say only what"]
    width = max((len(label) for label in events["per_class"]), default=0)
    for label, row in events["per_class"].items():
        spread = row["lengths"]
        how_long = (
            "" if spread is None else f"  {spread['min']:g} to {spread['max']:g} s, median {spread['median']:g} s"
        )
        lines.append(f"  {label.ljust(width)}  {row['count']:6}{how_long}")
    return lines


def _class_table(per_class: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the clips of each class as aligned columns."""
    if not per_class:
        return []
    columns = sorted({column for row in per_class.values() for column in row}, key=_column_order)
    widths = [max(len(column), 6) for column in columns]
    name_width = max(len(label) for label in [*per_class, "class"])
    head = "  ".join(column.rjust(width) for column, width in zip(columns, widths, strict=True))
    lines = [f"  {'class'.ljust(name_width)}  {head}"]
    for label, row in per_class.items():
        cells = "  ".join(str(row[column]).rjust(width) for column, width in zip(columns, widths, strict=True))
        lines.append(f"  {label.ljust(name_width)}  {cells}")
    return lines


def _column_order(column: str) -> tuple[int, Any]:
    order = ("clips", *PARTS)
    return (order.index(column), ()) if column in order else (len(order), natural_key(column))
