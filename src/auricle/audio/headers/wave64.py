# SPDX-License-Identifier: Apache-2.0
"""W64 headers: chunks with 16-byte names and 64-bit sizes that count their own 24 bytes, padded to 8 bytes."""

from __future__ import annotations

import struct

from auricle.audio.headers.chunks import W64
from auricle.audio.headers.extent import Extent, true_length
from auricle.audio.headers.layout import Layout, Part
from auricle.audio.headers.wavfmt import Fmt, check_codec, is_foreign, parse_fmt, sample_gain
from auricle.audio.source import Source
from auricle.errors import InputError

_SUFFIX = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_RIFF_GUID = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_FIRST_CHUNK = 40
_MAX_FMT_BYTES = 256
#: A writer into a pipe says the largest number it has: 2**63 - 1, or 2**64 - 1.
_OPEN_LENGTH = 1 << 62


def inspect_w64(source: Source) -> Layout:
    """Compare a W64 header with its file.

    Raises:
        InputError: ``bad_header``, ``no_audio``, ``unsupported_codec``, ``too_many_channels``.
    """
    fmt, data = _find_chunks(source)
    check_codec(fmt)
    length, flags = true_length(source, W64, data)
    if length == 0:
        raise InputError("no_audio", "a W64 header, and no audio behind it")
    gain, conflicts = sample_gain(source, fmt, data.start, length)
    return Layout(
        (Part(_header(fmt, length), data.start, data.start + length),),
        length // fmt.frame_bytes if fmt.frame_bytes else None,
        flags + conflicts,
        exact_seek=bool(fmt.frame_bytes),
        gain=gain,
        codec_note=fmt.codec.replace("WAV", "W64"),
        needs_codecs=is_foreign(fmt),
    )


def _find_chunks(source: Source) -> tuple[Fmt, Extent]:
    outer = source.read_at(16, 8)
    fmt: Fmt | None = None
    for chunk in W64.walk(source, _FIRST_CHUNK):
        left = source.size - chunk.start
        if chunk.name == b"data" and fmt is not None:
            declared = None if chunk.size >= _OPEN_LENGTH else max(0, chunk.size)
            return fmt, Extent(chunk.start, declared, int.from_bytes(outer, "little"), fmt.frame_bytes)
        if not 0 <= chunk.size <= left:
            raise InputError("bad_header", f"a W64 chunk claims {chunk.size + 24} bytes, {left + 24} are left")
        if chunk.name == b"fmt ":
            fmt = parse_fmt(source.read_at(chunk.start, min(chunk.size, _MAX_FMT_BYTES)), "<")
    raise InputError("bad_header", "a W64 file without a 'data' chunk; get the file again")


def _header(fmt: Fmt, length: int) -> bytes:
    """Return a minimal header for ``length`` bytes of audio."""
    raw = fmt.normal()
    fmt_chunk = b"fmt " + _SUFFIX + struct.pack("<Q", 24 + len(raw)) + raw + bytes(-len(raw) % 8)
    data = b"data" + _SUFFIX + struct.pack("<Q", 24 + length)
    size = _FIRST_CHUNK + len(fmt_chunk) + len(data) + length
    return _RIFF_GUID + struct.pack("<Q", size) + b"wave" + _SUFFIX + fmt_chunk + data
