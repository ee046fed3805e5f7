# SPDX-License-Identifier: Apache-2.0
"""AC-3 and E-AC-3: frames one after the other; the decoder fills up one that is cut without a word.

A frame begins with 0B 77. In AC-3 byte 4 holds two bits of sample rate and six of frame size; in E-AC-3, whose
number in byte 5 is above 10, eleven bits of bytes 2 and 3 are half the size (ETSI TS 102 366).
"""

from __future__ import annotations

from auricle.audio.headers.layout import Layout
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source
from auricle.results import Flag

_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_RATES = (48_000, 44_100, 32_000)
_SAMPLES = 1_536
_READ_BYTES = 1 << 20
_MAX_FRAME_BYTES = 4_096
_SYNC = b"\x0b\x77"


def inspect_ac3(source: Source, kind: Kind) -> Layout:
    """Walk the frames; a last one that is not whole is flagged."""
    position = 0
    while True:
        data = source.read_at(position, _READ_BYTES)
        at_end = position + len(data) >= source.size
        reach = len(data) if at_end else len(data) - _MAX_FRAME_BYTES
        at = 0
        while at < reach and (size := _frame_bytes(data[at : at + 6])):
            if at + size > len(data):
                flag = Flag("truncated", {"declared": size, "found": len(data) - at, "unit": "bytes"})
                return Layout(flags=(flag,), codec_note=kind.title)
            at += size
        if at < reach or at_end:
            return Layout(codec_note=kind.title)
        position += at


def _frame_bytes(head: bytes) -> int:
    """Return the bytes of a frame, 0 where none begins."""
    if head[:2] != _SYNC or len(head) < 6:
        return 0
    if head[5] >> 3 > 10:
        return (((head[2] & 7) << 8 | head[3]) + 1) * 2
    rate, size = head[4] >> 6, head[4] & 0x3F
    if rate == 3 or size >> 1 >= len(_KBPS):
        return 0
    words = _KBPS[size >> 1] * 1_000 * _SAMPLES // (16 * _RATES[rate])
    return 2 * (words + (size & 1 if rate == 1 else 0))
