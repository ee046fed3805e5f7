# SPDX-License-Identifier: Apache-2.0
"""WAV headers: RIFF, RIFX, RF64 and BW64. Decoders believe them; here they are compared with the file.

    RIFF <size> WAVE | fmt  <size> ... | (other chunks) | data <size> samples ... | (other chunks)

A size is 32 bits, so files over 4 GiB wrap around; RF64 keeps 64-bit sizes in a ``ds64`` chunk instead. Programs
that stream write a placeholder, and programs that die leave zero. Unless the file's own header is just what the
decoder needs, it gets one of ours, with the length that the file has.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from auricle.audio.headers.chunks import RIFF, RIFX
from auricle.audio.headers.extent import Extent, true_length
from auricle.audio.headers.layout import Layout, Part
from auricle.audio.headers.wavfmt import Fmt, check_codec, is_foreign, parse_fmt, sample_gain
from auricle.audio.source import Source
from auricle.errors import InputError

_MAX_FMT_BYTES = 256
_WRAP = 1 << 32
#: Lengths that mean "not known when the header was written": SoX and mplayer, arecord twice, and FFmpeg; some
#: programs take off the bytes of a header, or round to whole samples.
_OPEN_LENGTHS = (0x7FFFF000, 0x7FFFFF00, 0x80000000, _WRAP)
_OPEN_SLACK = 128
_OPEN_LONG_LENGTH = 1 << 62


def is_open_length(length: int) -> bool:
    """Tell whether a 32-bit length is a placeholder of a program that streams."""
    return any(open_length - _OPEN_SLACK <= length <= open_length for open_length in _OPEN_LENGTHS)


def inspect_wav(source: Source) -> Layout:
    """Compare a WAV header with its file.

    Raises:
        InputError: ``bad_header``, ``no_audio``, ``unsupported_codec``, ``too_many_channels``.
    """
    fmt, data, long_sizes = _find_chunks(source)
    check_codec(fmt)
    data = replace(data, unit=fmt.frame_bytes)
    length, flags = true_length(source, RIFX if fmt.order == ">" else RIFF, data)
    if length == 0:
        raise InputError("no_audio", f"a WAV header that declares {data.declared} bytes of audio, and no audio in it")
    gain, conflicts = sample_gain(source, fmt, data.start, length)
    own, header = source.read_at(0, data.start), _header(fmt, length, long_sizes=long_sizes)
    nothing_behind = source.size - data.start - length <= 1
    as_it_is = (own == header and nothing_behind) or (not fmt.width and not flags and own[:4] != b"BW64")
    part = Part() if as_it_is else Part(header, data.start, data.start + length)
    return Layout(
        (part,),
        length // fmt.frame_bytes if fmt.frame_bytes else None,
        flags + conflicts,
        exact_seek=bool(fmt.frame_bytes),
        gain=gain,
        codec_note=fmt.codec,
        needs_codecs=is_foreign(fmt),
    )


def _find_chunks(source: Source) -> tuple[Fmt, Extent, bool]:
    """Walk the chunks up to ``data``; a chunk that claims more than the file holds ends it at once."""
    head = source.read_at(0, 12)
    if len(head) < 12:
        raise InputError("bad_header", f"a RIFF header cut after {len(head)} bytes; get the file again")
    family = RIFX if head[:4] == b"RIFX" else RIFF
    riff_stop = 8 + int(struct.unpack(family.order + "I", head[4:8])[0])
    fmt: Fmt | None = None
    long_length: int | None = None
    for chunk in family.walk(source, 12):
        left = source.size - chunk.start
        if chunk.name == b"data":
            if fmt is None:
                raise InputError("bad_header", "a WAV header without a format ('fmt ') before its data")
            declared = _declared(chunk.size, long_length, left)
            return fmt, Extent(chunk.start, declared, riff_stop, wraps=long_length is None), long_length is not None
        if chunk.size > left:
            raise InputError(
                "bad_header", f"chunk {chunk.name!r} claims {chunk.size} bytes where {left} are left in the file"
            )
        if chunk.name == b"fmt ":
            fmt = parse_fmt(source.read_at(chunk.start, min(chunk.size, _MAX_FMT_BYTES)), family.order)
        elif chunk.name == b"ds64" and chunk.size >= 24:
            riff_size, long_length = struct.unpack("<QQ", source.read_at(chunk.start, 16))
            riff_stop = 8 + riff_size
    raise InputError("bad_header", "a WAV header without a 'data' chunk; get the file again")


def _declared(size: int, long_length: int | None, left: int) -> int | None:
    """Return the bytes of audio by the data chunk, or by the ``ds64`` chunk if that one refers to it; None if open."""
    if long_length is not None and size == _WRAP - 1:
        return None if long_length >= _OPEN_LONG_LENGTH else long_length
    return None if is_open_length(size) and size > left else size


def _header(fmt: Fmt, length: int, *, long_sizes: bool) -> bytes:
    """Return a minimal header for ``length`` bytes of audio: RIFF or RIFX, and RF64 where 32 bits are too few."""
    order, raw = fmt.order, fmt.normal()
    fmt_chunk = struct.pack(order + "4sI", b"fmt ", len(raw)) + raw + b"\0" * (len(raw) % 2)
    if not long_sizes and length + len(fmt_chunk) + 20 < _WRAP - 1:
        size = 4 + len(fmt_chunk) + 8 + length
        name = b"RIFX" if order == ">" else b"RIFF"
        return (
            struct.pack(order + "4sI4s", name, size, b"WAVE") + fmt_chunk + struct.pack(order + "4sI", b"data", length)
        )
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, length + len(fmt_chunk) + 48, length, 0, 0)
    open_size = _WRAP - 1
    return (
        struct.pack("<4sI4s", b"RF64", open_size, b"WAVE") + ds64 + fmt_chunk + struct.pack("<4sI", b"data", open_size)
    )
