# SPDX-License-Identifier: Apache-2.0
"""MP4 and MOV: boxes. Encrypted sound is refused, and a box that reaches beyond the file was cut.

Boxes are a size, a name and content. ``moov`` holds, some levels down, one ``stsd`` a track: version, count, and
entries whose names are the codecs. ``enca`` and ``drms`` stand for encrypted sound; decoding it would give noise.
"""

from __future__ import annotations

import struct

from auricle.audio.headers.layout import Layout
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

_MAX_BOXES = 100_000
_MAX_HEADER_BYTES = 1 << 20


def inspect_mp4(source: Source, kind: Kind) -> Layout:
    """Walk the outermost boxes.

    Raises:
        InputError: ``unsupported_codec`` for encrypted sound.
    """
    offset = 0
    flags: tuple[Flag, ...] = ()
    for _ in range(_MAX_BOXES):
        head = source.read_at(offset, 16)
        if len(head) < 8:
            break
        size, name = struct.unpack(">I4s", head[:8])
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if name == b"moov":
            _refuse_encrypted(source.read_at(offset, min(size, _MAX_HEADER_BYTES)), kind)
        if size < 8 or not name.isalnum():  # 0: to the end of the file
            break
        if offset + size > source.size:
            flags = (Flag("truncated", {"declared": size, "found": source.size - offset, "unit": "bytes"}),)
            break
        offset += size
    return Layout(flags=flags, codec_note=kind.title)


def _refuse_encrypted(box: bytes, kind: Kind) -> None:
    if any(table[12:16] in {b"enca", b"drms"} for table in box.split(b"stsd")[1:]):
        raise InputError("unsupported_codec", f"{kind.title} with encrypted sound; get it without protection")
