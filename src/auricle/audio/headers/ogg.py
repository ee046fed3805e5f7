# SPDX-License-Identifier: Apache-2.0
"""Ogg pages: a walk from page header to page header, to see cuts, chained streams and foreign codecs.

A page is ``OggS``, 23 bytes of header (flags at 5, last sample's position at 6, stream number at 14, number of
segments at 26), the segment lengths, and the segments. Flag 2 marks the first page of a stream, flag 4 the last.
libsndfile reads the first stream of a chain and is silent about the others; here each becomes a part of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from auricle.audio.headers.layout import Layout, Part
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

_HEADER_BYTES = 27
_FIRST, _LAST = 2, 4
_READ_BYTES = 1 << 16
#: How the first packet of a stream begins, and what that makes it.
_CODECS = (
    (b"\x01vorbis", "vorbis"),
    (b"OpusHead", "opus"),
    (b"\x7fFLAC", "flac"),
    (b"Speex   ", "speex"),
    (b"\x80theora", "theora"),
    (b"fishead\0", "skeleton"),
)
_READABLE = frozenset({"vorbis", "opus", "flac"})


@dataclass
class _Stream:
    """One link of a chain."""

    start: int
    codec: str
    rate: int
    stop: int = 0
    ended: bool = False
    others: int = 0


def inspect_ogg(source: Source) -> Layout:
    """List the streams of an Ogg file.

    Raises:
        InputError: ``rate_change`` in a chain, ``bad_header`` where no page is whole.
    """
    streams, skipped = _streams(source)
    if not streams:
        raise InputError("bad_header", "an Ogg file without one whole page; get the file again")
    first = streams[0]
    rates = sorted({stream.rate for stream in streams if stream.rate})
    if len(rates) > 1:
        listed = " and ".join(map(str, rates))
        raise InputError("rate_change", f"chained Ogg streams of {listed} Hz; split the file")
    flags: tuple[Flag, ...] = ()
    if not streams[-1].ended:
        flags += (Flag("truncated"),)
    if skipped:
        flags += (Flag("decode_gap", {"bytes": skipped}),)
    foreign = first.codec not in _READABLE or any(stream.others for stream in streams)
    return Layout(
        tuple(Part(b"", stream.start, stream.stop) for stream in streams),
        flags=flags,
        loss="decode_gap",
        codec_note=f"Ogg with {first.codec}",
        needs_codecs=foreign,
    )


def _streams(source: Source) -> tuple[list[_Stream], int]:
    """Return the links of the chain, and how many bytes lie outside of pages before the last one."""
    streams: list[_Stream] = []
    skipped = position = 0
    in_first_pages = False
    for start, stop, flags, body in _pages(source):
        if streams:
            skipped += start - position
        if flags & _FIRST and not in_first_pages:
            streams.append(_Stream(start, *_codec(body)))
        elif flags & _FIRST and streams:
            streams[-1].others += 1
        in_first_pages = bool(flags & _FIRST)
        if streams:
            streams[-1].stop = stop
            streams[-1].ended = bool(flags & _LAST)
        position = stop
    return streams, skipped


def _pages(source: Source) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield (start, stop, flags, first 64 bytes of the body) of each whole page; damage is skipped."""
    window, window_start, position = b"", 0, 0
    while position + _HEADER_BYTES <= source.size:
        if position < window_start or position + _HEADER_BYTES + 255 + 64 > window_start + len(window):
            window, window_start = source.read_at(position, _READ_BYTES), position
        at = position - window_start
        header = window[at : at + _HEADER_BYTES]
        if header[:4] != b"OggS":
            position = _next_page(source, position)
            continue
        segments = window[at + _HEADER_BYTES : at + _HEADER_BYTES + header[26]]
        body = at + _HEADER_BYTES + header[26]
        stop = window_start + body + sum(segments)
        if stop > source.size:
            return
        yield position, stop, header[5], window[body : body + 64]
        position = stop


def _next_page(source: Source, position: int) -> int:
    """Return where the next page mark after ``position`` is, or the size of the source."""
    position += 1
    while position < source.size:
        block = source.read_at(position, _READ_BYTES)
        found = block.find(b"OggS")
        if found >= 0:
            return position + found
        position += max(1, len(block) - 3)
    return source.size


def _codec(packet: bytes) -> tuple[str, int]:
    """Return the codec and the sample rate (0 if it has none of its own) from a stream's first packet."""
    for magic, name in _CODECS:
        if packet.startswith(magic):
            rate = struct.unpack("<I", packet[12:16])[0] if name == "vorbis" and len(packet) >= 16 else 0
            return name, rate
    return "an unknown codec", 0
