# SPDX-License-Identifier: Apache-2.0
"""The formats a data set can have on disk, and the one function that reads them all.

A format is one file: it says how it is recognised and read, and registers itself. The files of ``data/formats`` are
found by themselves, and those of other packages by the entry point group ``auricle.formats``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from auricle.data.formats.hints import known_data_set, nearby_data, nested_data, unknown_data
from auricle.data.formats.places import TABLES, tables_in
from auricle.data.manifest import Manifest
from auricle.data.read_options import MAX_MISSING, ReadOptions
from auricle.errors import DataError, UsageError
from auricle.files import address_note
from auricle.recipe.requests import DataSource
from auricle.registry import Registry

#: From this order on, recognising a format may walk through all files.
_WALKING = 60
#: Modules of this package that are no formats.
_SHARED = frozenset(
    (
        *("containers", "desed_tables", "draft", "finder", "hints", "json_labels", "jsonl", "label_rows", "places"),
        *("registry", "strong_labels"),
    )
)


@dataclass(frozen=True)
class Format:
    """One way to lay out a data set.

    Attributes:
        recognise: tells from a path whether this format lies there.
        read: reads it, or raises ``DataError`` with all problems.
        order: formats are tried from low to high; those of other packages may take any number. Layouts that only one
            data set has come first (10), what fits nearly everything comes last (90).
        hint: says what is wrong with the automatic choice of this format for a path, or returns None. It is not asked
            where the user named the format.
        names_labels: it has a column that names the classes, which ``ReadOptions.label_column`` may choose.
    """

    recognise: Callable[[Path, ReadOptions], bool]
    read: Callable[[Path, ReadOptions], Manifest]
    order: int = 50
    hint: Callable[[Path], str | None] | None = None
    names_labels: bool = False


class FormatRegistry(Registry[Format]):
    """Formats by name: a module of this package each, and those of other packages."""

    def _modules(self) -> list[str]:
        return [name for name in super()._modules() if name not in _SHARED]

    def in_order(self) -> list[str]:
        """Return all names in the order in which they are tried."""
        return sorted(self.names(), key=lambda name: (self.get(name).order, name))


def _misfit(name: str, item: object) -> str:
    """Return what is wrong with the format of another package."""
    return "" if isinstance(item, Format) else f"expected auricle's Format, got {type(item).__name__}"


FORMATS = FormatRegistry("data format", package="auricle.data.formats", group="auricle.formats", accepts=_misfit)


def recognise_format(path: Path, options: ReadOptions | None = None) -> str:
    """Return the name of the format that lies at ``path``.

    Raises:
        DataError: nothing lies there, or nothing that is known; says what was seen, and what to type instead.
    """
    options = ReadOptions() if options is None else options
    _require(path)
    for name in FORMATS.in_order():
        format = FORMATS.get(name)
        if format.recognise(path, options):
            if format.hint is not None:
                _ask(path, format.hint)
            return name
    if path.suffix.lower() in TABLES or (path.is_dir() and tables_in(path)):
        return "csv"  # a table that lacks something: reading it says what
    raise unknown_data(path, _recognised)


def _require(path: Path) -> None:
    """Raise ``DataError`` if nothing lies at a path."""
    if not path.exists():
        address = address_note(str(path))
        raise DataError(f"{path} cannot be read", ["no such file or folder" if address is None else address])


def _ask(path: Path, hint: Callable[[Path], str | None]) -> None:
    """Raise ``DataError`` where folders are probably no classes: by their names, or for what lies in them."""
    below = nested_data(path, _recognised)
    doubt = hint(path)
    if doubt is None and below:
        doubt = f"{path} holds data sets with tables of their own; name one, or say --data-format folders"
    if doubt is not None:
        known = known_data_set(path)
        lines = [doubt, *([] if known is None else [known]), *(below or nearby_data(path, _recognised))]
        raise DataError(f"{path}: the classes of this data are not guessed", lines)


def _recognised(path: Path, holding: Path | None) -> str | None:
    """Return the name of a format that does not need a walk through all files, or None.

    With ``holding``, only if the data set there lists a recording in that folder.
    """
    quick = (name for name in FORMATS.in_order() if FORMATS.get(name).order < _WALKING)
    found = next((name for name in quick if FORMATS.get(name).recognise(path, ReadOptions())), None)
    if found is None or holding is None:
        return found
    try:
        clips = FORMATS.get(found).read(path, ReadOptions()).clips
    except DataError:
        return None
    return found if any(Path(clip.path).is_relative_to(holding.absolute()) for clip in clips) else None


def read_manifest(
    path: str | Path,
    *,
    data_format: str = "auto",
    task: str = "auto",
    labels: Sequence[str] | None = None,
    sample_rate: int | None = None,
    frontend: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    label_column: str | None = None,
    follow_links: bool = False,
    max_missing: float = MAX_MISSING,
) -> Manifest:
    """Read a data set of any format without decoding anything.

    Args:
        path: a folder or a table.
        data_format: name of a format; ``auto`` tries them in order.
        task: ``single``, ``multi`` or ``auto``.
        labels: the only classes allowed, in this order (a model's, when it is evaluated).
        sample_rate: of ``.npy`` waveforms without ``features.json``, in Hz.
        frontend: front end that stored log-mels must match.
        encoding: of tables; UTF-8 if None.
        delimiter: of tables; the header decides if None.
        label_column: of tables and label files; None takes the one that is called as if it named the classes.
        follow_links: follow symbolic links that lead out of class folders.
        max_missing: share of listed files that may be absent.

    Raises:
        UsageError: an unknown format or task, or a column of labels for a format that has none.
        DataError: with all problems at once.
    """
    if task not in ("auto", "single", "multi"):
        raise UsageError(f"unknown task {task!r}; known: auto, single, multi")
    options = ReadOptions(
        task=task,
        labels=None if labels is None else tuple(labels),
        encoding=encoding,
        delimiter=delimiter,
        label_column=label_column,
        sample_rate=sample_rate,
        frontend=frontend,
        follow_links=follow_links,
        max_missing=max_missing,
    )
    path, name = Path(path), data_format
    if name == "auto":
        name = recognise_format(path, options)
    else:
        options = replace(options, named=True)
    format = FORMATS.get(name)
    _require(path)
    if label_column is not None and not format.names_labels:
        fitting = ", ".join(name for name in FORMATS.in_order() if FORMATS.get(name).names_labels)
        raise UsageError(
            f"label_column {label_column!r}: {path} is read as the format {name}, which has no column of labels; "
            f"leave it out, or name a format that has one: {fitting}"
        )
    return format.read(path, options)


def read_source(source: DataSource, *, task: str = "auto", labels: Sequence[str] | None = None) -> Manifest:
    """Read a data set from where a request says it lies; see ``read_manifest``."""
    return read_manifest(source.path, **source.reading(), task=task, labels=labels)
