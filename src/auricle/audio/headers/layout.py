# SPDX-License-Identifier: Apache-2.0
"""What the inspection of a header yields: where the audio lies, and what the header hides."""

from __future__ import annotations

from dataclasses import dataclass

from auricle.results import Flag


@dataclass(frozen=True)
class Part:
    """Bytes that a decoder is given as one file: ``header``, then ``[start, stop)`` of the source.

    ``pieces``, where there are any, take the place of ``[start, stop)``: ranges of the source, or bytes of ours, one
    after the other. What lies between them (tags, page headers, junk) the decoder never sees.
    """

    header: bytes = b""
    start: int = 0
    stop: int | None = None
    pieces: tuple[range | bytes, ...] = ()


@dataclass(frozen=True)
class Layout:
    """How to read a file.

    Attributes:
        parts: usually one; several for chained Ogg streams, which are decoded one after the other.
        frames: samples per channel that the header declares; None if it does not say, or lies.
        flags: what the header hides.
        exact_seek: seeking gives the very samples that decoding from the start gives (measured: not so for Vorbis,
            Opus and MP3, which are decoded from the start and skipped).
        length_hidden: the decoder's own idea of the length is to be ignored.
        loss: the flag for fewer decoded samples than declared.
        gain: samples are multiplied by it: integers that lie at the low end of a wider container come out too quiet.
        container: what the format is called where the decoder is handed another one.
        codec_note: what a codec is called if libsndfile turns out not to read it.
        needs_codecs: libsndfile cannot read it, the optional codecs may.
    """

    parts: tuple[Part, ...] = (Part(),)
    frames: int | None = None
    flags: tuple[Flag, ...] = ()
    exact_seek: bool = False
    length_hidden: bool = False
    loss: str = "truncated"
    gain: float = 1.0
    container: str = ""
    codec_note: str = ""
    needs_codecs: bool = False
