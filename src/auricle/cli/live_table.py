# SPDX-License-Identifier: Apache-2.0
"""How ``listen`` shows what it detects: JSON lines, plain lines, or a table that lives in the terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

import numpy as np

from auricle.audio.microphone import Gap
from auricle.files import json_line, printable
from auricle.results import Event, EventStart, Flag, FloatArray, Scores, rounded

#: Rows of the table: labels with the highest scores of late, and events.
MOST_LABELS, MOST_EVENTS = 12, 8
_BAR = 20
#: A shown score falls by this factor each time something new is shown, so that short sounds can be seen.
_FADE = 0.7


class Display(Protocol):
    """Shows items as they come; a context manager."""

    def tell(self, items: Sequence[Any], duration_s: float) -> None:
        """Show new scores, beginnings and events, ``duration_s`` into the recording."""

    def gap(self, gap: Gap, at_s: float) -> None:
        """Show that sound is missing."""

    def flags(self, flags: Iterable[Flag]) -> None:
        """Show what is to be known about the sound."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class LineDisplay:
    """A line when a sound begins and one when it ends, flushed: seconds, label, score."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held back."""

    def tell(self, items: Sequence[Any], duration_s: float) -> None:
        """Write a line for each beginning and end."""
        for item in items:
            if isinstance(item, (Event, EventStart)):
                self.write(event_line(item))

    def gap(self, gap: Gap, at_s: float) -> None:
        """Nothing: stderr says it."""

    def flags(self, flags: Iterable[Flag]) -> None:
        """Nothing: stderr says it."""

    def write(self, line: str) -> None:
        """Write one line at once."""
        self._stream.write(line + "\n")
        self._stream.flush()


class JsonDisplay(LineDisplay):
    """The same as objects: ``{"label", "onset"}``, ``{"label", "onset", "offset", "score"}``, ``gap``, ``flags``."""

    def tell(self, items: Sequence[Any], duration_s: float) -> None:
        """Write an object for each beginning and end."""
        for item in items:
            if isinstance(item, (Event, EventStart)):
                self._object(item.to_dict())

    def gap(self, gap: Gap, at_s: float) -> None:
        """Write where sound is missing."""
        values = {"at": rounded(at_s), "gap_s": rounded(gap.gap_s), "sample_rate": gap.sample_rate}
        self._object({"gap": {**values, "reason": gap.reason}})

    def flags(self, flags: Iterable[Flag]) -> None:
        """Write the flags."""
        self._object({"flags": [flag.to_dict() for flag in flags]})

    def _object(self, values: dict[str, Any]) -> None:
        self.write(json_line(values).rstrip("\n"))


def event_line(item: Event | EventStart) -> str:
    """Return the line of a beginning or of an event.

    >>> event_line(EventStart("dog", 12.4)), event_line(Event("dog", 12.4, 13.12, 0.831))
    ('  12.400     begins  dog', '  12.400     13.120  dog  0.831')
    """
    name = printable(item.label)
    if isinstance(item, Event):
        cut = "  (cut)" if "cut" in item.to_dict() else ""
        return f"{item.onset:8.3f} {item.offset:10.3f}  {name}  {item.score:.3f}{cut}"
    return f"{item.onset:8.3f} {'begins':>10}  {name}"


class TableDisplay:
    """Scores of the labels and the last events, redrawn in place."""

    def __init__(self, stream: TextIO, labels: Sequence[str]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._labels = list(labels)
        self._levels: FloatArray = np.zeros(len(labels), np.float32)
        self._since: dict[str, float] = {}
        self._events: deque[str] = deque(maxlen=MOST_EVENTS)
        self._duration_s = 0.0
        self._live = Live(console=Console(file=stream), get_renderable=self.draw, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last state on the screen."""
        self._live.__exit__(kind, error, trace)

    def tell(self, items: Sequence[Any], duration_s: float) -> None:
        """Take new items; the screen follows some times a second."""
        self._duration_s = duration_s
        for item in items:
            if isinstance(item, Scores):
                self._levels = np.maximum(self._levels * np.float32(_FADE), item.values.max(axis=0))
            elif isinstance(item, EventStart):
                self._since[item.label] = item.onset
            elif isinstance(item, Event):
                self._since.pop(item.label, None)
                self._events.append(event_line(item))

    def gap(self, gap: Gap, at_s: float) -> None:
        """Show the gap among the events."""
        self._events.append(f"{at_s:8.3f}  {gap.reason}: {gap.gap_s:.2f} s are missing")

    def flags(self, flags: Iterable[Flag]) -> None:
        """Nothing: stderr says it."""

    def draw(self) -> Any:
        """Return the table as it is now."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for name in (f"{self._duration_s:.1f} s", "score", "", "since"):
            table.add_column(name, justify="right" if name == "score" else "left")
        # The loudest ones, in the order of the model, so that rows do not jump about.
        for index in sorted(np.argsort(-self._levels, kind="stable")[:MOST_LABELS].tolist()):
            label, level = self._labels[index], float(self._levels[index])
            since = self._since.get(label)
            cells = (
                printable(label),
                f"{level:.2f}",
                "█" * round(level * _BAR),
                "" if since is None else f"{since:.1f}",
            )
            table.add_row(*(Text(cell, style="bold" if since is not None else "") for cell in cells))
        table.caption = Text("\n".join(self._events), justify="left")
        return table
