# SPDX-License-Identifier: Apache-2.0
"""From the rows that a format read to a checked manifest: what all formats have in common.

Absent files, rows that stand twice, unknown classes and contradictions are found here, once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from auricle.data.formats.finder import FileIndex, Finder, finding_flags, finding_notes
from auricle.data.labels import (
    LABEL_SEPARATOR,
    SPLIT_ALIASES,
    Task,
    find_separator,
    invisible_character,
    look_alikes,
    parse_labels,
    separate_negatives,
    task_of,
)
from auricle.data.manifest import ArraySpec, Clip, Manifest
from auricle.data.paths import Found, unlisted
from auricle.data.problems import Problems
from auricle.data.read_options import ReadOptions
from auricle.registry import nearest, shorten
from auricle.results import Flag

#: Folders that hold tables about the recordings beside them.
META_FOLDERS = frozenset({"meta", "metadata", "labels", "annotations"})


def data_folder(root: Path) -> Path:
    """Return the absolute folder that all files of a data set lie in: that of a table, or above its ``meta/``."""
    folder = Path(os.path.abspath(root))  # noqa: PTH100 (Path.absolute keeps "..")
    if folder.is_dir():
        return folder
    return folder.parent.parent if folder.parent.name.casefold() in META_FOLDERS else folder.parent


@dataclass
class Draft:
    """A manifest in the making: formats add clips and problems, ``finish`` checks the whole."""

    root: Path
    format: str
    options: ReadOptions
    problems: Problems = field(default_factory=Problems)
    clips: list[Clip] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    separator: str = LABEL_SEPARATOR
    finders: list[Finder] = field(default_factory=list)
    index: FileIndex | None = None

    def finder(self, roots: Sequence[str], *, part: str | None = None, strict: bool = False) -> Finder:
        """Return what finds the files of one table: in ``roots``, else anywhere in the data set, see ``Finder``."""
        if self.index is None:
            self.index = FileIndex(str(data_folder(self.root)))
        finder = Finder(tuple(roots), self.index, part, strict)
        self.finders.append(finder)
        return finder

    def find(self, place: str, listed: str, finder: Finder) -> Found | None:
        """Find a listed file; notes the problem and returns None if its path cannot be meant."""
        try:
            return finder.find(listed)
        except ValueError as error:
            self.problems.add("path", f"{place}: {error}")
            return None

    def join_labels(self, cells: Sequence[str]) -> None:
        """Take what joins labels from the cells of a column, and note what that means for them."""
        self.separator, note = find_separator(cells)
        if note is not None:
            self.notes.append(note)

    def labels(self, place: str, cell: str) -> tuple[tuple[str, ...], bool]:
        """Return the classes in a cell and whether it says negative; notes what cannot be meant."""
        names = parse_labels(cell, self.separator)
        if not names:
            self.problems.add("label", f"{place}: no label; write 'other' for a clip without any class")
            return (), False
        try:
            classes, negative = separate_negatives(names)
        except ValueError as error:
            self.problems.add("label", f"{place}: {error}")
            return (), False
        if self.options.task == "single" and len(classes) > 1:
            text = f"{place}: {len(classes)} labels ({', '.join(classes)}), but the task is single; choose multi"
            self.problems.add("task", text)
        return classes, negative

    def split(self, place: str, cell: str) -> str | None:
        """Return the part of the data that a cell names; notes names that are none."""
        name = SPLIT_ALIASES.get(cell.strip().casefold())
        if name is None:
            self.problems.add("split", f"{place}: split {cell!r} is none of train, dev, test")
        return name

    def add(self, place: str, clip: Clip, found: Found) -> None:
        """Add a clip whose file was looked for; an absent one is only counted."""
        if found.size_bytes is None:
            self.missing.append(clip.key)
            return
        self.clips.append(replace(clip, size_bytes=found.size_bytes))
        self.places.append(place)

    def finish(
        self, *, task: Task | None = None, labels: tuple[str, ...] | None = None, arrays: ArraySpec | None = None
    ) -> Manifest:
        """Check everything that needs all clips and return the manifest.

        Args:
            task: what the format found out; None decides by the number of labels a clip.
            labels: the classes in the order of the clips' targets; None takes those of the clips.
            arrays: what the ``.npy`` files hold.

        Raises:
            DataError: with all problems of the data set.
        """
        self._tell_apart()
        self._merge_repeats()
        self._check_missing()
        labels = self._label_order() if labels is None else labels
        self._check_visible(labels)
        self.flags.extend(finding_flags(self.finders))
        self.notes.extend(finding_notes(self.finders))
        if not self.clips and not self.problems:
            self.problems.add("empty", "no recording was found")
        self.problems.stop_if_any(f"{self.root} cannot be used as a {self.format!r} data set")
        found = task_of(clip.label for clip in self.clips) if task is None else task
        chosen: Task = self.options.task if self.options.task in ("single", "multi") else found  # type: ignore[assignment]
        return Manifest(
            self.root, self.format, chosen, labels, tuple(self.clips), arrays, tuple(self.flags), tuple(self.notes)
        )

    def flag_unlisted(self, suffixes: frozenset[str]) -> None:
        """Flag the files that lie beside listed ones but are not listed."""
        names = unlisted([clip.path for clip in self.clips], suffixes)
        if names:
            self.flags.append(Flag("unlisted_file", {"count": len(names), "first": Path(names[0]).name}))

    def _tell_apart(self) -> None:
        """Call clips by their paths from the data set's folder where two files would have one name."""
        paths: dict[str, str] = {}
        if all(paths.setdefault(clip.key, clip.path) == clip.path for clip in self.clips):
            return
        folder = data_folder(self.root)
        keys = (os.path.relpath(clip.path, folder).replace(os.sep, "/") for clip in self.clips)
        self.clips = [replace(clip, key=key) for clip, key in zip(self.clips, keys, strict=True)]

    def _merge_repeats(self) -> None:
        """Keep one of equal rows (flagged); rows that contradict each other are problems."""
        first: dict[tuple[str, float, float | None], int] = {}
        keep, repeats = [], []
        for i, clip in enumerate(self.clips):
            j = first.setdefault(clip.segment, i)
            if j == i:
                keep.append(i)
            elif _says(clip) == _says(self.clips[j]):
                repeats.append(clip.key)
            else:
                text = (
                    f"{self.places[j]} and {self.places[i]}: {clip.key!r} stands twice and they differ in "
                    f"{_difference(self.clips[j], clip)}; keep one row (several labels: join them with ';')"
                )
                self.problems.add("repeat", text)
        if repeats:
            self.flags.append(Flag("duplicate_row", {"count": len(repeats), "first": repeats[0]}))
        self.clips = [self.clips[i] for i in keep]
        self.places = [self.places[i] for i in keep]

    def _check_missing(self) -> None:
        total = len(self.missing) + len(self.clips)
        if not self.missing:
            return
        share, most = len(self.missing) / total, self.options.max_missing
        if share > most:
            text = (
                f"{len(self.missing)} of {total} listed files are absent ({share:.1%}; at most {most:.0%} may be): "
                f"{shorten(map(repr, self.missing))}; check where the audio lies"
            )
            self.problems.add("missing", text)
        else:
            self.flags.append(Flag("missing_file", {"count": len(self.missing), "first": self.missing[0]}))

    def _check_visible(self, labels: Sequence[str]) -> None:
        """Note classes whose names hold what nobody sees: no model folder can be written with them."""
        for label in labels:
            found = invisible_character(label)
            if found is not None:
                first = next((p for p, clip in zip(self.places, self.clips, strict=True) if label in clip.label), "")
                where = f" (first: {first})" if first else ""
                text = f"class {label!r} holds an invisible character, {found}{where}; type the name anew"
                self.problems.add("invisible", text)

    def _label_order(self) -> tuple[str, ...]:
        """Return the classes in their order; classes that the caller did not allow are problems."""
        counts: dict[str, int] = {}
        for clip in self.clips:
            for label in clip.label:
                counts[label] = counts.get(label, 0) + 1
        if self.options.labels is not None:
            for label in sorted(set(counts) - set(self.options.labels)):
                text = f"class {label!r} is unknown ({counts[label]} clips){nearest(label, self.options.labels)}"
                self.problems.add("class", f"{text}; known: {shorten(self.options.labels, 12)}")
            return self.options.labels
        for names in look_alikes(counts):
            self.flags.append(Flag("name_collision", {"count": len(names), "first": " / ".join(names)}))
        return tuple(sorted(counts))


def _says(clip: Clip) -> dict[str, Any]:
    """Return what a row says about its clip, to compare rows."""
    soft = None if clip.targets is None else clip.targets.tolist()
    return {
        "label": (clip.label, clip.negative, soft),
        "events": clip.events,
        "fold": clip.fold,
        "split": clip.split,
        "group": clip.group,
        **clip.extra,
    }


def _difference(a: Clip, b: Clip) -> str:
    says_a, says_b = _says(a), _says(b)
    return ", ".join(key for key in {**says_a, **says_b} if says_a.get(key) != says_b.get(key))
