# SPDX-License-Identifier: Apache-2.0
"""How the results of ``tag``, ``detect`` and ``embed`` look: as an object, as table rows, as CSV rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeAlias

from auricle.events.formats import EVENT_FORMATS, EventFormat, dump_csv
from auricle.results import DetectResult, EmbedResult, Origin, TagResult, spell_moment
from auricle.runtime.detector import Detector
from auricle.runtime.thresholds import Thresholds, strongest
from auricle.scanning.task import Task

Row: TypeAlias = tuple[object, ...]


@dataclass(frozen=True)
class View:
    """The formats of one command's results.

    Attributes:
        name: stem of the file that ``--out`` writes.
        columns: names of what ``rows`` gives, without the trailing flags.
        to_dict: the JSON object of a result.
        rows: the rows of one successful result; one empty row where there is nothing to list.
        files: further formats, by name, that are written as whole files.
        zoned: every ``start`` has an offset from UTC.
    """

    name: str
    columns: tuple[str, ...]
    to_dict: Callable[[Any], dict[str, Any]]
    rows: Callable[[Any], Iterator[Row]]
    files: Mapping[str, EventFormat] = field(default_factory=dict)
    zoned: bool = False


def flag_codes(result: Any) -> str:
    """Return the codes of a result's flags, joined with ``;``."""
    return ";".join(flag.code for flag in result.flags)


#: Column of the share of time, which short recordings leave empty.
SHARE = "share"
#: Columns behind the others of what was recorded where and when.
CLOCK_COLUMNS = ("start", "recorder", "latitude", "longitude")


def clock_cells(result: Any, seconds: float = 0.0) -> Row:
    """Return what stands under ``CLOCK_COLUMNS``: the moment ``seconds`` into the recording, who recorded it, where."""
    origin = Origin() if result.origin is None else result.origin
    moment, recorder = origin.at(seconds), origin.recorder
    name = recorder.get("id") or " ".join(recorder[key] for key in ("make", "model") if key in recorder)
    place = (
        Decimal(str(round(origin.position[key], 7))) if key in origin.position else None for key in CLOCK_COLUMNS[2:]
    )
    return (None if moment is None else spell_moment(moment), name or None, *place)


#: Column behind the others where channels were asked for.
CHANNEL_COLUMN = "channel"


@dataclass(frozen=True)
class MoreColumns:
    """Columns behind the others: what they are called, and the cells at a moment of a recording."""

    clock: bool = False
    channels: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Return what they are called."""
        return (*(CLOCK_COLUMNS if self.clock else ()), *((CHANNEL_COLUMN,) if self.channels else ()))

    def cells(self, result: Any, seconds: float) -> Row:
        """Return what stands there, ``seconds`` into the recording."""
        clock = clock_cells(result, seconds) if self.clock else ()
        return (*clock, *((result.channel,) if self.channels else ()))


def with_columns(view: View, more: MoreColumns, seconds_of: Callable[[Any], list[float]]) -> View:
    """Return a view whose rows have more columns; ``seconds_of`` a result says where each of its rows begins."""

    def rows(result: Any) -> Iterator[Row]:
        begins = seconds_of(result) or [0.0 if result.part is None else result.part[0]]
        for row, begin in zip(view.rows(result), begins, strict=True):
            yield (*row, *more.cells(result, begin))

    return replace(view, columns=(*view.columns, *more.names), rows=rows)


def tag_view(top: int | None, thresholds: Thresholds, *, llr: bool = False) -> View:
    """Show the ``top`` highest scores (None: all) that reach their threshold, with the likelihood ratio if ``llr``."""

    def shown(result: TagResult) -> TagResult:
        return strongest(result, top, thresholds)

    def rows(result: TagResult) -> Iterator[Row]:
        scores = shown(result).scores
        ratio = (result.llr, result.prior_spoof) if llr else ()
        for score in scores:
            yield result.path, result.duration, score.label, score.score, *(ratio if llr else (score.share,))
        if not scores:
            yield result.path, result.duration, None, None, *(ratio if llr else (None,))

    columns = ("path", "duration", "label", "score", *(("llr", "prior_spoof") if llr else (SHARE,)))
    return View("scores", columns, lambda result: shown(result).to_dict(), rows)


def detect_view() -> View:
    """Show each event in a row."""

    def rows(result: DetectResult) -> Iterator[Row]:
        for event in result.events:
            yield result.path, event.onset, event.offset, event.label, event.score
        if not result.events:
            yield result.path, None, None, None, None

    columns = ("path", "onset", "offset", "label", "score")
    files = {name: EVENT_FORMATS.get(name) for name in EVENT_FORMATS if name != "json"}
    return View("events", columns, lambda result: result.to_dict(), rows, files)


def embed_view(dimension: int) -> View:
    """Show each embedding in a row of ``dimension`` columns, ``e0`` to the last."""

    def rows(result: EmbedResult) -> Iterator[Row]:
        values = () if result.embedding is None else result.embedding.tolist()
        yield result.path, result.duration, *values

    columns = ("path", "duration", *(f"e{i}" for i in range(dimension)))
    return View("embeddings", columns, lambda result: result.to_dict(), rows)


def view_of(task: Task, detector: Detector) -> View:
    """Return how the results of a task look."""
    zoned = task.time_zone is not None or task.clock_zone is not None
    return replace(_view_of(task, detector), zoned=zoned)


def _view_of(task: Task, detector: Detector) -> View:
    more = MoreColumns(task.clock, task.channels)
    if task.command == "embed":
        view = embed_view(detector.embedding_size)
        return with_columns(view, more, _at_its_start) if more.names else view
    if task.command == "detect":
        view = detect_view()
        if not more.names:
            return view
        longer = with_columns(view, more, lambda result: [event.onset for event in result.events])

        def dump(results: Iterable[DetectResult]) -> Iterator[str]:
            return dump_csv(results, more.names, lambda result, event: more.cells(result, event.onset))

        return replace(longer, files={**view.files, "csv": replace(view.files["csv"], dump=dump)})
    view = tag_view(task.top, task.thresholds, llr=detector.spec.is_spoof)
    if not more.names:
        return view
    return with_columns(view, more, lambda result: _at_its_start(result) * max(1, len(task.kept(result).scores)))


def _at_its_start(result: Any) -> list[float]:
    return [0.0 if result.part is None else result.part[0]]
