# SPDX-License-Identifier: Apache-2.0
"""The format chunk of WAV and W64: what it says of a sample, what it says twice, and what no reader can mean."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from auricle.audio.headers.containers import container_bytes, justification_gain
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

_MAX_DECODER_CHANNELS = 1024
_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
#: Format tags that libsndfile reads, with the bit depths they may have (any if empty).
_CODECS: dict[int, frozenset[int]] = {
    _PCM: frozenset({8, 12, 16, 20, 24, 32}),
    0x0002: frozenset({4}),  # Microsoft ADPCM
    _FLOAT: frozenset({32, 64}),
    0x0006: frozenset({8}),  # A-law
    0x0007: frozenset({8}),  # mu-law
    0x0011: frozenset({4}),  # IMA ADPCM
    0x0031: frozenset(),  # GSM 6.10
    0x0038: frozenset(),  # NMS ADPCM
    0x0040: frozenset(),  # G.721
    0x0064: frozenset(),  # G.726
}
_WITHOUT_BLOCKS = frozenset({_PCM, _FLOAT, 0x0006, 0x0007})


@dataclass(frozen=True)
class Fmt:
    """The ``fmt`` chunk."""

    tag: int
    channels: int
    rate: int
    byte_rate: int
    block_align: int
    bits: int
    raw: bytes
    order: Literal["<", ">"]

    @property
    def width(self) -> int:
        """Bytes of a sample, 0 for codecs that work in blocks."""
        if self.tag not in _WITHOUT_BLOCKS:
            return 0
        return container_bytes(self.bits, self.block_align, self.channels) if self.tag == _PCM else self.bits // 8

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels, 0 for codecs that work in blocks."""
        return self.channels * self.width

    @property
    def valid_bits(self) -> int:
        """Bits of a sample that hold it; the extensible form says them beside those of the container."""
        tag, said = struct.unpack(self.order + "H16xH", self.raw[:20]) if len(self.raw) >= 20 else (self.tag, 0)
        return int(said) if tag == _EXTENSIBLE and 0 < said < self.bits else self.bits

    @property
    def codec(self) -> str:
        """Name it for people."""
        return f"WAV with format tag 0x{self.tag:04X} and {self.bits} bits"

    def normal(self) -> bytes:
        """Return the content of a ``fmt`` chunk that says what the decoder is to read: whole containers."""
        if not self.width or 8 * self.width == self.bits:
            return self.raw
        size, bits = self.frame_bytes, 8 * self.width
        return struct.pack(self.order + "HHIIHH", self.tag, self.channels, self.rate, self.rate * size, size, bits)


def parse_fmt(raw: bytes, order: Literal["<", ">"]) -> Fmt:
    """Read a format chunk.

    Raises:
        InputError: ``bad_header`` or ``too_many_channels``.
    """
    if len(raw) < 16:
        raise InputError("bad_header", f"a format chunk of {len(raw)} bytes where 16 are the least")
    tag, channels, rate, byte_rate, block_align, bits = struct.unpack(order + "HHIIHH", raw[:16])
    if tag == _EXTENSIBLE and len(raw) >= 26:
        tag = struct.unpack(order + "H", raw[24:26])[0]
    if channels == 0:
        raise InputError("bad_header", "the header says 0 channels")
    if channels > _MAX_DECODER_CHANNELS:
        raise InputError("too_many_channels", f"{channels} channels where {_MAX_DECODER_CHANNELS} can be read at all")
    if rate == 0 or rate >= 1 << 31:
        raise InputError("bad_header", f"the header says a sample rate of {rate} Hz")
    return Fmt(tag, channels, rate, byte_rate, block_align, bits, raw, order)


def is_foreign(fmt: Fmt) -> bool:
    """Tell whether libsndfile does not know the codec."""
    return fmt.tag not in _CODECS


def check_codec(fmt: Fmt) -> None:
    """Refuse bit depths that no reader can mean: some give noise, some nothing, and none an error."""
    depths = _CODECS.get(fmt.tag)
    if depths and fmt.bits not in depths:
        allowed = ", ".join(map(str, sorted(depths)))
        raise InputError("unsupported_codec", f"{fmt.codec}, where the bits can be {allowed}; convert it to 16-bit PCM")


def sample_gain(source: Source, fmt: Fmt, start: int, length: int) -> tuple[float, tuple[Flag, ...]]:
    """Return the gain of samples that are narrower than their containers, and a flag where fields contradict."""
    conflicts = _conflicts(fmt)
    if fmt.tag != _PCM or fmt.width < 2:
        return 1.0, conflicts
    gain = justification_gain(source, start, start + length, fmt.width, fmt.valid_bits, fmt.order)
    if gain is None and not conflicts:
        conflicts = (Flag("header_conflict", {"valid_bits": fmt.valid_bits, "bits": 8 * fmt.width}),)
    return 1.0 if gain is None else gain, conflicts


def _conflicts(fmt: Fmt) -> tuple[Flag, ...]:
    """Compare the four fields that say the same thing twice. Which of them lies cannot be known."""
    if not fmt.frame_bytes:
        return ()
    if fmt.block_align == fmt.frame_bytes and fmt.byte_rate == fmt.rate * fmt.frame_bytes:
        return ()
    details = {"channels": fmt.channels, "bits": fmt.bits, "block_align": fmt.block_align, "byte_rate": fmt.byte_rate}
    return (Flag("header_conflict", details),)
