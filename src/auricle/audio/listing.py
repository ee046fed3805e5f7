# SPDX-License-Identifier: Apache-2.0
"""Which recordings do files, folders and patterns name? Found one by one, in an order that is the same every time.

A folder is searched with all below it. Only audio extensions count there, hidden files do not, and a folder reached
twice through links is visited once. Names are sorted without regard to case and Unicode form, so that twins, which
another file system would take for one file, stand side by side and can be flagged.

A folder may hold any number of files: their names are sorted in memory up to ``SORTED_IN_MEMORY``, on disk beyond.
"""

from __future__ import annotations

import glob
import heapq
import json
import os
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from auricle.audio.source import retried
from auricle.audio.web import is_address
from auricle.errors import InputError, UsageError
from auricle.files import AUDIO_EXTENSIONS
from auricle.results import Failure, Flag

#: Names of one folder that are held in memory at once, some 150 bytes each.
SORTED_IN_MEMORY = 500_000
STDIN = "-"


@dataclass(frozen=True)
class Entry:
    """A recording that was named or found.

    Attributes:
        path: as it was typed, or below the folder that was typed; bytes that are no UTF-8 as surrogates.
        named: typed by the user, not found in a folder.
        flags: what the listing alone can see.
        error: why it cannot be read, where the listing has seen that already.
        part: from where to where it is taken, in seconds; None for all of it.
        channel: which channel is taken, from 1 on; None where that does not differ from recording to recording.
    """

    path: str
    named: bool = False
    flags: tuple[Flag, ...] = ()
    error: Failure | None = None
    part: tuple[float, float] | None = None
    channel: int | None = None

    def to_json(self) -> str | dict[str, Any]:
        """Return JSON for a journal: the path alone where that is all."""
        if self == Entry(self.path):
            return self.path
        error = None if self.error is None else self.error.to_dict()
        flags = [f.to_dict() for f in self.flags]
        part = {} if self.part is None else {"part": list(self.part)}
        channel = {} if self.channel is None else {"channel": self.channel}
        return {"path": self.path, "named": self.named, "flags": flags, "error": error, **part, **channel}

    @staticmethod
    def from_json(value: str | dict[str, Any]) -> Entry:
        """Return what ``to_json`` was called on."""
        if isinstance(value, str):
            return Entry(value)
        flags = tuple(Flag(f["code"], {k: v for k, v in f.items() if k != "code"}) for f in value["flags"])
        error = None if value["error"] is None else Failure(**value["error"])
        part = (value["part"][0], value["part"][1]) if "part" in value else None
        return Entry(value["path"], value["named"], flags, error, part, value.get("channel"))


