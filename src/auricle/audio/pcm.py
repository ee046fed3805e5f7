# SPDX-License-Identifier: Apache-2.0
"""Samples that come through a pipe: plain PCM, or a WAV whose header comes first. Read as they come, not to the end."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Protocol

import numpy as np

from auricle.audio.headers.chunks import RIFF
from auricle.audio.headers.mpeg_frames import frame_bytes, stream_key
from auricle.audio.headers.riff import is_open_length
from auricle.errors import InputError, UsageError
from auricle.results import FloatArray

#: Plain samples by name: how they lie in memory, and what full scale is divided by.
FORMATS: dict[str, tuple[np.dtype[Any], float]] = {
    "s16le": (np.dtype("<i2"), 32_768.0),
    "s32le": (np.dtype("<i4"), 2_147_483_648.0),
    "f32le": (np.dtype("<f4"), 1.0),
}
#: The same by a WAV's format tag and bits.
_WAV_FORMATS = {(1, 16): "s16le", (1, 32): "s32le", (3, 32): "f32le"}
_EXTENSIBLE = 0xFFFE
_READ_BYTES = 65_536
_LONGEST_CHUNK = 1 << 20
#: What else may come through a pipe: where its mark stands, the mark, and what to call it.
_OTHERS = (
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"),
    (0, b"ID3", "MP3"),
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (0, b"RIFX", "a big-endian WAV"),
    (0, b"RF64", "a WAV of the RF64 format"),
    (0, b"FORM", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b".snd", "AU"),
    (0, b"riff\x2e\x91", "W64"),
    (0, b"#!AMR", "AMR"),
    (0, b"wvpk", "WavPack"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (4, b"ftyp", "MP4"),
)
_MARK_BYTES = 8


class PipeFile(Protocol):
    """What a pipe is read with: ``read1`` returns as soon as there is anything."""

    def read1(self, size: int = -1, /) -> bytes:
        """Return what is there, at most ``size`` bytes; nothing at the end."""
        ...


class PcmReader:
    """Blocks of samples from a pipe, ``(time, channel)``, each as soon as it is there.

    Args:
        file: the pipe.
        sample_rate: of plain samples, in Hz; a WAV header says it itself.
        format: of plain samples, a key of ``FORMATS``.
        channels: of plain samples.

    Raises:
        UsageError: plain samples without a rate, or options that contradict the header.
        InputError: it is something else, or a header that cannot be used.
    """

    def __init__(
        self,
        file: BinaryIO | PipeFile,
        *,
        sample_rate: int | None = None,
        format: str | None = None,
        channels: int | None = None,
    ) -> None:
        self._file: Any = file
        self._kept = b""
        self._left: int | None = None
        head = self._take(4)
        if head == b"RIFF":
            found = self._read_header()
            _agree(found, (sample_rate, format, channels))
        else:
            self._kept = head + self._kept
            self._refuse_others()
            if sample_rate is None:
                raise UsageError(
                    "stdin has no WAV header, so its rate is not known: give --rate HZ (and --sample-format, if the "
                    "samples are not s16le)"
                )
            found = (sample_rate, "s16le" if format is None else format, 1 if channels is None else channels)
        self.sample_rate, self.format, self.channels = found

    def __iter__(self) -> Iterator[FloatArray]:
        dtype, scale = FORMATS[self.format]
        item = dtype.itemsize * self.channels
        while True:
            whole = len(self._kept) // item * item
            if self._left is not None:
                whole = min(whole, self._left)
            if whole:
                block = np.frombuffer(self._kept[:whole], dtype).reshape(-1, self.channels)
                self._kept = self._kept[whole:]
                self._left = None if self._left is None else self._left - whole
                yield np.asarray(block / np.float32(scale), np.float32)
            if self._left is not None and self._left < item:
                return  # what follows the audio of a WAV is no sound
            if not self._more():
                return

    def _more(self) -> bool:
        """Wait for bytes; returns False at the end."""
        data = self._file.read1(_READ_BYTES)
        self._kept += data
        return bool(data)

    def _take(self, count: int) -> bytes:
        """Return the next bytes, fewer only at the end."""
        while len(self._kept) < count and self._more():
            pass
        data, self._kept = self._kept[:count], self._kept[count:]
        return data

    def _peek(self, count: int) -> bytes:
        """Return the next bytes and keep them."""
        data = self._take(count)
        self._kept = data + self._kept
        return data

    def _read_header(self) -> tuple[int, str, int]:
        """Read up to the first sample; returns rate, format and channels."""
        fmt: bytes | None = None
        if self._take(8)[4:] != b"WAVE":
            raise InputError("bad_header", "stdin begins with RIFF and is no WAV; send WAV or plain samples")
        while True:
            head = self._take(8)
            if len(head) < 8:
                raise InputError("bad_header", "stdin ends inside a WAV header; send the recording again")
            name, size = head[:4], struct.unpack("<I", head[4:])[0]
            if name == b"data":
                break
            if size > _LONGEST_CHUNK:
                raise InputError("bad_header", f"a WAV header with a chunk of {size} bytes before the audio")
            content = self._take(size)
            if size % 2 and self._peek(4) not in RIFF.names:  # some writers leave the pad byte out
                self._take(1)
            fmt = content if name == b"fmt " else fmt
        # Programs that stream write a placeholder, or nothing, where the length belongs.
        self._left = None if is_open_length(size) or size == 0 else size
        return _parse_fmt(fmt)

    def _refuse_others(self) -> None:
        """Refuse what is not plain samples; read as such it would be noise.

        Raises:
            InputError: ``unsupported_codec``.
        """
        head = self._peek(_MARK_BYTES)
        name = next((name for at, mark, name in _OTHERS if head[at:].startswith(mark)), None)
        if name is None:
            name = self._mpeg_name(head)
        if name is not None:
            raise InputError(
                "unsupported_codec",
                f"stdin is {name}, which cannot be read as it comes; decode it: ffmpeg -i - -f wav - | auricle "
                "listen -",
            )

    def _mpeg_name(self, head: bytes) -> str | None:
        """Tell MP3 and AAC from samples that look like it: another frame of the same kind follows the first."""
        if head[:2] in {b"\xff\xf1", b"\xff\xf9"} and len(head) >= 6:
            size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
            return "AAC" if size >= 7 and self._peek(size + 2)[size:] == head[:2] else None
        size = frame_bytes(head[:4])
        if not size:
            return None
        data = self._peek(size + 4)
        after = data[size:]
        follows = frame_bytes(after) and stream_key(after) == stream_key(head)
        return "MP3" if follows or len(data) == size else None


def _parse_fmt(fmt: bytes | None) -> tuple[int, str, int]:
    if fmt is None or len(fmt) < 16:
        raise InputError("bad_header", "a WAV header without its format; send the recording again")
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
    if tag == _EXTENSIBLE and len(fmt) >= 26:
        tag = struct.unpack("<H", fmt[24:26])[0]
    if (tag, bits) not in _WAV_FORMATS or channels == 0:
        raise InputError(
            "unsupported_codec",
            f"a WAV stream of format tag 0x{tag:04X}, {bits} bits, {channels} channels; 16 or 32 bits are read: "
            "convert it with `ffmpeg -i - -c:a pcm_s16le -f wav -`",
        )
    return rate, _WAV_FORMATS[tag, bits], channels


def _agree(found: tuple[int, str, int], given: tuple[int | None, str | None, int | None]) -> None:
    for option, is_, said in zip(("--rate", "--sample-format", "--channels"), found, given, strict=True):
        if said is not None and said != is_:
            raise UsageError(f"{option} {said} contradicts the WAV header on stdin, which says {is_}; leave it out")
