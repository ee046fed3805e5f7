# SPDX-License-Identifier: Apache-2.0
"""WAV headers: RIFF, RIFX, RF64 and BW64. Decoders believe them; here they are compared with the file.

    RIFF <size> WAVE | fmt  <size> ... | (other chunks) | data <size> samples ... | (other chunks)

A size is 32 bits, so files over 4 GiB wrap around; RF64 keeps 64-bit sizes in a ``ds64`` chunk instead. Programs
that stream write a placeholder, and programs that die leave zero. Where the declared length cannot be right, the
decoder gets a header of ours with the length that the file has.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from auricle.audio.headers.layout import Layout, Part
from auricle.audio.source import Source
from auricle.errors import InputError
from auricle.results import Flag

#: Lengths that mean "not known when the header was written": ffmpeg, SoX, and others.
STREAM_LENGTHS = frozenset({0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000})
_MAX_CHUNKS = 10_000
_MAX_FMT_BYTES = 256
_WRAP = 1 << 32
_MAX_DECODER_CHANNELS = 1024
#: Chunks that follow the audio; one that is cut short is a chunk all the same.
_TAIL_CHUNKS = frozenset(
    {b"LIST", b"bext", b"id3 ", b"ID3 ", b"cue ", b"smpl", b"iXML", b"_PMX", b"PEAK", b"fact", b"JUNK"}
)

_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
#: Format tags that libsndfile reads, with the bit depths it may have (any if empty).
_CODECS: dict[int, frozenset[int]] = {
    _PCM: frozenset({8, 16, 20, 24, 32}),
    0x0002: frozenset(),  # Microsoft ADPCM
    _FLOAT: frozenset({32, 64}),
    0x0006: frozenset({8}),  # A-law
    0x0007: frozenset({8}),  # mu-law
    0x0011: frozenset(),  # IMA ADPCM
    0x0031: frozenset(),  # GSM 6.10
    0x0038: frozenset(),  # NMS ADPCM
    0x0040: frozenset(),  # G.721
    0x0064: frozenset(),  # G.726
}
_WITHOUT_BLOCKS = frozenset({_PCM, _FLOAT, 0x0006, 0x0007})


@dataclass(frozen=True)
class _Fmt:
    """The ``fmt`` chunk."""

    tag: int
    channels: int
    rate: int
    byte_rate: int
    block_align: int
    bits: int
    raw: bytes

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels, 0 for codecs that work in blocks."""
        return self.channels * ((self.bits + 7) // 8) if self.tag in _WITHOUT_BLOCKS else 0

    @property
    def codec(self) -> str:
        return f"WAV with format tag 0x{self.tag:04X} and {self.bits} bits"


@dataclass(frozen=True)
class _Data:
    """The ``data`` chunk: where it begins, what it declares, and where the RIFF chunk says that all ends."""

    start: int
    declared: int
    found: int
    riff_stop: int
    order: str
    long_sizes: bool


def inspect_wav(source: Source) -> Layout:
    """Compare a WAV header with its file.

    Raises:
        InputError: ``bad_header``, ``no_audio``, ``unsupported_codec``, ``too_many_channels``.
    """
    fmt, data = _find_chunks(source)
    _check_codec(fmt)
    length, flags = _true_length(source, data, fmt.frame_bytes)
    if length == 0:
        raise InputError("no_audio", f"a WAV header that declares {data.declared} bytes of audio, and no audio in it")
    flags += _conflicts(fmt)
    lied = any(flag.code in {"length_conflict", "trailing_data"} for flag in flags)
    too_long_for_riff = not data.long_sizes and length >= _WRAP - 1
    rewrite = lied or too_long_for_riff or source.read_at(0, 4) == b"BW64"
    part = Part(_header(fmt, length, data.order), data.start, data.start + length) if rewrite else Part()
    frames = length // fmt.frame_bytes if fmt.frame_bytes else None
    return Layout((part,), frames, flags, exact_seek=bool(frames), codec_note=fmt.codec, needs_codecs=_foreign(fmt))


def _find_chunks(source: Source) -> tuple[_Fmt, _Data]:
    """Walk the chunks up to ``data``; a chunk that claims more than the file holds ends it at once."""
    head = source.read_at(0, 12)
    order = ">" if head[:4] == b"RIFX" else "<"
    if len(head) < 12:
        raise InputError("bad_header", f"a RIFF header cut after {len(head)} bytes; get the file again")
    riff_stop = 8 + int(struct.unpack(order + "I", head[4:8])[0])
    fmt: _Fmt | None = None
    long_length: int | None = None
    offset = 12
    for _ in range(_MAX_CHUNKS):
        head = source.read_at(offset, 8)
        if len(head) < 8:
            break
        name, size = struct.unpack(order + "4sI", head)
        offset += 8
        if name == b"data":
            if fmt is None:
                raise InputError("bad_header", "a WAV header without a format ('fmt ') before its data")
            declared = size if long_length is None else long_length
            found = source.size - offset
            return fmt, _Data(offset, declared, found, riff_stop, order, long_length is not None)
        if offset + size > source.size:
            left = source.size - offset
            raise InputError("bad_header", f"chunk {name!r} claims {size} bytes where {left} are left in the file")
        if name == b"fmt ":
            fmt = _parse_fmt(source.read_at(offset, min(size, _MAX_FMT_BYTES)), order)
        elif name == b"ds64" and size >= 24:
            riff_size, long_length = struct.unpack("<QQ", source.read_at(offset, 16))
            riff_stop = 8 + riff_size
        offset += size + size % 2
    raise InputError("bad_header", "a WAV header without a 'data' chunk; get the file again")


def _parse_fmt(raw: bytes, order: str) -> _Fmt:
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
    return _Fmt(tag, channels, rate, byte_rate, block_align, bits, raw)


def _foreign(fmt: _Fmt) -> bool:
    """Tell whether libsndfile does not know the codec."""
    return fmt.tag not in _CODECS


def _check_codec(fmt: _Fmt) -> None:
    """Refuse bit depths that no reader can mean: some give noise, some nothing, and none an error."""
    depths = _CODECS.get(fmt.tag)
    if depths and fmt.bits not in depths:
        allowed = ", ".join(map(str, sorted(depths)))
        raise InputError("unsupported_codec", f"{fmt.codec}, where the bits can be {allowed}; convert it to 16-bit PCM")


def _conflicts(fmt: _Fmt) -> tuple[Flag, ...]:
    """Compare the four fields that say the same thing twice. Which of them lies cannot be known."""
    if not fmt.frame_bytes:
        return ()
    if fmt.block_align == fmt.frame_bytes and fmt.byte_rate == fmt.rate * fmt.frame_bytes:
        return ()
    details = {"channels": fmt.channels, "bits": fmt.bits, "block_align": fmt.block_align, "byte_rate": fmt.byte_rate}
    return (Flag("header_conflict", details),)


def _true_length(source: Source, data: _Data, frame_bytes: int) -> tuple[int, tuple[Flag, ...]]:
    """Return how many bytes of audio there are, and flags where that is not what the header declares."""
    declared, found = data.declared, data.found
    if declared in STREAM_LENGTHS and declared != found and not data.long_sizes:
        return found, (Flag("stream_header"),)
    if declared > found:
        unit = frame_bytes if frame_bytes > 0 else 1
        counts: dict[str, float | int | str] = {"declared": declared // unit, "found": found // unit}
        return found, (Flag("truncated", counts if frame_bytes else {**counts, "unit": "bytes"}),)
    excess = found - declared
    if excess <= 1:  # the padding byte of an odd length
        return declared, ()
    if excess >= _WRAP and not data.long_sizes:
        length = declared + excess // _WRAP * _WRAP
        return length, (_conflict(declared, length),)
    return _explain_excess(source, data)


def _explain_excess(source: Source, data: _Data) -> tuple[int, tuple[Flag, ...]]:
    """Decide what follows the declared end: chunks, another WAV, foreign bytes, or the rest of the audio."""
    stop = data.start + data.declared
    padded = stop + data.declared % 2
    after = source.read_at(padded, 12)
    if after[:4] in {b"RIFF", b"RIFX", b"RF64"} and after[8:12] == b"WAVE":
        return data.declared, (Flag("trailing_data", {"bytes": source.size - padded}),)
    if _is_chunk(after, source.size - padded, data.order):
        return data.declared, ()
    if data.declared and stop <= data.riff_stop <= padded:
        return data.declared, (Flag("trailing_data", {"bytes": source.size - padded}),)
    return data.found, (_conflict(data.declared, data.found),)


def _conflict(declared: int, found: int) -> Flag:
    return Flag("length_conflict", {"declared": declared, "found": found, "unit": "bytes"})


def _is_chunk(head: bytes, left: int, order: str) -> bool:
    """Tell whether bytes look like a chunk: a known name, or four printable characters and a size that fits."""
    if head[:4] in _TAIL_CHUNKS:
        return True
    if len(head) < 8 or not all(0x20 <= byte < 0x7F for byte in head[:4]):
        return False
    return 8 + int(struct.unpack(order + "I", head[4:8])[0]) <= left


def _header(fmt: _Fmt, length: int, order: str) -> bytes:
    """Return a minimal header for ``length`` bytes of audio: RIFF or RIFX, and RF64 where 32 bits are too few."""
    fmt_chunk = struct.pack(order + "4sI", b"fmt ", len(fmt.raw)) + fmt.raw + b"\0" * (len(fmt.raw) % 2)
    if length + len(fmt_chunk) + 20 < _WRAP - 1:
        size = 4 + len(fmt_chunk) + 8 + length
        name = b"RIFX" if order == ">" else b"RIFF"
        return (
            struct.pack(order + "4sI4s", name, size, b"WAVE") + fmt_chunk + struct.pack(order + "4sI", b"data", length)
        )
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, length + len(fmt_chunk) + 48, length, 0, 0)
    open_size = _WRAP - 1
    return (
        struct.pack("<4sI4s", b"RF64", open_size, b"WAVE") + ds64 + fmt_chunk + struct.pack("<4sI", b"data", open_size)
    )
