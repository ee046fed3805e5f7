# SPDX-License-Identifier: Apache-2.0
"""CAF headers. libsndfile refuses a file that was cut, or whose length is open, so it is told what is there."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from auricle.audio.headers.chunks import CAF
from auricle.audio.headers.containers import container_bytes, justification_gain
from auricle.audio.headers.extent import Extent, true_length
from auricle.audio.headers.layout import Layout, Part
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

_FIRST_CHUNK = 8
_MAX_HEADER_BYTES = 1 << 20
#: The data chunk begins with a number of 4 bytes that counts edits.
_EDITS_BYTES = 4
_FLOAT, _LITTLE_ENDIAN = 1, 2
_READABLE = frozenset({b"lpcm", b"ulaw", b"alaw", b"alac"})
_OPEN_LENGTH = 1 << 62
_MAX_CHANNELS, _MAX_BITS = 1024, 64


@dataclass(frozen=True)
class _Desc:
    """The ``desc`` chunk."""

    rate: float
    codec: bytes
    flags: int
    packet_bytes: int
    channels: int
    bits: int

    @property
    def width(self) -> int:
        """Bytes of a sample; 0 for codecs that work in packets."""
        if self.codec in {b"ulaw", b"alaw"}:
            return 1
        return container_bytes(self.bits, self.packet_bytes, self.channels) if self.codec == b"lpcm" else 0


def inspect_caf(source: Source) -> Layout:
    """Compare a CAF header with its file.

    Raises:
        InputError: ``bad_header`` or ``no_audio``.
    """
    desc, data, name_at, valid_frames = _find_chunks(source)
    length, flags = true_length(source, CAF, data)
    if length == 0:
        raise InputError("no_audio", "a CAF header, and no audio behind it")
    unit = desc.width * desc.channels
    gain: float | None = 1.0
    if desc.codec == b"lpcm" and not desc.flags & _FLOAT and desc.width > 1:
        order = "<" if desc.flags & _LITTLE_ENDIAN else ">"
        gain = justification_gain(source, data.start, data.start + length, desc.width, desc.bits, order)
    if desc.codec == b"lpcm" and (gain is None or desc.packet_bytes != unit):
        details = {"bits": desc.bits, "channels": desc.channels, "packet_bytes": desc.packet_bytes}
        flags += (Flag("header_conflict", details),)
    return Layout(
        (_part(source, desc, data.start, length, name_at, as_it_is=not unit and not flags),),
        length // unit if unit else valid_frames,
        flags,
        exact_seek=bool(unit),
        gain=1.0 if gain is None else gain,
        codec_note=f"CAF with {desc.codec.decode('ascii', 'replace').strip()}",
        needs_codecs=desc.codec not in _READABLE,
    )


def _find_chunks(source: Source) -> tuple[_Desc, Extent, int, int | None]:
    """Return the description, where the samples lie, where the data chunk begins, and what a packet table declares."""
    desc: _Desc | None = None
    valid_frames: int | None = None
    for chunk in CAF.walk(source, _FIRST_CHUNK):
        left = source.size - chunk.start
        if chunk.name == b"data" and desc is not None:
            is_open = chunk.size < 0 or chunk.size >= _OPEN_LENGTH
            declared = None if is_open else max(0, chunk.size - _EDITS_BYTES)
            extent = Extent(chunk.start + _EDITS_BYTES, declared, None, desc.width * desc.channels)
            return desc, extent, chunk.start - CAF.header_bytes, valid_frames
        if not 0 <= chunk.size <= left:
            raise InputError("bad_header", f"CAF chunk {chunk.name!r} claims {chunk.size} bytes, {left} are left")
        if chunk.name == b"pakt" and chunk.size >= 24:
            valid_frames = int(struct.unpack(">q", source.read_at(chunk.start + 8, 8))[0])
        if chunk.name == b"desc" and chunk.size >= 32:
            rate, codec, format_flags, packet_bytes, _, channels, bits = struct.unpack(
                ">d4s5I", source.read_at(chunk.start, 32)
            )
            if not 0 < channels <= _MAX_CHANNELS or bits > _MAX_BITS:
                raise InputError("bad_header", f"the CAF header says {channels} channels of {bits} bits")
            desc = _Desc(rate, codec, format_flags, packet_bytes, channels, bits)
    raise InputError("bad_header", "a CAF file without a 'data' chunk; get the file again")


def _part(source: Source, desc: _Desc, start: int, length: int, name_at: int, *, as_it_is: bool) -> Part:
    """Return the audio behind a header that declares ``length`` bytes of it: for packets the file's own, mended."""
    if as_it_is:
        return Part()
    data = struct.pack(">4sqI", b"data", length + _EDITS_BYTES, 0)
    if desc.width:
        size = desc.width * desc.channels
        bits = 8 * desc.width if desc.codec == b"lpcm" else desc.bits
        description = struct.pack(">d4s5I", desc.rate, desc.codec, desc.flags, size, 1, desc.channels, bits)
        header = b"caff\0\1\0\0" + struct.pack(">4sq", b"desc", len(description)) + description + data
    elif name_at <= _MAX_HEADER_BYTES:
        header = source.read_at(0, name_at) + data
    else:
        raise InputError("bad_header", f"a CAF file cut short, behind {name_at} bytes of header")
    return Part(header, start, start + length)
