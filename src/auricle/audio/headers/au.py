# SPDX-License-Identifier: Apache-2.0
"""AU: six 32-bit numbers, perhaps a remark, then samples to the end of the file; no chunks."""

from __future__ import annotations

import struct

from auricle.audio.headers.chunks import Family
from auricle.audio.headers.extent import Extent, true_length
from auricle.audio.headers.layout import Layout, Part
from auricle.audio.source import Source
from auricle.errors import InputError

_HEAD_BYTES = 24
#: "Not known"; some programs write the largest signed number for it.
_OPEN_LENGTHS = frozenset({0xFFFFFFFF, 0x7FFFFFFF})
#: Bytes of a sample by encoding; 23 to 26 are codecs of less than a byte.
_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
_NO_CHUNKS = Family("32", ">", 1, frozenset())


def inspect_au(source: Source) -> Layout:
    """Compare an AU header with its file.

    Raises:
        InputError: ``bad_header`` or ``no_audio``.
    """
    head = source.read_at(0, _HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        raise InputError("bad_header", f"an AU header cut after {len(head)} bytes")
    order = ">" if head[:4] == b".snd" else "<"
    start, size, encoding, rate, channels = struct.unpack(order + "5I", head[4:])
    if start < _HEAD_BYTES or start > source.size:
        raise InputError("bad_header", f"an AU header says that its audio begins at byte {start}")
    unit = channels * _WIDTHS.get(encoding, 0)
    declared = None if size in _OPEN_LENGTHS and start + size > source.size else size
    length, flags = true_length(source, _NO_CHUNKS, Extent(start, declared, None, unit))
    if length == 0:
        raise InputError("no_audio", "an AU header, and no audio behind it")
    header = head[:4] + struct.pack(order + "5I", _HEAD_BYTES, min(length, 0xFFFFFFFE), encoding, rate, channels)
    return Layout(
        (Part(header, start, start + length),),
        length // unit if unit else None,
        flags,
        exact_seek=bool(unit),
        codec_note=f"AU with encoding {encoding}",
    )
