# SPDX-License-Identifier: Apache-2.0
"""Where the files lie that a table lists: as listed, else under the one path of the data set that ends like it.

Tables are carried from system to system: names change their case, their Unicode form and the folder around them, and
some tables list names without an ending. A name that fits two files is asked about, never guessed.
"""

from __future__ import annotations

import os
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from auricle.data.labels import named_part
from auricle.data.paths import ARRAY_SUFFIX, Found, regular_size, resolve_listed
from auricle.files import AUDIO_EXTENSIONS
from auricle.registry import shorten
from auricle.results import Flag

_SUFFIXES = AUDIO_EXTENSIONS | {ARRAY_SUFFIX}
#: Files that an index holds at most; a larger folder is no data set that somebody meant.
MAX_INDEXED = 5_000_000


def folded(name: str) -> str:
    """Return a name as a file system that knows no case and one Unicode form has it."""
    return unicodedata.normalize("NFC", name).casefold()


class FileIndex:
    """The recordings and arrays below a folder, by their names and by their names without ending."""

    def __init__(self, root: str) -> None:
        self.root = root

    @cached_property
    def _paths(self) -> dict[str, list[str]]:
        """Paths below the root by folded file name, with and without the ending."""
        paths: dict[str, list[str]] = {}
        count = 0
        for place, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inner = os.path.relpath(place, self.root).replace(os.sep, "/")
            for name in sorted(names):
                stem, ending = os.path.splitext(name)  # noqa: PTH122
                if name.startswith(".") or ending.lower() not in _SUFFIXES:
                    continue
                path = name if inner == "." else f"{inner}/{name}"
                paths.setdefault(folded(name), []).append(path)
                paths.setdefault(folded(stem), []).append(path)
                count += 1
            if count > MAX_INDEXED:
                break
        return paths

    def ending_like(self, listed: str) -> list[str]:
        """Return the paths below the root that end like a listed one, whatever their case; its ending may be missing.

        Paths that end exactly like it come alone.
        """
        parts = [part for part in listed.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        if not parts:
            return []
        wanted = [folded(part) for part in parts]
        paths = [p for p in self._paths.get(wanted[-1], ()) if _ends_like([folded(x) for x in p.split("/")], wanted)]
        return [path for path in paths if _ends_like(path.split("/"), parts)] or paths

    def fitting(self, listed: str) -> list[str]:
        """Return the paths below the root that have the longest end of a listed path that any has.

        A path of another machine finds its file so, whatever lay above it there.
        """
        parts = [part for part in listed.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        return next((paths for end in ends if (paths := self.ending_like(end))), [])

    def named(self, stem: str, endings: Collection[str]) -> list[str]:
        """Return the paths of files that are called exactly so, but for one of some endings."""
        paths = self._paths.get(folded(stem), ())
        split = [(path, *os.path.splitext(os.path.basename(path))) for path in paths]  # noqa: PTH119, PTH122
        return [path for path, name, ending in split if name == stem and ending.lower() in endings]

    def beginning(self, *starts: str) -> list[str]:
        """Return the paths of files whose names begin with one of ``starts``."""
        found = {p for start in starts for name in self._range(folded(start)) for p in self._paths[name]}
        return sorted(path for path in found if os.path.basename(path).startswith(starts))  # noqa: PTH119

    @cached_property
    def _sorted_names(self) -> list[str]:
        return sorted(self._paths)

    def _range(self, start: str) -> list[str]:
        """Return the folded names that begin with ``start``."""
        names = self._sorted_names
        first = bisect_left(names, start)
        return names[first : bisect_left(names, f"{start}\U0010ffff")]


def _ends_like(path: Sequence[str], wanted: Sequence[str]) -> bool:
    """Tell whether a path ends with the wanted parts; the last may be without its ending."""
    if len(path) < len(wanted) or list(path[len(path) - len(wanted) : -1]) != list(wanted[:-1]):
        return False
    return wanted[-1] in (path[-1], os.path.splitext(path[-1])[0])  # noqa: PTH122


@dataclass
class Finder:
    """Finds the files of one table.

    Attributes:
        roots: folders that listed paths may be relative to.
        index: of the whole data set: nothing outside is ever found.
        part: of the data, which the table's name states: files in folders of that part go before others.
        strict: never take a file out of a folder that states another part.
        renamed: pairs of names that differ in case or Unicode form: as listed, as on disk.
        elsewhere: how many files lay in a folder that the table does not name.
    """

    roots: tuple[str, ...]
    index: FileIndex
    part: str | None = None
    strict: bool = False
    renamed: list[tuple[str, str]] = field(default_factory=list)
    elsewhere: Counter[str] = field(default_factory=Counter)

    def find(self, listed: str) -> Found:
        """Return where a listed file lies, or where it was looked for.

        Raises:
            ValueError: the path is empty, leads outside the data set, or fits several files.
        """
        found = resolve_listed(listed, self.roots, within=self.index.root)
        if found.size_bytes is None and listed != listed.strip():  # blanks beside a name are seldom part of it
            listed = listed.strip()
            found = resolve_listed(listed, self.roots, within=self.index.root)
        if found.size_bytes is not None:
            return found
        paths = self._fitting(self.index.ending_like(listed))
        if not paths:
            return found
        if len(paths) > 1:
            text = f"{listed!r} fits {len(paths)} files ({shorten(paths)}); list the folder, too, or name another root"
            raise ValueError(text)
        return self._note(listed, paths[0])

    def _fitting(self, paths: Sequence[str]) -> list[str]:
        """Return the paths in folders of the table's part, else those in folders of none, else of others."""
        if self.part is None or not paths:
            return list(paths)
        parts = [{named_part(folder) for folder in path.split("/")[:-1]} - {None} for path in paths]
        own = [path for path, named in zip(paths, parts, strict=True) if self.part in named]
        neutral = [path for path, named in zip(paths, parts, strict=True) if not named]
        return own or neutral or ([] if self.strict else list(paths))

    def _note(self, listed: str, path: str) -> Found:
        """Return the file at a path below the root, and keep in what it differs from the listed one."""
        plain = listed.replace("\\", "/").removeprefix("./")
        if _ends_like(path.split("/"), [part for part in plain.split("/") if part not in ("", ".", "..")]):
            self.elsewhere[os.path.dirname(path)] += 1  # noqa: PTH120
        else:
            self.renamed.append((plain, path))
        absolute = os.path.join(self.index.root, path)  # noqa: PTH118
        return Found(absolute, path, regular_size(absolute))


def finding_flags(finders: Sequence[Finder]) -> list[Flag]:
    """Return a flag for names that differ from those listed in case or Unicode form."""
    renamed = [pair for finder in finders for pair in finder.renamed]
    if not renamed:
        return []
    return [Flag("name_collision", {"count": len(renamed), "first": " / ".join(renamed[0])})]


def finding_notes(finders: Sequence[Finder]) -> list[str]:
    """Return where files lay that were not where the tables say."""
    folders: Counter[str] = Counter()
    for finder in finders:
        folders.update(finder.elsewhere)
    if not folders:
        return []
    places = shorten((repr(f"{folder}/" if folder else "./") for folder, _ in folders.most_common()), 4)
    return [f"{sum(folders.values())} files were found by their names in {places}"]