class Listing:
    """Iterate once for the entries; afterwards the counters tell what was passed over.

    Args:
        inputs: files, folders, patterns with ``*``, ``?`` or ``[`` (unless a file has that very name), or ``-``.
        follow_links: also read what lies outside a folder and is linked from within it.
        literal: nothing is a pattern, whatever characters it has.

    Attributes:
        links_outside: links that lead out of their folder and were not followed.
        others: extensions that are no audio, with their counts.

    Raises:
        UsageError: while iterating: nothing matches a pattern, or a folder holds no recording; says what it holds.
    """

    def __init__(self, inputs: Iterable[str], *, follow_links: bool = False, literal: bool = False) -> None:
        self._inputs = inputs
        self._literal = literal
        self._follow_links = follow_links
        self.links_outside = 0
        self.others: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Entry]:
        for name in self._inputs:
            if self._literal or is_address(name) or name == STDIN or not glob.has_magic(name) or os.path.lexists(name):
                yield from self._expand(name)
                continue
            matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - absolute patterns too
            if not matches:
                raise UsageError(f"no file matches {name!r}; check the pattern, or quote it if the shell changed it")
            for match in matches:
                yield from self._expand(match)

    def _expand(self, name: str) -> Iterator[Entry]:
        """Yield ``name`` itself, or what is below it if it is a folder."""
        if name == STDIN or is_address(name) or not Path(name).is_dir():
            yield Entry(name, named=True)
            return
        before, links_before, found = self.others.copy(), self.links_outside, False
        for entry in self._walk(name):
            found = True
            yield entry
        if not found:
            raise UsageError(_nothing_in(name, self.others - before, self.links_outside - links_before))

    def _walk(self, root: str) -> Iterator[Entry]:
        """Yield the recordings below ``root``, depth first, without recursion: folders may be nested deeply."""
        home = os.path.realpath(root)
        visited: set[tuple[int, int]] = set()
        stack = [self._folder(root, home, visited)]
        while stack:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
            elif isinstance(step, Entry):
                yield step
            else:
                stack.append(self._folder(step, home, visited))

    def _folder(self, folder: str, home: str, visited: set[tuple[int, int]]) -> Iterator[Entry | str]:
        """Yield the recordings in one folder, and the folders in it as plain paths."""
        with ExitStack() as files:
            try:
                status = retried(Path(folder).stat)
                if (identity := (status.st_dev, status.st_ino)) in visited:
                    return
                visited.add(identity)
                names = retried(lambda: _sorted_names(folder, files))
            except InputError as error:
                yield Entry(folder, error=Failure(error.code, f"the folder cannot be listed: {error.message}"))
                return
            for _, twins in groupby(names, key=lambda name: name.key):
                yield from self._group(folder, home, list(twins))

    def _group(self, folder: str, home: str, twins: list[_Name]) -> Iterator[Entry | str]:
        """Yield what the names of one group mean; almost always it is one name."""
        recordings = []
        for name in twins:
            path = os.path.join(folder, name.text)  # noqa: PTH118 - keeps a leading "./" as it was typed
            extension = PurePath(name.text).suffix.lower()
            if extension not in AUDIO_EXTENSIONS and not name.is_folder:
                self.others[extension or "(no extension)"] += 1
            elif name.is_link and not self._follow_links and _leads_out(path, home):
                self.links_outside += 1
            elif name.is_folder and extension not in AUDIO_EXTENSIONS:
                yield path
            else:  # a folder called x.wav too: it fails when it is opened, and nobody misses a recording in silence
                recordings.append((name.text, path))
        for text, path in recordings:
            other = next((t for t, _ in recordings if t != text), None)
            flags = () if other is None else (Flag("name_collision", {"with": _escaped(other)}),)
            yield Entry(path, flags=flags)


class _Name(NamedTuple):
    """A name in a folder; sorts by what is left of it without case and Unicode form."""

    key: str
    text: str
    is_folder: bool
    is_link: bool


def _sorted_names(folder: str, files: ExitStack) -> Iterator[_Name]:
    """Read a folder to its end and return its names in order; large ones are sorted in parts on disk."""
    parts: list[Iterator[_Name]] = []
    names: list[_Name] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            key = unicodedata.normalize("NFC", entry.name).casefold()
            names.append(_Name(key, entry.name, _is_folder(entry), entry.is_symlink()))
            if len(names) >= SORTED_IN_MEMORY:
                parts.append(_spilled(sorted(names), files))
                names = []
    names.sort()
    return heapq.merge(*parts, names) if parts else iter(names)


def _spilled(names: list[_Name], files: ExitStack) -> Iterator[_Name]:
    """Write names to a temporary file and return what reads them again."""
    file = files.enter_context(tempfile.TemporaryFile("w+", encoding="ascii"))  # noqa: SIM115 (``files`` closes it)
    for name in names:
        file.write(json.dumps(name) + "\n")
    file.seek(0)
    return (_Name(*json.loads(line)) for line in file)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is a folder; a link to itself is none, and is reported when it is read."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _leads_out(path: str, home: str) -> bool:
    """Tell whether a link leads to something outside ``home``; a link to nothing is reported when it is read."""
    if not os.path.exists(path):  # noqa: PTH110 - a loop of links is False here, an error in pathlib
        return False
    target = os.path.realpath(path)
    return not (target == home or target.startswith(home.rstrip(os.sep) + os.sep))


def _escaped(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _nothing_in(folder: str, others: Counter[str], links_outside: int) -> str:
    seen = ", ".join(f"{extension} ({count})" for extension, count in others.most_common(8))
    if links_outside:
        links = f"{links_outside} links that lead out of it (--follow-links follows them)"
        seen = f"{seen}, {links}" if seen else links
    known = " ".join(sorted(AUDIO_EXTENSIONS))
    return (
        f"no recording in folder {folder!r}: found {seen or 'nothing'}; looked for {known}; name other files one by one"
    )
