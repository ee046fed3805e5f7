# SPDX-License-Identifier: Apache-2.0
"""Parts of a source as one file for a decoder, behind a header of ours where the file's own one lies."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from auricle.audio.source import Source
from auricle.errors import InputError


class View(io.RawIOBase):
    """A part of a source as a file: ``header``, then ``[start, stop)`` or, where there are any, the ``pieces``.

    Errors cannot pass through the decoder's C code, so the first one is kept in ``error``, and the decoder sees the
    end of the file.
    """

    def __init__(
        self,
        source: Source,
        header: bytes = b"",
        start: int = 0,
        stop: int | None = None,
        pieces: Sequence[range | bytes] = (),
    ) -> None:
        self._source = source
        whole = range(start, source.size if stop is None else stop)
        self._pieces: list[range | bytes] = [piece for piece in (header, *(pieces or (whole,))) if len(piece)]
        self._starts = list(accumulate((len(piece) for piece in self._pieces), initial=0))
        self._size = self._starts.pop()
        self._position = 0
        self.error: InputError | None = None

    def readable(self) -> bool:
        """Say yes: that is what this is for."""
        return True

    def seekable(self) -> bool:
        """Say yes: all sources can seek."""
        return True

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position, which may lie beyond the end."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` as far as the bytes reach."""
        target = memoryview(buffer)
        data = self._read(len(target))
        target[: len(data)] = data
        return len(data)

    def _read(self, count: int) -> bytes:
        stop = min(self._position + count, self._size)
        parts = []
        try:
            while self._position < stop and (part := self._read_piece(stop - self._position)):
                parts.append(part)
                self._position += len(part)
        except InputError as error:
            self.error = self.error or error
            return b""
        return b"".join(parts)

    def _read_piece(self, count: int) -> bytes:
        """Return up to ``count`` bytes at the position, from the one piece that it lies in."""
        index = bisect_right(self._starts, self._position) - 1
        piece, inside = self._pieces[index], self._position - self._starts[index]
        if isinstance(piece, bytes):
            return piece[inside : inside + count]
        return self._source.read_at(piece.start + inside, min(count, len(piece) - inside))
