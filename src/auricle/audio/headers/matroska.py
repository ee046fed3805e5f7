# SPDX-License-Identifier: Apache-2.0
"""WebM and Matroska: elements within elements. One that reaches beyond the file was cut.

An element is an identity of 1 to 4 bytes, a size of 1 to 8 bytes, and content. The leading zeros of the first byte
say how many bytes there are; a size of ones means "not known", as a recorder writes that streams.
"""

from __future__ import annotations

from auricle.audio.headers.layout import Layout
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source
from auricle.results import Flag

_MAX_ELEMENTS = 1_000_000
#: Elements that are entered: the segment and its clusters.
_MASTERS = frozenset({0x18538067, 0x1F43B675})
_MAX_SIZE_BYTES, _MAX_ID_BYTES = 8, 4


def inspect_matroska(source: Source, kind: Kind) -> Layout:
    """Walk the elements of a file down to its blocks, and flag the first that is cut."""
    offset = 0
    for _ in range(_MAX_ELEMENTS):
        head = source.read_at(offset, _MAX_ID_BYTES + _MAX_SIZE_BYTES)
        if not head:
            break
        id_bytes, size_bytes = _digits(head[:1]), _digits(head[_digits(head[:1]) :][:1])
        if not 0 < id_bytes <= _MAX_ID_BYTES or not size_bytes:
            break
        identity = int.from_bytes(head[:id_bytes], "big")
        open_size = (1 << 7 * size_bytes) - 1
        size = int.from_bytes(head[id_bytes : id_bytes + size_bytes], "big") & open_size
        start = offset + id_bytes + size_bytes
        if size != open_size and start + size > source.size:
            counts: dict[str, float | int | str] = {"declared": size, "found": max(0, source.size - start)}
            return Layout(flags=(Flag("truncated", {**counts, "unit": "bytes"}),), codec_note=kind.title)
        offset = start if identity in _MASTERS or size == open_size else start + size
    return Layout(codec_note=kind.title)


def _digits(first: bytes) -> int:
    """Return how many bytes a number takes whose first byte is this; 0 if there is none."""
    return 9 - first[0].bit_length() if first and first[0] else 0
