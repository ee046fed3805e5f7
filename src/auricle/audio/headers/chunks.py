# SPDX-License-Identifier: Apache-2.0
"""Chunks: a name, a size, content, and a pad byte if the writer was careful. WAV, AIFF, 8SVX, W64 and CAF are made so.

Many writers forget the pad byte of a chunk of odd length (or the padding to 8 bytes in W64). Where the next chunk
makes no sense at the padded place, it is looked for right behind the content.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from auricle.audio.source import Source

_MAX_CHUNKS = 10_000
#: Metadata behind the audio is looked for in the last bytes of a file whose length is not known.
_TAIL_BYTES = 1 << 20
_RIFF_NAMES = frozenset(
    {b"fmt ", b"data", b"fact", b"LIST", b"bext", b"id3 ", b"ID3 ", b"cue ", b"plst", b"smpl", b"inst", b"iXML"}
    | {b"_PMX", b"PEAK", b"JUNK", b"junk", b"FLLR", b"PAD ", b"cart", b"axml", b"chna", b"umid", b"ds64", b"levl"}
    | {b"acid", b"DISP", b"minf", b"elm1", b"afsp", b"aXML", b"guan", b"slnt", b"wavl", b"note", b"labl", b"ltxt"}
)
_AIFF_NAMES = frozenset(
    {b"COMM", b"SSND", b"FVER", b"MARK", b"COMT", b"INST", b"MIDI", b"AESD", b"APPL", b"NAME", b"AUTH", b"(c) "}
    | {b"ANNO", b"ID3 ", b"id3 ", b"PEAK", b"CHAN", b"basc", b"trns", b"cate", b"VHDR", b"BODY", b"CRDT", b"FLLR"}
    | {b"PAD ", b"JUNK", b"junk"}
)
_CAF_NAMES = frozenset(
    {b"desc", b"data", b"chan", b"kuki", b"pakt", b"info", b"uuid", b"free", b"mark", b"regn", b"inst", b"midi"}
    | {b"ovvw", b"peak", b"umid", b"edct", b"strg"}
)
_W64_SUFFIX = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_W64_LIST = b"list\x2f\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_NAMES = frozenset({b"fmt ", b"data", b"fact", b"levl", b"junk", b"bext", b"mark", b"list", b"cue "})


@dataclass(frozen=True)
class Chunk:
    """A chunk.

    Attributes:
        name: four letters.
        start: where its content begins.
        size: bytes of content, by its header; below 0 or beyond the file if the header leaves it open, or lies.
    """

    name: bytes
    start: int
    size: int

    @property
    def stop(self) -> int:
        """Where the content ends by its header."""
        return self.start + self.size


@dataclass(frozen=True)
class Family:
    """How a family of formats writes its chunks.

    Attributes:
        kind: of the header: ``32`` is a name and 32 bits, ``caf`` a name and 64 bits, ``w64`` a GUID and 64 bits.
        order: of the bytes of a size, as in ``struct``.
        align: chunks begin at multiples of it.
        names: that are known.
    """

    kind: Literal["32", "caf", "w64"]
    order: Literal["<", ">"]
    align: int
    names: frozenset[bytes]

    @property
    def header_bytes(self) -> int:
        """Bytes before the content."""
        return {"32": 8, "caf": 12, "w64": 24}[self.kind]

    def chunk_at(self, source: Source, offset: int) -> Chunk | None:
        """Return the chunk at ``offset``, None where the file is too short or no name stands."""
        head = source.read_at(offset, self.header_bytes)
        if len(head) < self.header_bytes:
            return None
        name, start = head[:4], offset + self.header_bytes
        if self.kind == "w64":
            named = head[4:16] == _W64_SUFFIX or head[:16] == _W64_LIST
            return Chunk(name, start, int(struct.unpack("<Q", head[16:])[0]) - 24) if named else None
        if not all(0x20 <= byte < 0x7F for byte in name):
            return None
        return Chunk(name, start, int(struct.unpack(self.order + ("I" if self.kind == "32" else "q"), head[4:])[0]))

    def likely(self, source: Source, offset: int) -> int:
        """Return how much the bytes at ``offset`` look like a chunk: 2 by a known name, 1 by a size that fits, or 0."""
        chunk = self.chunk_at(source, offset)
        if chunk is None:
            return 0
        return 2 if chunk.name in self.names else int(chunk.size >= 0 and chunk.stop <= source.size)

    def behind(self, source: Source, stop: int) -> int:
        """Return where the chunk after a content that ends at ``stop`` begins: at the padded place, or right there."""
        padded = -(-stop // self.align) * self.align
        return stop if self.likely(source, stop) > self.likely(source, padded) else padded

    def walk(self, source: Source, offset: int) -> Iterator[Chunk]:
        """Yield the chunks from ``offset`` on, up to the first that is none or reaches beyond the file (included)."""
        for _ in range(_MAX_CHUNKS):
            chunk = self.chunk_at(source, offset)
            if chunk is None:
                return
            yield chunk
            if chunk.size < 0 or chunk.stop > source.size:
                return
            offset = self.behind(source, chunk.stop)

    def is_tail(self, source: Source, offset: int) -> bool:
        """Tell whether what begins at ``offset`` is metadata: a known name, or chunks that fit the rest of the file."""
        if self.likely(source, offset) == 2:
            return True
        return self._fits(source, offset)

    def tail_start(self, source: Source, start: int) -> int:
        """Return where metadata begins that ends with the file, after ``start``; the file's end if there is none."""
        begin = max(start, source.size - _TAIL_BYTES)
        block = source.read_at(begin, source.size - begin)
        places = (begin + at for name in self.names for at in _all(block, name))
        return min((at for at in places if self._fits(source, at)), default=source.size)

    def _fits(self, source: Source, offset: int) -> bool:
        """Tell whether chunks from ``offset`` on end where the file does, a last pad byte more or less."""
        last = None
        for last in self.walk(source, offset):
            if last.size < 0:
                return False
        return last is not None and abs(source.size - last.stop) < max(2, self.align)


def _all(block: bytes, name: bytes) -> Iterator[int]:
    at = block.find(name)
    while at >= 0:
        yield at
        at = block.find(name, at + 1)


RIFF = Family("32", "<", 2, _RIFF_NAMES)
RIFX = Family("32", ">", 2, _RIFF_NAMES)
IFF = Family("32", ">", 2, _AIFF_NAMES)
CAF = Family("caf", ">", 1, _CAF_NAMES)
W64 = Family("w64", "<", 8, _W64_NAMES)
