# SPDX-License-Identifier: Apache-2.0
"""VOC: blocks of sound, silence and remarks. libsndfile reads the first of them, and the end mark as a sample.

A block is a type and a length of 3 bytes: 1 and 9 are sound with its format, 2 is more of it, 3 is silence, 8 a
format for the block after it, 0 the end; the others are remarks. What is sound is handed on as one WAV.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from auricle.audio.headers.layout import Layout, Part
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

_MAX_BLOCKS = 100_000
_MAX_RATE = 1_000_000
_END, _SOUND, _MORE, _SILENCE, _EXTENDED, _NEW_SOUND = 0, 1, 2, 3, 8, 9
#: Codec of a block -> format tag of WAV and bits. The others are ADPCM of the maker's own.
_CODECS = {0: (1, 8), 4: (1, 16), 6: (6, 8), 7: (7, 8)}


@dataclass(frozen=True)
class _Format:
    rate: int
    channels: int
    codec: int
    bits: int


def inspect_voc(source: Source) -> Layout:
    """Gather the sound of a VOC file.

    Raises:
        InputError: ``bad_header``, ``no_audio``, ``rate_change``.
    """
    format: _Format | None = None
    pieces: list[range | bytes] = []
    lost = 0
    stated: _Format | None = None
    for kind, begin, stop in _blocks(source):
        lost += max(0, stop - source.size)
        start, here = begin, min(stop, source.size)
        if kind in {_SOUND, _NEW_SOUND, _EXTENDED}:
            found, skip = _format(source.read_at(start, 12), kind, stated)
            if pieces and format is not None and found != format:
                raise InputError("rate_change", "sample rate or channels change inside the VOC file; split it")
            format, start = found, start + skip
            stated = format if kind == _EXTENDED else None
        elif kind == _SILENCE and format is not None:
            count = int.from_bytes(source.read_at(start, 2), "little") + 1
            pieces.append((b"\x80" if format.bits == 8 else b"\0\0") * format.channels * count)
        if kind in {_SOUND, _NEW_SOUND, _MORE} and here > start:
            pieces.append(range(start, here - _end_mark(source, format, stop)))
    if format is None:
        raise InputError("bad_header", "a VOC file without a block of sound; get the file again")
    size = sum(map(len, pieces))
    if not size:
        raise InputError("no_audio", "a VOC header, and no audio behind it")
    return _layout(format, pieces, size, lost)


def _end_mark(source: Source, format: _Format | None, stop: int) -> int:
    """Return 1 if a block's last byte is the end mark, which libsndfile counts in: it is 0, and no block follows."""
    is_narrow = format is not None and format.bits == 8
    return int(is_narrow and stop == source.size and source.read_at(stop - 1, 1) == b"\0")


def _layout(format: _Format, pieces: list[range | bytes], size: int, lost: int) -> Layout:
    if format.codec not in _CODECS:
        return Layout(codec_note=f"VOC with codec {format.codec}", needs_codecs=True)
    tag, bits = _CODECS[format.codec]
    unit = format.channels * bits // 8
    flags = (Flag("truncated", {"declared": (size + lost) // unit, "found": size // unit}),) if lost else ()
    fmt = struct.pack("<HHIIHH", tag, format.channels, format.rate, format.rate * unit, unit, bits)
    header = struct.pack("<4sI4s4sI", b"RIFF", min(36 + size, (1 << 32) - 1), b"WAVE", b"fmt ", 16) + fmt
    header += struct.pack("<4sI", b"data", min(size, (1 << 32) - 1))
    part = Part(header, pieces=tuple(pieces))
    return Layout((part,), size // unit, flags, exact_seek=True, container="VOC")


def _blocks(source: Source) -> Iterator[tuple[int, int, int]]:
    """Yield (type, start, stop) of the content of each block; the last one may reach beyond the file."""
    offset = int.from_bytes(source.read_at(20, 2), "little")
    if offset < 26:
        raise InputError("bad_header", "a VOC header cut or damaged; get the file again")
    for _ in range(_MAX_BLOCKS):
        head = source.read_at(offset, 4)
        if len(head) < 4 or head[0] == _END:
            return
        stop = offset + 4 + int.from_bytes(head[1:4], "little")
        yield head[0], offset + 4, stop
        offset = stop


def _format(head: bytes, kind: int, stated: _Format | None) -> tuple[_Format, int]:
    """Return the format that a block states, or the one before it has ``stated``, and how many bytes that takes."""
    if len(head) < {_SOUND: 2, _EXTENDED: 4, _NEW_SOUND: 12}[kind]:
        raise InputError("bad_header", "a VOC file cut in the header of its sound; get the file again")
    if kind == _NEW_SOUND:
        rate, bits, channels, codec = struct.unpack("<IBBH", head[:8])
        format, skip = _Format(rate, channels, codec, bits), 12
    elif kind == _EXTENDED:
        divisor, codec, mode = struct.unpack("<HBB", head[:4])
        format, skip = _Format(round(256e6 / (mode + 1) / (65_536 - divisor)), mode + 1, codec, 8), 4
    elif stated is not None:
        format, skip = stated, 2
    else:
        format, skip = _Format(round(1e6 / (256 - head[0])), 1, head[1], 8), 2
    if (
        format.channels == 0
        or not 0 < format.rate <= _MAX_RATE
        or (format.codec in _CODECS and format.bits != _CODECS[format.codec][1])
    ):
        raise InputError(
            "bad_header", f"a VOC block of {format.bits} bits, {format.channels} channels, {format.rate} Hz"
        )
    return format, skip
