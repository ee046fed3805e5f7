# SPDX-License-Identifier: Apache-2.0
"""How much of a file is sound: the length that its header declares, compared with what the file holds.

One rule for all formats of chunks. A length that is left open ends with the file, or where metadata begins that
ends with it. A length that is too long was cut. Behind one that is too short stand chunks, tags, another file, or
the rest of the sound: metadata is never taken for sound, and no sound is left out without a word.
"""

from __future__ import annotations

from dataclasses import dataclass

from auricle.audio.headers.chunks import Family
from auricle.audio.headers.tags import leading_tag_bytes
from auricle.audio.source import Source
from auricle.results import Flag

_WRAP = 1 << 32
#: How whole files begin: the name and, some bytes on, the form.
_FILES = ((b"RIFF", 8, b"WAVE"), (b"RIFX", 8, b"WAVE"), (b"RF64", 8, b"WAVE"), (b"FORM", 8, b"AIF"))
_LONE_FILES = (b"caff\0\1", b"riff\x2e\x91\xcf\x11", b".snd", b"fLaC")


@dataclass(frozen=True)
class Extent:
    """Where the sound lies by the header.

    Attributes:
        start: first byte of it.
        declared: bytes of it; None if the header leaves it open.
        outer_stop: where the chunk around all others ends by its header; None if there is none.
        unit: bytes of a sample of all channels; 0 for codecs that work in blocks.
        wraps: the declared length is 32 bits of a longer one.
    """

    start: int
    declared: int | None
    outer_stop: int | None = None
    unit: int = 0
    wraps: bool = False


def true_length(source: Source, family: Family, extent: Extent) -> tuple[int, tuple[Flag, ...]]:
    """Return how many bytes of audio there are, and flags where that is not what the header declares."""
    start, declared = extent.start, extent.declared
    found = max(0, source.size - start)
    if declared is None:
        return _to_the_end(source, family, start), (Flag("stream_header"),)
    if declared > found:
        unit = max(1, extent.unit)
        counts: dict[str, float | int | str] = {"declared": declared // unit, "found": found // unit}
        return found, (Flag("truncated", counts if extent.unit else {**counts, "unit": "bytes"}),)
    if found - declared < max(family.align, extent.unit if extent.unit else 2):  # less than a sample is no sound
        return declared, ()
    if extent.wraps and found - declared >= _WRAP:
        return _conflict(declared, declared + (found - declared) // _WRAP * _WRAP)
    return _explain_excess(source, family, extent, declared)


def _explain_excess(source: Source, family: Family, extent: Extent, declared: int) -> tuple[int, tuple[Flag, ...]]:
    """Decide what follows the declared end: chunks, another file, foreign bytes, or the rest of the audio."""
    stop = extent.start + declared
    padded = -(-stop // family.align) * family.align
    trailing = (Flag("trailing_data", {"bytes": source.size - padded}),)
    if any(_is_file(source.read_at(at, 16)) for at in {stop, padded}):
        return declared, trailing
    if any(leading_tag_bytes(source.read_at(at, 32)) for at in (stop, padded)):  # a tag that its writer counted in
        return declared, ()
    after = family.behind(source, stop)
    if family.is_tail(source, after):
        more_audio = any(chunk.name in {b"data", b"SSND", b"BODY"} for chunk in family.walk(source, after))
        return declared, trailing if more_audio else ()
    outer = extent.outer_stop
    if declared and outer is not None and stop <= outer <= padded:
        return declared, trailing
    return _conflict(declared, _to_the_end(source, family, extent.start))


def _to_the_end(source: Source, family: Family, start: int) -> int:
    return max(0, family.tail_start(source, start) - start)


def _conflict(declared: int, found: int) -> tuple[int, tuple[Flag, ...]]:
    return found, (Flag("length_conflict", {"declared": declared, "found": found, "unit": "bytes"}),)


def _is_file(head: bytes) -> bool:
    known = any(head.startswith(name) and head[at:].startswith(form) for name, at, form in _FILES)
    return known or head.startswith(_LONE_FILES)
