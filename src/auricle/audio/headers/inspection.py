# SPDX-License-Identifier: Apache-2.0
"""Headers compared with their files, before any decoder sees them. One function per family, one table.

Each inspector returns a ``Layout``: which bytes to decode, behind which header, and flags for what the header hides.
WAV, Ogg and MP3 have files of their own; here are the short ones.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from auricle.audio.headers.layout import Layout, Part
from auricle.audio.headers.mpeg import inspect_mp3
from auricle.audio.headers.ogg import inspect_ogg
from auricle.audio.headers.riff import inspect_wav
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

_MAX_CHUNKS = 10_000
_MAX_HEADER_BYTES = 1 << 20
_FLAC_UNKNOWN_TOTAL = 0
_FLAC_MAX_TOTAL = (1 << 36) - 1
_W64_DATA = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_AU_STREAM = 0xFFFFFFFF


def inspect_header(source: Source, kind: Kind) -> Layout:
    """Return how to read a source whose content is ``kind``.

    Raises:
        InputError: with the code of what makes it unreadable.
    """
    inspector = _INSPECTORS.get(kind.name)
    return inspector(source, kind) if inspector else Layout()


def _flac(source: Source, kind: Kind) -> Layout:
    """FLAC: the total of samples in STREAMINFO is replaced by "unknown", so that all there is gets decoded.

    After ``fLaC`` and 4 bytes of block header come 10 bytes of block and frame sizes, then 20 bits of rate, 3 of
    channels, 5 of depth and 36 of total samples in 8 bytes (RFC 9639, section 8.2).
    """
    head = source.read_at(kind.start, 26)
    if len(head) < 26 or head[4] & 0x7F != 0:
        raise InputError("bad_header", "a FLAC file without stream information; get the file again")
    fields = int.from_bytes(head[18:26], "big")
    rate, total = fields >> 44, fields & _FLAC_MAX_TOTAL
    if rate == 0:
        raise InputError("bad_header", "the FLAC header says a sample rate of 0 Hz")
    header = head[:18] + (fields ^ total).to_bytes(8, "big")
    flags = (Flag("length_conflict", {"declared": total}),) if total == _FLAC_MAX_TOTAL else ()
    frames = None if total in {_FLAC_UNKNOWN_TOTAL, _FLAC_MAX_TOTAL} else total
    return Layout((Part(header, kind.start + len(header)),), frames, flags, exact_seek=True)


def _aiff(source: Source, kind: Kind) -> Layout:
    """AIFF: the COMM chunk declares the samples; libsndfile survives a cut and counts what is there."""
    offset = kind.start + 12
    for _ in range(_MAX_CHUNKS):
        head = source.read_at(offset, 16)
        if len(head) < 16:
            break
        name, size = struct.unpack(">4sI", head[:8])
        if name == b"COMM":
            return Layout(frames=int(struct.unpack(">I", head[10:14])[0]), exact_seek=True)
        offset += 8 + size + size % 2
    raise InputError("bad_header", "an AIFF file without a 'COMM' chunk; get the file again")


def _w64(source: Source, kind: Kind) -> Layout:
    """W64: chunks with 16-byte names and 64-bit sizes that include the 24 bytes of their header."""
    offset = kind.start + 40
    frame_bytes = 0
    for _ in range(_MAX_CHUNKS):
        head = source.read_at(offset, 40)
        if len(head) < 24:
            break
        size = int(struct.unpack("<Q", head[16:24])[0])
        if head[:16] == _W64_DATA:
            frames = (size - 24) // frame_bytes if frame_bytes and size >= 24 else None
            return Layout(frames=frames, exact_seek=bool(frames))
        if size < 24 or offset + size > source.size:
            raise InputError("bad_header", f"a W64 chunk claims {size} bytes, {source.size - offset} are left")
        if head[:4] == b"fmt " and len(head) == 40:
            tag, channels, _, _, _, bits = struct.unpack("<HHIIHH", head[24:])
            frame_bytes = channels * ((bits + 7) // 8) if tag in {1, 3, 6, 7, 0xFFFE} else 0
        offset += -(-size // 8) * 8
    raise InputError("bad_header", "a W64 file without a 'data' chunk; get the file again")


def _caf(source: Source, kind: Kind) -> Layout:
    """CAF: libsndfile refuses one that was cut, so it is told the length that is there."""
    offset = kind.start + 8
    frame_bytes = 0
    for _ in range(_MAX_CHUNKS):
        head = source.read_at(offset, 44)
        if len(head) < 12:
            break
        name, size = struct.unpack(">4sq", head[:12])
        start = offset + 12
        if name == b"data":
            return _caf_data(source, start, size, frame_bytes)
        if size < 0 or start + size > source.size:
            raise InputError("bad_header", f"CAF chunk {name!r} claims {size} bytes, {source.size - start} are left")
        if name == b"desc" and len(head) == 44:
            codec, _, bytes_per_packet = struct.unpack(">4sII", head[20:32])
            frame_bytes = bytes_per_packet if codec in {b"lpcm", b"ulaw", b"alaw"} else 0
        offset = start + size
    raise InputError("bad_header", "a CAF file without a 'data' chunk; get the file again")


def _caf_data(source: Source, start: int, size: int, frame_bytes: int) -> Layout:
    """Read the data chunk of a CAF file: 4 bytes of edit count, then audio; a size of -1 means "to the end"."""
    found = source.size - start
    if size == -1:
        return Layout(flags=(Flag("stream_header"),), exact_seek=bool(frame_bytes))
    frames = (size - 4) // frame_bytes if frame_bytes and size >= 4 else None
    if size <= found:
        return Layout(frames=frames, exact_seek=bool(frames))
    if start > _MAX_HEADER_BYTES:
        raise InputError("bad_header", f"a CAF file cut short, behind {start} bytes of header")
    header = source.read_at(0, start - 8) + struct.pack(">q", found)
    counts: dict[str, float | int | str] = {"declared": size, "found": found, "unit": "bytes"}
    flags = () if frames else (Flag("truncated", counts),)
    return Layout((Part(header, start),), frames, flags, exact_seek=bool(frames))


def _au(source: Source, kind: Kind) -> Layout:
    """AU: six 32-bit numbers; a data size of 2**32 - 1 means "not known"."""
    head = source.read_at(kind.start, 24)
    if len(head) < 24:
        raise InputError("bad_header", f"an AU header cut after {len(head)} bytes")
    order = ">" if head[:4] == b".snd" else "<"
    _, size, encoding, _, channels = struct.unpack(order + "5I", head[4:])
    width = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(encoding, 0)
    if size == _AU_STREAM:
        return Layout(flags=(Flag("stream_header"),), exact_seek=bool(width))
    return Layout(frames=size // (channels * width) if channels * width else None, exact_seek=bool(width))


def _mp4(source: Source, kind: Kind) -> Layout:
    """MP4: an encrypted track says so in its sample description; decoding it would give noise.

    Boxes are a size, a name and content. ``moov`` holds, some levels down, one ``stsd`` a track: version, count, and
    entries whose names are the codecs. ``enca`` and ``drms`` stand for encrypted sound.
    """
    offset = kind.start
    for _ in range(_MAX_CHUNKS):
        head = source.read_at(offset, 16)
        if len(head) < 16:
            break
        size, name = struct.unpack(">I4s", head[:8])
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if name == b"moov":
            box = source.read_at(offset, min(size, _MAX_HEADER_BYTES))
            tables = box.split(b"stsd")[1:]
            if any(table[12:16] in {b"enca", b"drms"} for table in tables):
                raise InputError("unsupported_codec", f"{kind.title} with encrypted sound; get it without protection")
            break
        if size < 8:
            break
        offset += size
    return Layout(codec_note=kind.title)


_INSPECTORS: dict[str, Callable[[Source, Kind], Layout]] = {
    "wav": lambda source, kind: inspect_wav(source),
    "ogg": lambda source, kind: inspect_ogg(source),
    "mp3": inspect_mp3,
    "flac": _flac,
    "aiff": _aiff,
    "w64": _w64,
    "caf": _caf,
    "au": _au,
    "mp4": _mp4,
}
