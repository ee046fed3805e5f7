# SPDX-License-Identifier: Apache-2.0
"""MP3: what the Xing header declares, and a header of ours where there is none.

The first frame of an MP3 file may be a ``Xing`` or ``Info`` frame, silent, with the number of frames and bytes.
Without it the decoder guesses the length from the first frame's bit rate and stops there: a file of variable bit
rate loses its second half. Then it is handed a Xing frame of ours that declares more frames than there can be, and
decodes to the real end.
"""

from __future__ import annotations

from dataclasses import replace

from auricle.audio.headers.layout import Layout, Part
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source
from auricle.results import Flag

_MANY_FRAMES = (1 << 31) - 1
_FRAME_BYTES = 128
_TAIL_TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"3DI")
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBPS_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBPS_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAYER_3 = 1


def inspect_mp3(source: Source, kind: Kind) -> Layout:
    """Read the first frame of an MP3 file, which begins at ``kind.start``, after a tag if there is one."""
    start = kind.start
    frame = source.read_at(start, _FRAME_BYTES)
    whole = Layout((Part(start=start),), loss="decode_gap")
    if frame[1] >> 1 & 3 != _LAYER_3 or frame[36:40] == b"VBRI":
        return whole
    tag = frame[4 + _side_info_bytes(frame) :]
    if tag[:4] in {b"Xing", b"Info"}:
        return replace(whole, flags=_compare(source, start, tag))
    return replace(whole, parts=(Part(_xing_frame(frame), start),), length_hidden=True)


def _compare(source: Source, start: int, tag: bytes) -> tuple[Flag, ...]:
    """Compare the number of bytes in a Xing tag with the file."""
    flags = int.from_bytes(tag[4:8], "big")
    if not flags & 2:
        return ()
    at = 12 if flags & 1 else 8
    stop = start + int.from_bytes(tag[at : at + 4], "big")
    if stop > source.size:
        return (Flag("truncated", {"declared": stop - start, "found": source.size - start, "unit": "bytes"}),)
    tail = source.read_at(stop, 16)
    if not tail.strip(b"\0") or tail.startswith(_TAIL_TAGS):
        return ()
    return (Flag("trailing_data", {"bytes": source.size - stop}),)


def _side_info_bytes(frame: bytes) -> int:
    """Return the length of the side information, which the Xing tag follows (ISO 11172-3, 13818-3)."""
    mono = frame[3] >> 6 == 3
    if frame[1] >> 3 & 3 == 3:
        return 17 if mono else 32
    return 9 if mono else 17


def _xing_frame(frame: bytes) -> bytes:
    """Return a Xing frame of the same version, rate and channels that declares very many frames."""
    version = frame[1] >> 3 & 3
    rate = _RATES[version][frame[2] >> 2 & 3]
    kbps, per_second = (_KBPS_V1, 144_000) if version == 3 else (_KBPS_V2, 72_000)
    tag = bytes(_side_info_bytes(frame)) + b"Xing" + (1).to_bytes(4, "big") + _MANY_FRAMES.to_bytes(4, "big")
    index = next(i for i in range(1, 15) if kbps[i] * per_second // rate >= 4 + len(tag))
    header = bytes([0xFF, frame[1] | 1, index << 4 | frame[2] & 0x0C, frame[3]])
    return (header + tag).ljust(kbps[index] * per_second // rate, b"\0")
