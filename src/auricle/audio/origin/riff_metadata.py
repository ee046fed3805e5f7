# SPDX-License-Identifier: Apache-2.0
"""The chunks of a WAV (RIFF, RIFX, RF64, BW64) or W64 that say where it comes from: guan, bext, iXML and LIST.

``bext`` (EBU Tech 3285), all fields of fixed length, text padded with zeros:

    offset    0  256  288  320  330  338  346
    field     Description, Originator, OriginatorReference, OriginationDate, OriginationTime, TimeReference, Version
"""

from __future__ import annotations

from typing import Literal

from auricle.audio.headers.chunks import RIFF, RIFX, W64, Chunk, Family
from auricle.audio.source import Source

#: Longer chunks are passed over: text of a recorder has some kilobytes.
MAX_CHUNK_BYTES = 1 << 20
_WANTED = {b"guan": "guano", b"bext": "bext", b"iXML": "ixml"}
_BEXT = {"description": (0, 256), "originator": (256, 32), "reference": (288, 32), "date": (320, 10), "time": (330, 8)}
_LONG_SIZE = (1 << 32) - 1


def read_chunks(source: Source) -> tuple[dict[str, bytes], Literal["little", "big"]]:
    """Return the content of the chunks by name, and of ``LIST`` chunks of type INFO as ``info``; the first of each.

    The second value is the order of bytes in numbers.
    """
    head = source.read_at(0, 16)
    family: Family
    if head[:4] == b"RIFX":
        family, offset = RIFX, 12
    elif head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        family, offset = RIFF, 12
    elif head[:4] == b"riff":
        family, offset = W64, 40
    else:
        return {}, "little"
    found: dict[str, bytes] = {}
    while (step := _next(source, family, offset)) is not None:
        chunk, offset = step
        name = _WANTED.get(chunk.name, "info" if chunk.name in (b"LIST", b"list") else "")
        if not name or name in found or not 0 < chunk.size <= MAX_CHUNK_BYTES:
            continue
        content = source.read_at(chunk.start, chunk.size)
        if name == "info":
            if content[:4] != b"INFO":
                continue
            content = content[4:]
        found[name] = content
    return found, "big" if family is RIFX else "little"


def _next(source: Source, family: Family, offset: int) -> tuple[Chunk, int] | None:
    """Return the chunk at ``offset`` and where the next one begins; the data of an RF64 has its length in ``ds64``."""
    chunk = family.chunk_at(source, offset)
    if chunk is None or chunk.size < 0:
        return None
    stop = chunk.stop
    if chunk.name == b"data" and chunk.size == _LONG_SIZE:
        stop = chunk.start + int.from_bytes(source.read_at(28, 8), "little")  # RF64 size WAVE, ds64 size riff [data]
    return None if stop > source.size + 1 else (chunk, max(offset + 8, family.behind(source, stop)))


def parse_bext(content: bytes) -> dict[str, str]:
    """Return the text fields of a ``bext`` chunk that say something."""
    fields = {name: text_of(content[start : start + size]) for name, (start, size) in _BEXT.items()}
    return {name: text for name, text in fields.items() if text}


def parse_info(content: bytes, order: Literal["little", "big"] = "little") -> dict[str, str]:
    """Return the fields of a ``LIST`` chunk of type INFO: a name of four letters, a length, text, a pad byte."""
    fields: dict[str, str] = {}
    offset = 0
    while offset + 8 <= len(content):
        name = content[offset : offset + 4].decode("latin-1")
        size = int.from_bytes(content[offset + 4 : offset + 8], order)
        if text := text_of(content[offset + 8 : offset + 8 + size]):
            fields.setdefault(name, text)
        offset += 8 + size + size % 2
    return fields


def text_of(content: bytes) -> str:
    """Return text up to its first zero: UTF-8 if it is that, else Latin-1."""
    content = content.split(b"\0", 1)[0]
    try:
        return content.decode("utf-8").strip()
    except UnicodeDecodeError:
        return content.decode("latin-1").strip()
