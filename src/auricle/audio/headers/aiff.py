# SPDX-License-Identifier: Apache-2.0
"""AIFF, AIFF-C and their elder 8SVX: big-endian chunks, with the number of samples beside the bytes of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from auricle.audio.headers.chunks import IFF
from auricle.audio.headers.containers import justification_gain
from auricle.audio.headers.extent import Extent, true_length
from auricle.audio.headers.layout import Layout, Part
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

_FIRST_CHUNK = 12
_MAX_COMM_BYTES = 512
_MAX_BITS = 64
#: The data chunk begins with an offset and a block size, of 4 bytes each.
_OFFSETS_BYTES = 8
#: SoX writes a number of this size where it cannot go back; others write the largest there is.
_OPEN_LENGTH = 0x7F000000
_WIDTHS = {
    **dict.fromkeys((b"fl32", b"FL32", b"in32", b"23ni"), 4),
    **dict.fromkeys((b"fl64", b"FL64"), 8),
    **dict.fromkeys((b"in24", b"42ni"), 3),
    **dict.fromkeys((b"ulaw", b"ULAW", b"alaw", b"ALAW", b"raw "), 1),
}
_BY_BITS = frozenset({b"NONE", b"twos", b"sowt"})
_READABLE = _WIDTHS.keys() | _BY_BITS | {b"ima4", b"GSM ", b"DWVW", b"G722", b"MAC3", b"MAC6"}


@dataclass(frozen=True)
class _Comm:
    """The ``COMM`` chunk."""

    channels: int
    frames: int
    bits: int
    codec: bytes
    raw: bytes

    @property
    def width(self) -> int:
        """Bytes of a sample, 0 for codecs that work in blocks."""
        return (self.bits + 7) // 8 if self.codec in _BY_BITS else _WIDTHS.get(self.codec, 0)


def inspect_aiff(source: Source) -> Layout:
    """Compare the COMM and SSND chunks of an AIFF file with each other and with the file.

    Raises:
        InputError: ``bad_header`` or ``no_audio``.
    """
    form = source.read_at(0, _FIRST_CHUNK)
    comm, data = _find_chunks(source, int.from_bytes(form[4:8], "big") + 8)
    length, flags = true_length(source, IFF, data)
    if length == 0:
        raise InputError("no_audio", "an AIFF header, and no audio behind it")
    unit = comm.width * comm.channels
    frames = length // unit if unit else None
    if frames is not None and not flags and comm.frames != frames:
        flags += (Flag("length_conflict", {"declared": comm.frames, "found": frames}),)
    gain: float | None = 1.0
    if comm.codec in _BY_BITS and comm.width > 1:
        order = "<" if comm.codec == b"sowt" else ">"
        gain = justification_gain(source, data.start, data.start + length, comm.width, comm.bits, order)
    if gain is None:
        flags += (Flag("header_conflict", {"bits": comm.bits, "container": 8 * comm.width}),)
    as_it_is = not unit and not flags
    return Layout(
        (Part() if as_it_is else Part(_header(form[8:12], comm, length, frames), data.start, data.start + length),),
        frames,
        flags,
        exact_seek=True,
        gain=1.0 if gain is None else gain,
        codec_note=f"AIFF-C with {comm.codec.decode('ascii', 'replace').strip()}",
        needs_codecs=comm.codec not in _READABLE,
    )


def _find_chunks(source: Source, form_stop: int) -> tuple[_Comm, Extent]:
    comm: _Comm | None = None
    data: tuple[int, int | None] | None = None
    for chunk in IFF.walk(source, _FIRST_CHUNK):
        left = source.size - chunk.start
        if chunk.name == b"COMM" and 18 <= chunk.size <= left:
            comm = _parse_comm(source.read_at(chunk.start, min(chunk.size, _MAX_COMM_BYTES)))
        elif chunk.name == b"SSND":
            skip = int.from_bytes(source.read_at(chunk.start, 4), "big")
            start = chunk.start + _OFFSETS_BYTES + (skip if skip < left else 0)
            is_open = chunk.size >= _OPEN_LENGTH and chunk.size > left
            data = start, None if is_open else max(0, chunk.stop - start)
        elif chunk.size > left:
            raise InputError("bad_header", f"AIFF chunk {chunk.name!r} claims {chunk.size} bytes, {left} are left")
        if comm is not None and data is not None:
            return comm, Extent(*data, form_stop, comm.width * comm.channels)
    missing = "COMM" if comm is None else "SSND"
    raise InputError("bad_header", f"an AIFF file without a '{missing}' chunk; get the file again")


def _parse_comm(raw: bytes) -> _Comm:
    channels, frames, bits = struct.unpack(">hIh", raw[:8])
    if channels < 1 or not 0 <= bits <= _MAX_BITS:
        raise InputError("bad_header", f"the header says {channels} channels of {bits} bits")
    return _Comm(channels, frames, bits, raw[18:22] if len(raw) >= 22 else b"NONE", raw)


def _header(form: bytes, comm: _Comm, length: int, frames: int | None) -> bytes:
    """Return a minimal header for ``length`` bytes of audio."""
    bits = 8 * comm.width if comm.codec in _BY_BITS else comm.bits
    raw = struct.pack(">hIh", comm.channels, comm.frames if frames is None else frames, bits) + comm.raw[8:]
    chunks = struct.pack(">4sI", b"COMM", len(raw)) + raw + b"\0" * (len(raw) % 2)
    chunks += struct.pack(">4sIII", b"SSND", _OFFSETS_BYTES + length, 0, 0)
    return struct.pack(">4sI4s", b"FORM", min(4 + len(chunks) + length, (1 << 32) - 1), form) + chunks


def inspect_svx(source: Source) -> Layout:
    """Compare the BODY chunk of an IFF 8SVX or 16SV file with the file; libsndfile counts what is there."""
    for chunk in IFF.walk(source, _FIRST_CHUNK):
        if chunk.name == b"BODY":
            length, flags = true_length(source, IFF, Extent(chunk.start, chunk.size))
            if length == 0:
                raise InputError("no_audio", "an 8SVX header, and no audio behind it")
            width = 2 if source.read_at(8, 4) == b"16SV" else 1
            header = source.read_at(0, chunk.start - 4) + length.to_bytes(4, "big")
            return Layout((Part(header, chunk.start, chunk.start + length),), length // width, flags, exact_seek=True)
        if chunk.stop > source.size:
            break
    raise InputError("bad_header", "an 8SVX file without a 'BODY' chunk; get the file again")
