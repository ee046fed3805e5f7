# SPDX-License-Identifier: Apache-2.0
"""Makers of bad recordings: one case for each way a file goes wrong, with the one verdict it must get.

A verdict is ``OK``, the code of a flag, or the code of a failure. ``id`` is the number in the register of bad inputs.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16_000
HEADER_BYTES = 44


@dataclass(frozen=True)
class BadFile:
    """A case.

    Attributes:
        id: number in the register, with a letter where one entry has several files.
        name: file name.
        make: returns the bytes, or writes the (sparse) file it is given the path of.
        verdict: ``OK``, a flag code, or a failure code.
        seconds: expected duration of what is decoded; None if that is the codec's business.
        options: arguments of ``read_audio``.
    """

    id: str
    name: str
    make: Callable[..., bytes | None]
    verdict: str
    seconds: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        path = folder / self.name
        if self.id.startswith("sparse"):
            self.make(path)
        else:
            path.write_bytes(self.make())
        return path


def tone(frames: int = 32_000, level: float = 0.3, rate: int = RATE) -> np.ndarray:
    time = np.arange(frames) / rate
    noise = np.random.default_rng(7).standard_normal(frames)
    return (level * np.sin(2 * np.pi * 440 * time) + 0.02 * noise).astype(np.float32)


def encode(samples: np.ndarray, format: str = "WAV", subtype: str | None = None, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def wav(samples: np.ndarray | None = None, subtype: str = "PCM_16", rate: int = RATE) -> bytes:
    return encode(tone() if samples is None else samples, "WAV", subtype, rate)


def patch(data: bytes, offset: int, format: str, value: int | bytes) -> bytes:
    new = struct.pack(format, value)
    return data[:offset] + new + data[offset + len(new) :]


def patched_wav(offset: int, format: str, value: int) -> bytes:
    """A good 2 s WAV (44 bytes of header, 64,000 of audio) with one field replaced."""
    return patch(wav(), offset, format, value)


def data_length(value: int) -> bytes:
    return patched_wav(40, "<I", value)


def with_samples(values: Any, subtype: str = "FLOAT", where: slice = slice(100, 110)) -> bytes:
    samples = tone().astype(np.float64)
    samples[where] = values
    return wav(samples, subtype)


def flac_total(total: int) -> bytes:
    data = encode(tone(), "FLAC")
    fields = int.from_bytes(data[18:26], "big")
    return data[:18] + ((fields >> 36 << 36) | total).to_bytes(8, "big") + data[26:]


def cut(data: bytes, share: float = 0.5) -> bytes:
    return data[: int(len(data) * share)]


def flipped(data: bytes, start: int, count: int) -> bytes:
    damaged = bytearray(data)
    for at in np.random.default_rng(3).integers(start, len(data), count):
        damaged[at] ^= 0xFF
    return bytes(damaged)


def bw64() -> bytes:
    return b"BW64" + encode(tone(), "RF64")[4:]


def rifx() -> bytes:
    """The big-endian form of WAV."""
    audio = (tone() * 32_767).astype(">i2").tobytes()
    fmt = struct.pack(">HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    return (
        struct.pack(">4sI4s4sI", b"RIFX", 36 + len(audio), b"WAVE", b"fmt ", 16)
        + fmt
        + b"data"
        + (len(audio).to_bytes(4, "big") + audio)
    )


def with_chunk(name: bytes, claimed: int, content: bytes = b"") -> bytes:
    data = wav()
    return data[:12] + name + struct.pack("<I", claimed) + content + data[12:]


def tagged_mp3(content: bytes) -> bytes:
    """An ID3v2 tag of 32 bytes before ``content``."""
    return b"ID3\x04\0\0\0\0\0\x20" + bytes(32) + content


def mp3_without_xing() -> bytes:
    """What is left of an MP3 without its first frame, which declares the length: as from a stream recorder."""
    data = encode(tone(), "MP3")
    return data[data.find(data[:2], 4) :]


def sparse_wav(path: Path, seconds: float, rate: int, channels: int, header: bytes | None = None) -> None:
    """A WAV of zeros that takes no disk space; its 32-bit length wraps around as it does in the wild."""
    length = round(seconds * rate) * channels * 2
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    riff = struct.pack("<4sI4s4sI", b"RIFF", (36 + length) % 2**32, b"WAVE", b"fmt ", 16) + fmt
    start = header or riff + struct.pack("<4sI", b"data", length % 2**32)
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + length)


def sparse_rf64(path: Path, seconds: float, rate: int, channels: int) -> None:
    length = round(seconds * rate) * channels * 2
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    ds64 = struct.pack("<4sIQQQI", b"ds64", 28, 72 + length, length, length // (channels * 2), 0)
    header = b"RF64\xff\xff\xff\xffWAVE" + ds64 + fmt + b"data\xff\xff\xff\xff"
    sparse_wav(path, seconds, rate, channels, header)


def box(name: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def mp4(codec: str = "aac") -> bytes:
    """Half a second of AAC in MP4, made by FFmpeg."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(tone(8_000)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


