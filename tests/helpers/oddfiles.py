# SPDX-License-Identifier: Apache-2.0
"""Makers of files as other programs write them: chunks with and without pad bytes, tags, open lengths."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

from auricle.audio.decode import Audio, read_audio
from helpers.badfiles import RATE, tone

#: Odd on purpose: with 24 bits, or 8, the audio has an odd length too.
FRAMES = 4_001
SOUND = tone(FRAMES)
PCM16_LE = np.round(SOUND * 32_768).astype("<i2").tobytes()
PCM16_BE = np.round(SOUND * 32_768).astype(">i2").tobytes()
PCM8 = np.round(SOUND * 127 + 128).astype("u1").tobytes()
PCM24_LE = b"".join(int(value).to_bytes(3, "little", signed=True) for value in np.round(SOUND * (1 << 23)))
PCM24_BE = b"".join(int(value).to_bytes(3, "big", signed=True) for value in np.round(SOUND * (1 << 23)))
W64_SUFFIX = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"

Chunks = list[tuple[bytes, bytes]]


def fmt(bits: int = 16, width: int = 0, tag: int = 1, order: str = "<") -> bytes:
    width = width or (bits + 7) // 8
    return struct.pack(order + "HHIIHH", tag, 1, RATE, RATE * width, width, bits)


def extensible(bits: int, valid: int) -> bytes:
    guid = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    return fmt(bits, tag=0xFFFE) + struct.pack("<HHI", 22, valid, 4) + guid


def riff(chunks: Chunks, *, pad: bool, name: bytes = b"RIFF", order: str = "<") -> bytes:
    """A WAV of these chunks, with or without pad bytes."""
    body = b"WAVE"
    for chunk, content in chunks:
        body += chunk + struct.pack(order + "I", len(content)) + content + b"\0" * (len(content) % 2 if pad else 0)
    return name + struct.pack(order + "I", len(body)) + body


def wav(audio: bytes = PCM16_LE, form: bytes | None = None) -> bytes:
    return riff([(b"fmt ", fmt() if form is None else form), (b"data", audio)], pad=True)


def comm(bits: int = 16, frames: int = FRAMES) -> bytes:
    rate = b"\x40\x0c\xfa\x00\0\0\0\0\0\0"  # 16,000 as a float of 80 bits
    return struct.pack(">hIh", 1, frames, bits) + rate


def aiff(chunks: Chunks, *, pad: bool) -> bytes:
    """An AIFF of these chunks; ``SSND`` gets its two numbers."""
    body = b"AIFF"
    for chunk, audio in chunks:
        content = bytes(8) + audio if chunk == b"SSND" else audio
        body += chunk + struct.pack(">I", len(content)) + content + b"\0" * (len(content) % 2 if pad else 0)
    return b"FORM" + struct.pack(">I", len(body)) + body


def w64(chunks: Chunks, *, pad: bool) -> bytes:
    body = b""
    for chunk, content in chunks:
        body += chunk + W64_SUFFIX + struct.pack("<Q", 24 + len(content)) + content
        body += bytes(-len(body) % 8) if pad else b""
    return W64_RIFF + struct.pack("<Q", 40 + len(body)) + b"wave" + W64_SUFFIX + body


def caf(
    audio: bytes = PCM16_BE,
    *,
    bits: int = 16,
    width: int = 2,
    flags: int = 0,
    declared: int | None = None,
    tail: bytes = b"",
) -> bytes:
    desc = struct.pack(">d4s5I", RATE, b"lpcm", flags, width, 1, 1, bits)
    size = len(audio) + 4 if declared is None else declared
    data = b"data" + struct.pack(">qI", size, 0) + audio
    return b"caff\0\1\0\0" + b"desc" + struct.pack(">q", len(desc)) + desc + data + tail


def au(audio: bytes = PCM16_BE, declared: int | None = None) -> bytes:
    return b".snd" + struct.pack(">5I", 24, len(audio) if declared is None else declared, 3, RATE, 1) + audio


def id3v2(count: int) -> bytes:
    """A tag of ``count`` bytes of text."""
    digits = bytes(count >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + digits + b"TIT2".ljust(count, b"x")


def id3v1() -> bytes:
    return b"TAG" + b"A pond at night".ljust(30, b"\0") + bytes(92) + b"2026"[:0] + bytes(2) + b"\xff"


def ape(*, header: bool = True) -> bytes:
    item = struct.pack("<II", 4, 0) + b"Title\0pond"
    size = len(item) + 32
    ends = [
        b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, flags | header << 31) + bytes(8) for flags in (1 << 29, 0)
    ]
    return (ends[0] if header else b"") + item + ends[1]


def lyrics3() -> bytes:
    words = b"LYRICSBEGIN" + b"LYR00011frogs sing."
    return words + f"{len(words):06d}".encode() + b"LYRICS200"


def encode(format: str, subtype: str | None = None, frames: int = FRAMES, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone(frames, rate=rate), rate, format=format, subtype=subtype)
    return buffer.getvalue()


def read(data: bytes, name: str = "") -> tuple[Audio, set[str]]:
    """Return a recording and the codes of its flags."""
    file = io.BytesIO(data)
    audio = read_audio(file)
    return audio, {flag.code for flag in audio.flags}


def assert_is_the_sound(audio: Audio, frames: int = FRAMES, tolerance: float = 1e-4) -> None:
    """All of it and nothing but it."""
    assert len(audio.samples) == frames
    assert np.abs(audio.samples - tone(FRAMES)[:frames]).max() < tolerance
