# SPDX-License-Identifier: Apache-2.0
"""Ogg: chained streams, cuts and foreign codecs; FLAC is taken out of its pages.

libsndfile reads the first stream of a chain and is silent about the others; here each becomes a part of its own.
It does not open what FFmpeg writes of FLAC, whose packets behind a plain FLAC header are a FLAC file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from auricle.audio.headers.flac import HEAD_BYTES, open_total
from auricle.audio.headers.layout import Layout, Part
from auricle.audio.headers.ogg_pages import CONTINUED, FIRST, LAST, Page, pages
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

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
#: The mapping of FLAC: a mark, its version, a number of header packets; then a FLAC file as far as its first block.
_FLAC_AT = 9


@dataclass
class _Stream:
    """One link of a chain."""

    start: int
    codec: str
    rate: int
    serial: int
    head: bytes
    stop: int = 0
    ended: bool = False
    others: int = 0
    frames: list[range] = field(default_factory=list)

    def take(self, page: Page) -> None:
        """Note a page of this link; for FLAC, where its audio lies: it begins with a page of its own."""
        self.stop = page.stop
        self.ended = bool(page.flags & LAST)
        if self.codec == "flac" and page.serial == self.serial:
            begins = page.head[:1] == b"\xff" and not page.flags & (CONTINUED | FIRST)
            if (self.frames or begins) and page.stop > page.body:
                self.frames.append(range(page.body, page.stop))


def inspect_ogg(source: Source) -> Layout:
    """List the streams of an Ogg file.

    Raises:
        InputError: ``rate_change`` in a chain, ``bad_header`` where no page is whole.
    """
    streams, skipped = _streams(source)
    if not streams:
        raise InputError("bad_header", "an Ogg file without one whole page; get the file again")
    rates = sorted({stream.rate for stream in streams if stream.rate})
    if len(rates) > 1:
        listed = " and ".join(map(str, rates))
        raise InputError("rate_change", f"chained Ogg streams of {listed} Hz; split the file")
    flags: tuple[Flag, ...] = ()
    if not streams[-1].ended:
        flags += (Flag("truncated"),)
    elif source.read_at(streams[-1].stop, 256).strip(b"\0"):
        flags += (Flag("trailing_data", {"bytes": source.size - streams[-1].stop}),)
    if skipped:
        flags += (Flag("decode_gap", {"bytes": skipped}),)
    codecs = {stream.codec for stream in streams}
    if codecs == {"flac"}:
        return _flac(streams, flags)
    foreign = not codecs <= _READABLE - {"flac"} or any(stream.others for stream in streams)
    return Layout(
        tuple(Part(b"", stream.start, stream.stop) for stream in streams),
        flags=flags,
        loss="decode_gap",
        codec_note=f"Ogg with {streams[0].codec}",
        needs_codecs=foreign,
    )


def _flac(streams: list[_Stream], flags: tuple[Flag, ...]) -> Layout:
    """Return the links as FLAC files: a header with its only block, and the frames out of the pages."""
    parts, totals = [], []
    for stream in streams:
        header, total = open_total(stream.head[_FLAC_AT : _FLAC_AT + HEAD_BYTES])
        header = header[:4] + bytes([header[4] | 0x80]) + header[5:]
        parts.append(Part(header, pieces=(*stream.frames, b"")))
        totals.append(total)
    frames = sum(totals) if all(totals) else None
    if not any(stream.frames for stream in streams):
        raise InputError("no_audio", "a FLAC header in Ogg, and no audio behind it")
    return Layout(tuple(parts), frames, flags, loss="decode_gap", container="OGG", codec_note="Ogg with flac")


def _streams(source: Source) -> tuple[list[_Stream], int]:
    """Return the links of the chain, and how many bytes lie outside of pages before the last one."""
    streams: list[_Stream] = []
    skipped = position = 0
    in_first_pages = False
    for page in pages(source):
        if streams:
            skipped += page.start - position
        if page.flags & FIRST and not in_first_pages:
            streams.append(_Stream(page.start, *_codec(page.head), page.serial, page.head))
        elif page.flags & FIRST and streams:
            streams[-1].others += 1
        in_first_pages = bool(page.flags & FIRST)
        if streams:
            streams[-1].take(page)
        position = page.stop
    return streams, skipped


def _codec(packet: bytes) -> tuple[str, int]:
    """Return the codec and the sample rate (0 if it has none of its own) from a stream's first packet."""
    for magic, name in _CODECS:
        if packet.startswith(magic):
            if name == "flac":
                return name, int.from_bytes(packet[27:30], "big") >> 4
            rate = struct.unpack("<I", packet[12:16])[0] if name == "vorbis" and len(packet) >= 16 else 0
            return name, rate
    return "an unknown codec", 0
