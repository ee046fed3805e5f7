# SPDX-License-Identifier: Apache-2.0
"""Ogg pages: a walk from page to page, each checked by its sum.

A page is ``OggS``, 23 bytes of header (flags at 5, last sample's position at 6, stream number at 14, checksum at 22,
number of segments at 26), the segment lengths, and the segments. Flag 1 marks a page that continues a packet,
flag 2 the first page of a stream, flag 4 the last.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from auricle.audio.source import Source

CONTINUED, FIRST, LAST = 1, 2, 4
_HEADER_BYTES = 27
_SUM_AT = 22
_MAX_PAGE_BYTES = _HEADER_BYTES + 255 + 255 * 255
_WINDOW_BYTES = 1 << 18
_HEAD_BYTES = 64
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        start: of its header.
        body: where its segments begin.
        stop: behind its last segment.
        flags: of the header.
        serial: number of its stream.
        head: the first bytes of the body.
    """

    start: int
    body: int
    stop: int
    flags: int
    serial: int
    head: bytes


def pages(source: Source) -> Iterator[Page]:
    """Yield the pages that are whole and sound; damage between them is skipped."""
    window, window_start, position = b"", 0, 0
    while position + _HEADER_BYTES <= source.size:
        if position + _MAX_PAGE_BYTES > window_start + len(window) < source.size or position < window_start:
            window, window_start = source.read_at(position, _WINDOW_BYTES), position
        page = _page(window, position - window_start, window_start)
        if page is not None:
            yield page
            position = page.stop
            continue
        at = window.find(b"OggS", position - window_start + 1)
        position = window_start + (at if at >= 0 else max(position - window_start + 1, len(window) - 3))


def _page(window: bytes, at: int, base: int) -> Page | None:
    """Return the page at ``at`` of the window, which begins at ``base``; None if it is cut, damaged or none."""
    header = window[at : at + _HEADER_BYTES]
    if header[:4] != b"OggS" or len(header) < _HEADER_BYTES:
        return None
    body = at + _HEADER_BYTES + header[26]
    stop = body + sum(window[at + _HEADER_BYTES : body])
    serial, _, said = struct.unpack("<III", header[14:26])
    if stop > len(window) or (said and said != _sum(window[at:stop])):
        return None
    head = window[body : min(stop, body + _HEAD_BYTES)]
    return Page(base + at, base + body, base + stop, header[5], serial, head)


def _sum(page: bytes) -> int:
    """Return the checksum of a page: zlib's with all bits in the other order, over a page with its sum left out."""
    blank = page[:_SUM_AT] + bytes(4) + page[_SUM_AT + 4 :]
    mirrored = zlib.crc32(blank.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
