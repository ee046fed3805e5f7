# SPDX-License-Identifier: Apache-2.0
"""The smallest useful PNG writer: one palette of 256 colours, one byte a pixel, no dependency."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PALETTE_COLOUR = 3


def encode_png(pixels: Bytes, palette: Bytes) -> bytes:
    """Return an image as PNG (W3C Portable Network Graphics Specification, colour type 3).

    Args:
        pixels: indices into the palette, shape ``(row, column)``, first row on top.
        palette: red, green, blue, shape ``(256, 3)``.

    Raises:
        ValueError: another shape or type, or no pixel.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.size == 0:
        raise ValueError(f"pixels must be bytes of shape (row, column), got {pixels.dtype} {pixels.shape}")
    if palette.dtype != np.uint8 or palette.shape != (256, 3):
        raise ValueError(f"the palette must be bytes of shape (256, 3), got {palette.dtype} {palette.shape}")
    rows, columns = pixels.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, _PALETTE_COLOUR, 0, 0, 0)
    lines = np.hstack([np.zeros((rows, 1), np.uint8), pixels])  # each line begins with its filter: none
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
