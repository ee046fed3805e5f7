# SPDX-License-Identifier: Apache-2.0
"""Formats that libsndfile reads and hardly anyone writes: the length that each declares, so that a cut is said.

AVR (Atari), WVE (Psion), SDS (MIDI sample dump, whose missing blocks libsndfile fills with silence) and MAT 5
(MATLAB).
"""

from __future__ import annotations

import struct

from auricle.audio.headers.layout import Layout
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source
from auricle.results import Flag

_AVR_HEADER, _WVE_HEADER, _SDS_HEADER, _MAT_HEADER = 128, 32, 21, 128
_SDS_BLOCK, _SDS_BLOCK_SAMPLES_BYTES = 127, 120
_MAX_ELEMENTS = 1_000


def inspect_rare(source: Source, kind: Kind) -> Layout:
    """Compare the size of a file with the one that its header declares."""
    head = source.read_at(0, _AVR_HEADER)
    by_head = {"avr": _avr, "wve": _wve, "sds": _sds}
    declared = by_head[kind.name](head) if kind.name in by_head else _mat5(source)
    counts: dict[str, float | int | str] = {"declared": declared, "found": source.size, "unit": "bytes"}
    flags = (Flag("truncated", counts),) if declared > source.size else ()
    return Layout(flags=flags, exact_seek=True, codec_note=kind.title)


def _avr(head: bytes) -> int:
    channels = 2 if head[12:14] == b"\xff\xff" else 1
    bits, frames = int.from_bytes(head[14:16], "big"), int.from_bytes(head[26:30], "big")
    return _AVR_HEADER + frames * channels * bits // 8


def _wve(head: bytes) -> int:
    return _WVE_HEADER + int.from_bytes(head[18:22], "big")


def _sds(head: bytes) -> int:
    """Words of 7 bits, the low one first; a block holds 120 bytes of them, 2 to 4 a sample."""
    if len(head) < _SDS_HEADER:
        return _SDS_HEADER
    bits, samples = head[6], head[10] | head[11] << 7 | head[12] << 14
    per_block = _SDS_BLOCK_SAMPLES_BYTES // max(2, (bits + 6) // 7)
    return _SDS_HEADER + (samples + per_block - 1) // per_block * _SDS_BLOCK


def _mat5(source: Source) -> int:
    """Elements one after the other: a type and a size of 4 bytes each, then content."""
    order = ">" if source.read_at(126, 2) == b"MI" else "<"
    offset = _MAT_HEADER
    for _ in range(_MAX_ELEMENTS):
        head = source.read_at(offset, 8)
        if len(head) < 8 or offset >= source.size:
            break
        offset += 8 + int(struct.unpack(order + "I", head[4:])[0])
    return offset - 8  # libsndfile counts the last header twice
