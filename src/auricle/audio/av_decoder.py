# SPDX-License-Identifier: Apache-2.0
"""FFmpeg's libraries, through ``av``: containers such as MP4 and WebM, and codecs such as AAC.

FFmpeg looks for itself what a file is, and among its formats are playlists and session descriptions that open other
files and sockets. So it is told the one format that the content has, and may use no protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from auricle.audio.view import View
from auricle.errors import InputError

if TYPE_CHECKING:
    from auricle.audio.decoders import Block
    from auricle.audio.headers.layout import Layout
    from auricle.audio.source import Source

_NOTHING_ELSE = {"protocol_whitelist": "none"}
#: Formats that declare how long they are, to a block or better; less than all of it was cut.
_DECLARED = frozenset({"asf", "avi", "flv", "matroska", "tta", "wv", "ape"})
_TOLERANCE_S = 0.1


class AvDecoder:
    """Decodes the first sound track of a source."""

    def __init__(self, source: Source, format_name: str, layout: Layout, what: str) -> None:
        import av  # noqa: PLC0415 - optional, and slow to import

        self._errors: tuple[type[Exception], ...] = (av.error.FFmpegError, ValueError, OverflowError, EOFError)
        self._what = what
        self._view = View(source)
        self.damaged = False
        self.notes: list[str] = []
        try:
            self._container: Any = av.open(
                self._view, mode="r", format=format_name, container_options=_NOTHING_ELSE, metadata_errors="replace"
            )
        except self._errors as error:
            damaged = isinstance(error, (av.error.InvalidDataError, av.error.EOFError, EOFError))
            raise self._view.error or self._unreadable(str(error), layout, damaged=damaged) from error
        streams = self._container.streams.audio
        if not streams or streams[0].codec_context is None:
            self.close()
            raise self._unreadable("no sound track that can be decoded", layout)
        stream = streams[0]
        stream.codec_context.options = {"err_detect": "crccheck"}
        self.format, self.subtype = str(self._container.format.name), str(stream.codec_context.name)
        self.sample_rate, self.channels = int(stream.codec_context.sample_rate), int(stream.codec_context.channels)
        if not self.sample_rate or not self.channels:  # no whole frame says them
            self.close()
            raise self._unreadable("no whole frame", layout, damaged=True)
        self.frames: int | None = None
        self.length_certain = False
        self.exact_seek = False
        self._declared_s = self._duration(stream) if format_name in _DECLARED else 0.0
        self._found = 0
        self._blocks = self._decode(stream)

    def seek(self, frame: int) -> int:
        """Stay at the start: seeking in compressed containers is not exact."""
        return 0

    def read(self) -> Block:
        """Return the next samples; none at the end or where damage stops FFmpeg."""
        try:
            block = next(self._blocks, None)
        except self._errors:
            self.damaged = True
            block = None
        if self._view.error is not None:
            raise self._view.error
        if block is None:
            self.damaged |= self._found < (self._declared_s - _TOLERANCE_S) * self.sample_rate
            return np.empty((0, self.channels), np.float32)
        self._found += len(block)
        return block

    def close(self) -> None:
        """Free FFmpeg's handles."""
        self._container.close()

    def _duration(self, stream: Any) -> float:
        """Return the seconds that the header declares for the sound alone; 0 if it does not."""
        if stream.duration is not None:
            return float(stream.duration * stream.time_base)
        alone = len(self._container.streams) == 1
        return float(self._container.duration) / 1e6 if alone and self._container.duration else 0.0

    def _decode(self, stream: Any) -> Iterator[Block]:
        for packet in self._container.demux(stream):
            self.damaged |= packet.is_corrupt
            for frame in packet.decode():
                if (frame.sample_rate, len(frame.layout.channels)) != (self.sample_rate, self.channels):
                    raise InputError("rate_change", "sample rate or channels change inside the file; split it")
                if frame.is_corrupt:  # its checksum is wrong, and the decoder made something up
                    self.notes.append("corrupt frame")
                block = _samples(frame)
                if len(block):
                    yield block

    def _unreadable(self, reason: str, layout: Layout, *, damaged: bool = False) -> InputError:
        if damaged or any(flag.code == "truncated" for flag in layout.flags):
            return InputError("corrupt", f"{self._what}, cut or damaged before its sound begins; get the file again")
        return InputError(
            "unsupported_codec", f"{self._what} that cannot be decoded: {reason}; convert it to FLAC or WAV"
        )


def _samples(frame: Any) -> Block:
    """Return the samples of a frame of ``av``, shape ``(time, channel)``, integers scaled to [-1, 1)."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, len(frame.layout.channels)).T
    if values.dtype.kind == "f":
        return np.ascontiguousarray(values.T)
    bits = 8 * values.dtype.itemsize
    offset = 128.0 if values.dtype.kind == "u" else 0.0
    return np.ascontiguousarray(((values.T - offset) / 2 ** (bits - 1)).astype(np.float32))
