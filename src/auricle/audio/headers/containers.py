# SPDX-License-Identifier: Apache-2.0
"""Samples in containers that are wider than they are: 12 bits in 2 bytes, 20 in 3 or 4, 24 in 4.

By the standards they lie at the high end, and zeros fill the low one: then the container is read as it is. Some
programs write them at the low end, with the sign repeated above: read as they are they come out 16 to 256 times too
quiet, so they get a gain. Which it is can be seen in the samples.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from auricle.audio.source import Source

#: Bits of a sample -> bytes that its container may have.
CONTAINERS: dict[int, tuple[int, ...]] = {12: (2,), 20: (3, 4), 24: (3, 4)}
_LOOKS = 8
_LOOK_VALUES = 4_096


def container_bytes(bits: int, frame_bytes: int, channels: int) -> int:
    """Return the bytes of a sample's container; the least that hold ``bits`` where the frame explains no other."""
    width = frame_bytes // channels if channels and frame_bytes % channels == 0 else 0
    return width if width in CONTAINERS.get(bits, ()) else (bits + 7) // 8


def justification_gain(source: Source, start: int, stop: int, width: int, bits: int, order: str) -> float | None:
    """Return what samples of ``bits`` in containers of ``width`` bytes are to be multiplied by.

    Args:
        source: of the samples.
        start: of the first sample.
        stop: behind the last one.
        width: bytes of a container.
        bits: that are said to be valid.
        order: of the bytes, ``<`` or ``>``.

    Returns:
        1 if they lie at the high end (or fill it with zeros), a power of two if at the low end, None if all bits of
        the container are in use.
    """
    spare = 8 * width - bits
    if spare <= 0:
        return 1.0
    high = low = True
    for look in range(_LOOKS):
        at = start + (stop - start) * look // _LOOKS // width * width
        raw = source.read_at(at, min(_LOOK_VALUES * width, (stop - at) // width * width))
        values = _integers(raw[: len(raw) // width * width], width, order)
        high = high and not (values & ((1 << spare) - 1)).any()
        above = values >> (bits - 1)
        low = low and bool(((above == 0) | (above == -1)).all())
    if high:
        return 1.0
    return float(1 << spare) if low else None


def _integers(raw: bytes, width: int, order: str) -> npt.NDArray[np.int64]:
    """Return signed whole numbers of ``width`` bytes each."""
    digits = np.frombuffer(raw, np.uint8).reshape(-1, width).astype(np.int64)
    if order == ">":
        digits = digits[:, ::-1]
    values = sum((digits[:, i] << (8 * i) for i in range(width)), np.zeros(len(digits), np.int64))
    return np.where(values >= 1 << (8 * width - 1), values - (1 << (8 * width)), values)
