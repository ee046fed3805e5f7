# SPDX-License-Identifier: Apache-2.0
"""Lists of recordings in a file or on stdin: one path a line, or ended by NUL as ``find -print0`` writes them.

A path is taken to the letter: nothing is a pattern, and blanks belong to it. Bytes that are no UTF-8 come through.
Relative paths are those of the working folder, as for ``tar -T`` and ``xargs``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from auricle.audio.listing import STDIN
from auricle.errors import UsageError
from auricle.files import AUDIO_EXTENSIONS, printable

#: No path that a system takes is longer; a file whose first "line" is longer is no list.
LONGEST_PATH_BYTES = 1 << 15
_BLOCK_BYTES = 1 << 16
_MARK = b"\xef\xbb\xbf"


def read_paths(name: str) -> Iterator[str]:
    """Yield the paths in a list, ``-`` for stdin; memory does not grow with its length.

    Raises:
        UsageError: the list cannot be read, is a recording, or holds no path.
    """
    if Path(name).suffix.lower() in AUDIO_EXTENSIONS:
        raise UsageError(f"--list {printable(name)}: that is a recording; give it as INPUT, or a file with paths")
    try:
        opened = nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb")  # noqa: SIM115 (closed below)
        with opened as file:
            found = False
            for path in _split(file, name):
                found = True
                # A file may be called "-"; alone it would mean stdin.
                yield os.fsdecode(path) if path != b"-" else "./-"
    except OSError as error:
        raise UsageError(f"--list {printable(name)}: {error.strerror}; check the path of the list") from error
    if not found:
        raise UsageError(f"--list {printable(name)}: it holds no path; expected one a line, or ended by NUL")


def _split(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield what stands between line ends, or between NULs where there is one in the beginning."""
    rest = file.read(_BLOCK_BYTES).removeprefix(_MARK)
    end = b"\0" if b"\0" in rest else b"\n"
    while True:
        *whole, rest = rest.split(end)
        yield from (path for path in map(_trimmed if end == b"\n" else bytes, whole) if path)
        if len(rest) > LONGEST_PATH_BYTES:
            raise UsageError(f"--list {printable(name)}: no list of paths: {len(rest)} bytes without a line end")
        more = file.read(_BLOCK_BYTES)
        if not more:
            break
        rest += more
    if path := _trimmed(rest):
        yield path


def _trimmed(line: bytes) -> bytes:
    """Return a line without its end, as Windows writes it too."""
    return line.rstrip(b"\r\n")
