# SPDX-License-Identifier: Apache-2.0
"""How the results of ``tag``, ``detect`` and ``embed`` look: as an object, as table rows, as CSV rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from auricle.events.formats import EVENT_FORMATS, EventFormat
from auricle.results import DetectResult, EmbedResult, TagResult
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
    """

    name: str
    columns: tuple[str, ...]
    to_dict: Callable[[Any], dict[str, Any]]
    rows: Callable[[Any], Iterator[Row]]
    files: Mapping[str, EventFormat] = field(default_factory=dict)


def flag_codes(result: Any) -> str:
    """Return the codes of a result's flags, joined with ``;``."""
    return ";".join(flag.code for flag in result.flags)


def tag_view(top: int | None, thresholds: Thresholds, *, llr: bool = False) -> View:
    """Show the ``top`` highest scores (None: all) that reach their threshold, with the likelihood ratio if ``llr``."""

    def shown(result: TagResult) -> TagResult:
        return strongest(result, top, thresholds)

    def rows(result: TagResult) -> Iterator[Row]:
        scores = shown(result).scores
        ratio = (result.llr, result.prior_spoof) if llr else ()
        for score in scores:
            yield result.path, result.duration, score.label, score.score, *ratio
        if not scores:
            yield result.path, result.duration, None, None, *ratio

    columns = ("path", "duration", "label", "score", *(("llr", "prior_spoof") if llr else ()))
    return View("scores", columns, lambda result: shown(result).to_dict(), rows)


def detect_view() -> View:
    """Show each event in a row."""

    def rows(result: DetectResult) -> Iterator[Row]:
        for event in result.events:
            yield result.path, event.onset, event.offset, event.label, event.score
        if not result.events:
            yield result.path, None, None, None, None

    columns = ("path", "onset", "offset", "label", "score")
    files = {name: EVENT_FORMATS.get(name) for name in ("csv", "audacity", "raven")}
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
    if task.command == "tag":
        return tag_view(task.top, task.thresholds, llr=detector.spec.is_spoof)
    return detect_view() if task.command == "detect" else embed_view(detector.embedding_size)
