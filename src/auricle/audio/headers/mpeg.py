# SPDX-License-Identifier: Apache-2.0
"""MP3: which frames there are, what the Xing headers declare of them, and a header of ours where there is none.

    (junk) | Xing frame, frames ... | (tag) | Xing frame, frames ... | (tags)

The first frame of an MP3 file may be a ``Xing`` or ``Info`` frame, silent, with the number of frames and bytes. The
decoder stops where it says; files joined by ``cat`` hold several, and each becomes a part. Without it the decoder
guesses the length from the first frame's bit rate and stops there: a file of variable bit rate loses its second
half. Then it is handed a Xing frame of ours that declares more frames than there can be, and decodes to the real
end. It gives up behind 1 KB of junk, so it is handed the frames alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from auricle.audio.headers.layout import Layout, Part
from auricle.audio.headers.mpeg_frames import (
    LAYER_3,
    SAMPLES,
    Run,
    frame_bytes,
    is_title,
    kbps,
    runs,
    sample_rate,
    side_info_bytes,
    stream_key,
)
from auricle.audio.headers.sniff import Kind
from auricle.audio.headers.tags import leading_tag_bytes
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

_MANY_FRAMES = (1 << 31) - 1
_FRAME_BYTES = 128
#: A Xing tag may count its own frame too.
_COUNTED_TWICE = 1


@dataclass
class _Piece:
    """One file of those that were joined."""

    title: bytes
    ranges: list[range] = field(default_factory=list)
    frames: int = 0

    @property
    def declared(self) -> int | None:
        """Frames by the Xing tag, the one that holds it not counted; 0 if the tag does not say, None without a tag."""
        tag = self.title[4 + side_info_bytes(self.title) :]
        if not is_title(self.title):
            return None
        return int.from_bytes(tag[8:12], "big") if int.from_bytes(tag[4:8], "big") & 1 else 0


def inspect_mp3(source: Source, kind: Kind) -> Layout:
    """Find the frames of an MP3 file, the first of which begins at ``kind.start``."""
    first = source.read_at(kind.start, _FRAME_BYTES)
    found = runs(source, kind.start) if frame_bytes(first) else []
    if not found:  # frames of free format, whose length no header says
        return Layout((Part(start=kind.start),), loss="decode_gap")
    rates = sorted({sample_rate(source.read_at(run.start, 4)) for run in found})
    if len(rates) > 1 or len({run.key[2] for run in found}) > 1:
        listed = " and ".join(map(str, rates))
        raise InputError("rate_change", f"joined MP3 files of {listed} Hz, or of other channels; split the file")
    pieces, gaps = _pieces(source, found, kind.start)
    lost = gaps + _lost_before(source, kind.start, first)
    flags: tuple[Flag, ...] = (Flag("decode_gap", {"bytes": lost}),) if lost else ()
    parts, hidden = [], False
    for piece in pieces:
        part, own_header, conflicts = _part(source, piece, complete=bool(lost))
        parts.append(part)
        hidden |= own_header
        flags += conflicts
    layer = first[1] >> 1 & 3
    frames = None if layer == LAYER_3 else SAMPLES[layer] * sum(piece.frames for piece in pieces)
    hidden |= frames is not None
    return Layout(tuple(parts), frames, flags + _behind(source, found[-1]), loss="decode_gap", length_hidden=hidden)


def _pieces(source: Source, found: list[Run], start: int) -> tuple[list[_Piece], int]:
    """Cut runs at the Xing frames; returns the pieces, and how many bytes of damage lie between frames."""
    pieces: list[_Piece] = []
    lost, stop = 0, start
    for run in found:
        cuts = [*run.titles, (run.stop, run.frames)]
        if cuts[0][0] != run.start:
            cuts.insert(0, (run.start, 0))
        joins = bool(run.titles) and run.titles[0][0] == run.start
        gap = source.read_at(stop, run.start - stop)
        if gap and not (_is_tag(gap) or (joins and not gap.strip(b"\0"))):
            lost += len(gap)
        for (begin, before), (end, after) in pairwise(cuts):
            if not pieces or (begin, before) in run.titles:
                pieces.append(_Piece(source.read_at(begin, _FRAME_BYTES)))
            pieces[-1].ranges.append(range(begin, end))
            pieces[-1].frames += after - before
        stop = run.stop
    return pieces, lost


def _is_tag(gap: bytes) -> bool:
    return bool(leading_tag_bytes(gap[:32])) or gap.startswith((b"TAG", b"LYRICSBEGIN"))


def _part(source: Source, piece: _Piece, *, complete: bool) -> tuple[Part, bool, tuple[Flag, ...]]:
    """Return how to decode a piece, whether behind a header of ours, and flags where its own one lies."""
    ranges = list(piece.ranges)
    declared, found = piece.declared, piece.frames
    if declared is None and (piece.title[1] >> 1 & 3 != LAYER_3 or piece.title[36:40] == b"VBRI"):
        return _whole(source, ranges), False, ()
    if declared is None:
        return Part(_xing_frame(piece.title), pieces=tuple(ranges)), True, ()
    found -= 1
    counts: dict[str, float | int | str] = {"declared": declared, "found": found, "unit": "frames"}
    if found <= declared:
        is_cut = found + _COUNTED_TWICE < declared and not complete
        return _whole(source, ranges), False, (Flag("truncated", counts),) if is_cut else ()
    ranges[0] = range(ranges[0].start + frame_bytes(piece.title), ranges[0].stop)
    part = Part(_xing_frame(piece.title), pieces=tuple(ranges))
    return part, True, (Flag("length_conflict", counts),) if declared else ()


def _whole(source: Source, ranges: list[range]) -> Part:
    if len(ranges) > 1:
        return Part(pieces=tuple(ranges))
    start, stop = ranges[0].start, ranges[0].stop
    return Part(start=start, stop=None if stop == source.size else stop)


def _lost_before(source: Source, start: int, first: bytes) -> int:
    """Return how many bytes of damaged sound lie before the first frame: those from a header of its stream on."""
    junk = source.read_at(0, start)
    at = junk.find(b"\xff")
    while at >= 0:
        if frame_bytes(junk[at : at + 4]) and stream_key(junk[at : at + 4]) == stream_key(first):
            return start - at
        at = junk.find(b"\xff", at + 1)
    return 0


def _behind(source: Source, last: Run) -> tuple[Flag, ...]:
    """Say what follows the last frame: a frame that is cut, foreign bytes, or only zeros."""
    rest = source.size - last.stop
    head = source.read_at(last.stop, 4)
    if frame_bytes(head) > rest and stream_key(head) == last.key:
        return (Flag("truncated", {"declared": frame_bytes(head), "found": rest, "unit": "bytes"}),)
    if not source.read_at(last.stop, min(rest, _FRAME_BYTES)).strip(b"\0"):
        return ()
    return (Flag("trailing_data", {"bytes": rest}),)


def _xing_frame(frame: bytes) -> bytes:
    """Return a Xing frame of the same version, rate and channels that declares very many frames."""
    per_second = 144_000 if frame[1] >> 3 & 3 == 3 else 72_000
    rate = sample_rate(frame)
    tag = bytes(side_info_bytes(frame)) + b"Xing" + (1).to_bytes(4, "big") + _MANY_FRAMES.to_bytes(4, "big")
    index = next(i for i in range(1, 15) if kbps(frame, i) * per_second // rate >= 4 + len(tag))
    header = bytes([0xFF, frame[1] | 1, index << 4 | frame[2] & 0x0C, frame[3]])
    return (header + tag).ljust(kbps(frame, index) * per_second // rate, b"\0")
