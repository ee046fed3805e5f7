# SPDX-License-Identifier: Apache-2.0
"""Recordings with the headers that recorders write, built field by field from the specifications."""

from __future__ import annotations

import struct
from pathlib import Path

RATE = 1_000


def chunk(name: bytes, content: bytes, order: str = "<") -> bytes:
    return name + struct.pack(order + "I", len(content)) + content + b"\0" * (len(content) % 2)


def bext(
    *, description: str = "", originator: str = "", reference: str = "", date: str = "", time: str = "",
    samples: int = 0, version: int = 1,
) -> bytes:  # fmt: skip
    """EBU Tech 3285: Description[256] Originator[32] OriginatorReference[32] OriginationDate[10] OriginationTime[8]
    TimeReferenceLow[4] TimeReferenceHigh[4] Version[2] UMID[64] loudness[10] Reserved[180] CodingHistory."""
    texts = ((description, 256), (originator, 32), (reference, 32), (date, 10), (time, 8))
    body = b"".join(text.encode("ascii").ljust(size, b"\0") for text, size in texts)
    body += struct.pack("<IIH", samples & 0xFFFFFFFF, samples >> 32, version) + bytes(64) + bytes(10) + bytes(180)
    assert len(body) == 602
    return chunk(b"bext", body)


def info(order: str = "<", **fields: str) -> bytes:
    """LIST of type INFO: per field a name of four letters, a length, text that ends with a zero, a pad byte."""
    inner = b"".join(chunk(name.encode(), text.encode() + b"\0", order) for name, text in fields.items())
    return chunk(b"LIST", b"INFO" + inner, order)


def guano(text: str) -> bytes:
    return chunk(b"guan", text.encode("utf-8"))


def ixml(text: str) -> bytes:
    return chunk(b"iXML", text.encode("utf-8"))


def write_wav(
    path: Path, seconds: float = 1.0, *, before: bytes = b"", behind: bytes = b"", kept_s: float | None = None
) -> Path:
    """A WAV of 8-bit silence at 1 kHz that takes no room on the disk; ``kept_s`` cuts the file off."""
    count = round(seconds * RATE)
    form = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, RATE, 1, 8))
    size = 4 + len(form) + len(before) + 8 + count + count % 2 + len(behind)
    head = b"RIFF" + struct.pack("<I", size) + b"WAVE" + form + before + b"data" + struct.pack("<I", count)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + (round(kept_s * RATE) if kept_s is not None else count + count % 2))
        if behind:
            file.seek(0, 2)
            file.write(behind)
    return path