def ogg_with_gap() -> bytes:
    """Vorbis with one whole page in the middle overwritten."""
    data = encode(tone(80_000), "OGG")
    pages = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
    middle = pages[len(pages) // 2]
    end = next(page for page in pages if page > middle)
    return data[:middle] + bytes(end - middle) + data[end:]


def stereo(left: np.ndarray, right: np.ndarray) -> bytes:
    return wav(np.stack([left, right], axis=1))


_HEAD = HEADER_BYTES
_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 64044\n"
_HTML = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>\n"
_FULL_DAY_S = 24 * 3600.0

CASES: tuple[BadFile, ...] = (
    BadFile("A1", "empty.wav", lambda: b"", "empty_file"),
    BadFile("A2", "header.wav", lambda: wav(np.zeros(0)), "no_audio"),
    BadFile("A2 flac", "header.flac", lambda: flac_total(0)[: flac_total(0).find(b"\xff\xf8")], "no_audio"),
    BadFile("A2 aiff", "header.aiff", lambda: encode(np.zeros(0), "AIFF"), "no_audio"),
    BadFile("A3", "cut.wav", lambda: wav()[: _HEAD + 32_000], "truncated", 1.0),
    BadFile("A3 w64", "cut.w64", lambda: cut(encode(tone(), "W64")), "truncated"),
    BadFile("A3 caf", "cut.caf", lambda: cut(encode(tone(), "CAF")), "truncated"),
    BadFile("A3 aiff", "cut.aiff", lambda: cut(encode(tone(), "AIFF")), "truncated"),
    BadFile("A3 au", "cut.au", lambda: cut(encode(tone(), "AU")), "truncated"),
    BadFile("A3 rf64", "cut.rf64", lambda: cut(encode(tone(), "RF64")), "truncated"),
    BadFile("A3 adpcm", "cut-adpcm.wav", lambda: cut(wav(subtype="IMA_ADPCM")), "truncated"),
    BadFile("A4", "odd.wav", lambda: wav()[: _HEAD + 32_001], "truncated", 1.0),
    BadFile("A5", "fmt-cut.wav", lambda: wav()[:30], "bad_header"),
    BadFile("A5 riff", "riff-cut.wav", lambda: wav()[:12], "bad_header"),
    BadFile("A6", "streamed.wav", lambda: patch(data_length(0xFFFFFFFF), 4, "<I", 0xFFFFFFFF), "stream_header", 2.0),
    BadFile("A6 sox", "sox.wav", lambda: data_length(0x7FFFF000), "stream_header", 2.0),
    BadFile("A7", "claims-2gb.wav", lambda: data_length(2_000_000_000), "truncated", 2.0),
    BadFile("A8", "too-short.wav", lambda: data_length(100), "length_conflict", 2.0),
    BadFile("A9", "zero-length.wav", lambda: data_length(0), "length_conflict", 2.0),
    BadFile("A9 both", "zeros.wav", lambda: patch(data_length(0), 4, "<I", 36), "length_conflict", 2.0),
    BadFile("A10", "riff-zero.wav", lambda: patched_wav(4, "<I", 0), "OK", 2.0),
    BadFile("A10 wrong", "riff-wrong.wav", lambda: patched_wav(4, "<I", 123_456_789), "OK", 2.0),
    BadFile(
        "sparse A11",
        "wrapped.wav",
        lambda path: sparse_wav(path, _FULL_DAY_S, 48_000, 2),
        "length_conflict",
        10.0,
        {"offset_s": _FULL_DAY_S - 10},
    ),
    BadFile(
        "sparse A12",
        "day.rf64",
        lambda path: sparse_rf64(path, _FULL_DAY_S, 48_000, 2),
        "silent",
        10.0,
        {"offset_s": _FULL_DAY_S - 10},
    ),
    BadFile("A12 rf64", "long.wav", lambda: encode(tone(), "RF64"), "OK", 2.0),
    BadFile("A12 w64", "sony.w64", lambda: encode(tone(), "W64"), "OK", 2.0),
    BadFile("A12 bw64", "broadcast.wav", bw64, "OK", 2.0),
    BadFile("A12 rifx", "motorola.wav", rifx, "OK", 2.0),
    BadFile("A13", "some-nan.wav", lambda: with_samples([np.nan] * 5 + [np.inf] * 5), "nonfinite", 2.0),
    BadFile("A13 many", "two-percent.wav", lambda: with_samples(np.nan, where=slice(0, 640)), "nonfinite!"),
    BadFile("A14", "all-nan.wav", lambda: with_samples(np.nan, where=slice(None)), "nonfinite!"),
    BadFile("A15", "huge.wav", lambda: with_samples(3e37), "out_of_range"),
    BadFile("A15 double", "double.wav", lambda: with_samples(1e300, "DOUBLE"), "out_of_range"),
    BadFile("A16", "denormal.wav", lambda: wav(np.full(32_000, 1e-41, np.float32), "FLOAT"), "silent", 2.0),
    BadFile("A17", "dc.wav", lambda: wav(np.full(32_000, 0.25)), "dc_only", 2.0),
    BadFile("A18", "silent.wav", lambda: wav(np.zeros(32_000)), "silent", 2.0),
    BadFile("A19", "clipped.wav", lambda: wav(np.clip(tone(level=2.0), -1, 1)), "clipped", 2.0),
    BadFile("A19 loud", "loud.wav", lambda: wav(tone(level=0.9)), "OK", 2.0),
    BadFile("A20", "8k.wav", lambda: wav(tone(16_000), rate=8_000), "band_limited", 2.0, {"sample_rate": RATE}),
    BadFile("A21", "192k.wav", lambda: wav(tone(192_000), rate=192_000), "OK", 1.0, {"sample_rate": RATE}),
    BadFile("A22 zero", "rate-0.wav", lambda: patched_wav(24, "<I", 0), "bad_header"),
    BadFile("A22 max", "rate-max.wav", lambda: patched_wav(24, "<I", 0xFFFFFFFF), "bad_header"),
    BadFile("A23", "rate-1.wav", lambda: patched_wav(24, "<I", 1), "rate_out_of_range"),
    BadFile("A23 high", "rate-1M.wav", lambda: patched_wav(24, "<I", 1_000_000), "rate_out_of_range"),
    BadFile("A25 dead", "dead.wav", lambda: stereo(tone(), 0 * tone()), "channel_cancel", 2.0),
    BadFile("A25 anti", "anti.wav", lambda: stereo(tone(), -tone()), "channel_cancel", 2.0),
    BadFile("A25 good", "stereo.wav", lambda: stereo(tone(), tone()), "OK", 2.0),
    BadFile("A26 32", "ch32.wav", lambda: wav(np.repeat(tone(1_600)[:, None], 32, axis=1)), "OK", 0.1),
    BadFile("A26 1024", "ch1024.wav", lambda: wav(np.zeros((100, 1024))), "too_many_channels"),
    BadFile("A26 2000", "ch2000.wav", lambda: patched_wav(22, "<H", 2000), "too_many_channels"),
    BadFile("A27", "ch0.wav", lambda: patched_wav(22, "<H", 0), "bad_header"),
    BadFile("A28", "mono-as-stereo.wav", lambda: patched_wav(22, "<H", 2), "header_conflict", 1.0),
    BadFile("A29", "16-as-24.wav", lambda: patched_wav(34, "<H", 24), "header_conflict"),
    *(
        BadFile(f"A30 {subtype}", f"{subtype}.wav", lambda subtype=subtype: wav(subtype=subtype), "OK")
        for subtype in ("PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM")
    ),
    BadFile("A31", "gsm.wav", lambda: wav(subtype="GSM610"), "OK"),
    BadFile("A32 tag", "tag.wav", lambda: patched_wav(20, "<H", 0x1234), "unsupported_codec"),
    BadFile("A32 bits 0", "bits-0.wav", lambda: patched_wav(34, "<H", 0), "unsupported_codec"),
    BadFile("A32 bits 13", "bits-13.wav", lambda: patched_wav(34, "<H", 13), "unsupported_codec"),
    BadFile("A33 mp3", "mp3.wav", lambda: encode(tone(), "MP3"), "extension_mismatch", 2.0),
    BadFile("A33 wav", "wav.mp3", wav, "extension_mismatch", 2.0),
    BadFile("A34", "wav.raw", wav, "OK", 2.0),
    BadFile("A35 text", "notes.wav", lambda: b"recorded on 3 May, near the pond\n", "not_audio"),
    BadFile("A35 html", "404.wav", lambda: _HTML, "not_audio"),
    BadFile("A35 lfs", "lfs.wav", lambda: _LFS, "not_audio"),
    BadFile("A35 mac", "._x.wav", lambda: b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X" + bytes(80), "not_audio"),
    BadFile("A35 zip", "zip.wav", lambda: b"PK\x03\x04" + bytes(100), "not_audio"),
    BadFile("A35 zeros", "zeros.flac", lambda: bytes(1000), "not_audio"),
    BadFile("A35 noise", "noise.wav", lambda: b"\x81\x02" + np.random.default_rng(1).bytes(999), "not_audio"),
    BadFile("A36", "cut.mp3", lambda: cut(encode(tone(), "MP3")), "truncated"),
    BadFile("A37", "flipped.mp3", lambda: flipped(encode(tone(), "MP3"), 1_000, 300), "decode_gap"),
    BadFile("A38", "tag-only.mp3", lambda: tagged_mp3(b""), "no_audio"),
    BadFile("A38 v1", "both-tags.mp3", lambda: tagged_mp3(b"TAG" + bytes(125)), "no_audio"),
    BadFile("A38 tagged", "tagged.mp3", lambda: tagged_mp3(encode(tone(), "MP3")), "OK", 2.0),
    BadFile("A39 cut", "cut.flac", lambda: cut(encode(tone(), "FLAC")), "truncated"),
    BadFile("A39 flipped", "flipped.flac", lambda: flipped(encode(tone(), "FLAC"), 25_000, 40), "truncated"),
    BadFile("A39 early", "early.flac", lambda: encode(tone(), "FLAC")[:4_000], "corrupt"),
    BadFile("A40", "total-0.flac", lambda: flac_total(0), "OK", 2.0),
    BadFile("A41", "total-max.flac", lambda: flac_total(2**36 - 1), "length_conflict", 2.0),
    BadFile("A41 low", "total-low.flac", lambda: flac_total(1_000), "length_conflict", 2.0),
    BadFile("A41 tag", "tagged.flac", lambda: tagged_mp3(encode(tone(), "FLAC")), "OK", 2.0),
    BadFile("A43 vorbis", "cut.ogg", lambda: cut(encode(tone(80_000), "OGG")), "truncated"),
    BadFile("A43 opus", "cut.opus", lambda: cut(encode(tone(80_000), "OGG", "OPUS")), "truncated"),
    BadFile("A43 early", "early.ogg", lambda: encode(tone(), "OGG")[:4_500], "corrupt"),
    BadFile("A43 first", "first.ogg", lambda: encode(tone(), "OGG")[:40], "bad_header"),
    BadFile("A43 gap", "gap.ogg", ogg_with_gap, "decode_gap"),
    BadFile("A44", "chain.ogg", lambda: encode(tone(), "OGG") + encode(tone(), "OGG", rate=8_000), "rate_change"),
    BadFile(
        "A44 channels",
        "widens.ogg",
        lambda: encode(tone(), "OGG") + encode(np.tile(tone(), (2, 1)).T, "OGG"),
        "rate_change",
    ),
    BadFile("A44 same", "same.ogg", lambda: 2 * encode(tone(), "OGG"), "OK", 4.0),
    BadFile("A45", "glued.wav", lambda: wav() + wav(), "trailing_data", 2.0),
    BadFile("A45 junk", "junk.wav", lambda: wav() + b"\x00\xff" * 500, "trailing_data", 2.0),
    BadFile("A45 chunk", "tail.wav", lambda: wav() + b"LIST\x04\0\0\0INFO", "OK", 2.0),
    BadFile("A45 cut chunk", "tail-cut.wav", lambda: wav() + b"LIST\xff\xff\0\0INFO", "OK", 2.0),
    BadFile("A45 mp3", "glued.mp3", lambda: 2 * encode(tone(), "MP3"), "OK", 4.0),
    BadFile("A45 tag", "tail.mp3", lambda: encode(tone(), "MP3") + b"TAG" + bytes(125), "OK", 2.0),
    BadFile("A46 junk", "junk-2gb.wav", lambda: with_chunk(b"JUNK", 2_000_000_000), "bad_header"),
    BadFile("A46 list", "list-2gb.wav", lambda: with_chunk(b"LIST", 2_000_000_000), "bad_header"),
    BadFile("A46 good", "list.wav", lambda: with_chunk(b"LIST", 4, b"INFO"), "OK", 2.0),
    BadFile("A47 10 ms", "10ms.wav", lambda: wav(tone(160)), "OK", 0.01),
    BadFile("A47 one", "one.wav", lambda: wav(np.full(1, 0.5)), "dc_only", 1 / RATE),
    BadFile("A49", "odd-length.wav", lambda: wav(tone(32_001)), "OK", 32_001 / RATE),
    BadFile("A51", "video.mp4", mp4, "OK"),
    BadFile("A51 damaged", "video-cut.mp4", lambda: cut(mp4()), "corrupt"),
    BadFile("A52 itunes", "song.m4a", lambda: box(b"ftyp", b"M4P " + bytes(8)), "unsupported_codec"),
    BadFile("A52 encrypted", "drm.mp4", lambda: mp4().replace(b"mp4a", b"enca"), "unsupported_codec"),
)
