# SPDX-License-Identifier: Apache-2.0
"""The two decoders behind one face: libsndfile, and the optional ``av`` (FFmpeg) for what it does not read.

Neither is trusted with the file's length. Blocks are decoded strictly one after the other: libsndfile's Python
wrapper seeks after each read, which costs MP3 its bit reservoir and would make the result depend on the block size.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import soundfile

from auricle.audio.headers.layout import Layout
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source, View
from auricle.errors import InputError

INSTALL_CODECS = 'pip install "auricle[codecs]"'

Block = npt.NDArray[np.floating[Any]]

#: Values (samples times channels) decoded at a time: 0.5 MB of float32, whatever the caller's block size.
_BLOCK_VALUES = 1 << 17
_LENGTH_UNKNOWN = 1 << 50
_UNSUPPORTED = 4
#: Formats whose length libsndfile computes from the size of the file.
_LENGTH_CERTAIN = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU"})


class Decoder(Protocol):
    """What a file decodes to.

    Attributes:
        frames: samples per channel that the decoder expects; None if it does not know.
        length_certain: ``frames`` follows from the size of the file.
        damaged: decoding had to stop before the end.
    """

    format: str
    subtype: str
    sample_rate: int
    channels: int
    frames: int | None
    length_certain: bool
    damaged: bool

    def seek(self, frame: int) -> int:
        """Return ``frame`` after going there, or 0 at the start if going there would not be exact."""
        ...

    def read(self) -> Block:
        """Return the next samples, shape ``(time, channel)``; none at the end or where damage stops it."""
        ...

    def close(self) -> None:
        """Free the decoder; the source stays open."""
        ...


def open_decoder(source: Source, kind: Kind, layout: Layout) -> Decoder:
    """Return the decoder for a source.

    Raises:
        InputError: ``unsupported_codec``, ``bad_header``, ``corrupt``, ``not_audio``, or the file system's error.
    """
    if kind.reader == "sndfile" and not layout.needs_codecs:
        return SndfileDecoder(source, kind, layout)
    what = layout.codec_note or kind.title
    if importlib.util.find_spec("av") is None:
        hint = f"auricle reads it after: {INSTALL_CODECS}"
        raise InputError("unsupported_codec", f"{what}, which libsndfile does not read; {hint}")
    return AvDecoder(source, what)


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read without seeking in between (the wrapper seeks only if ``seekable``)."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """libsndfile over one part of a source or, for chained Ogg streams, over several in turn."""

    _sound: Any = None

    def __init__(self, source: Source, kind: Kind, layout: Layout) -> None:
        self._source, self._kind, self._layout = source, kind, layout
        self._open_part(0)
        sound = self._sound
        self.format, self.subtype = str(sound.format), str(sound.subtype)
        self.sample_rate, self.channels = int(sound.samplerate), int(sound.channels)
        self.length_certain = self.format in _LENGTH_CERTAIN
        self.damaged = False
        known = len(layout.parts) == 1 and sound.frames < _LENGTH_UNKNOWN and not layout.length_hidden
        self.frames: int | None = int(sound.frames) if known else None
        # A double of 1e300 is finite: it has to be judged before it is narrowed to float32.
        self._dtype = np.float64 if self.subtype == "DOUBLE" else np.float32

    def seek(self, frame: int) -> int:
        """Return ``frame`` after going there where that is exact, else 0."""
        if frame == 0 or not self._layout.exact_seek:
            return 0
        try:
            self._sound.seek(frame)
        except soundfile.LibsndfileError:  # beyond the end, or damaged: reading from the start will tell
            self._open_part(0)
            return 0
        return frame

    def read(self) -> Block:
        """Return the next samples; where damage stops libsndfile, those before it."""
        while not self.damaged:
            block = self._read_block()
            if len(block) or self.damaged or self._part + 1 >= len(self._layout.parts):
                return block
            self._open_part(self._part + 1)
            if (self._sound.samplerate, self._sound.channels) != (self.sample_rate, self.channels):
                raise InputError("rate_change", "sample rate or channels change inside the file; split it")
        return np.empty((0, self.channels), self._dtype)

    def close(self) -> None:
        """Free libsndfile's handle."""
        if self._sound is not None:
            self._sound.close()
            self._sound = None

    def _read_block(self) -> Block:
        # On damage libsndfile has written what it decoded, but its wrapper raises instead of saying how much that is.
        # No integer or compressed format can hold NaN, so what is still NaN afterwards was not decoded.
        buffer = np.full((max(1, _BLOCK_VALUES // self.channels), self.channels), np.nan, self._dtype)
        try:
            block = self._sound.read(out=buffer)
        except soundfile.LibsndfileError:
            self.damaged = True
            unread = np.flatnonzero(np.isnan(buffer[:, 0]))
            block = buffer[: unread[0]] if len(unread) else buffer
        if self._view.error is not None:
            raise self._view.error
        return cast("Block", block)

    def _open_part(self, index: int) -> None:
        self.close()
        self._part = index
        part = self._layout.parts[index]
        self._view = View(self._source, part.header, part.start, part.stop)
        try:
            self._sound = _Sequential(self._view)
        except (soundfile.SoundFileError, TypeError) as error:
            raise self._view.error or _open_error(error, self._source, self._kind, self._layout) from error


class AvDecoder:
    """FFmpeg's libraries, through ``av``: containers such as MP4 and WebM, and codecs such as AAC."""

    def __init__(self, source: Source, what: str) -> None:
        import av  # noqa: PLC0415 - optional, and slow to import

        self._errors: tuple[type[Exception], ...] = (av.error.FFmpegError, ValueError, OverflowError, EOFError)
        self._what = what
        self._view = View(source)
        self.damaged = False
        try:
            self._container: Any = av.open(self._view, mode="r", metadata_errors="replace")
        except self._errors as error:
            raise self._view.error or self._unsupported(str(error)) from error
        streams = self._container.streams.audio
        if not streams or streams[0].codec_context is None:
            self.close()
            raise self._unsupported("no sound track that can be decoded")
        stream = streams[0]
        self.format, self.subtype = str(self._container.format.name), str(stream.codec_context.name)
        self.sample_rate, self.channels = int(stream.codec_context.sample_rate), int(stream.codec_context.channels)
        self.frames: int | None = None
        self.length_certain = False
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
        return np.empty((0, self.channels), np.float32) if block is None else block

    def close(self) -> None:
        """Free FFmpeg's handles."""
        self._container.close()

    def _decode(self, stream: Any) -> Iterator[Block]:
        for frame in self._container.decode(stream):
            if (frame.sample_rate, len(frame.layout.channels)) != (self.sample_rate, self.channels):
                raise InputError("rate_change", "sample rate or channels change inside the file; split it")
            block = _av_samples(frame)
            if len(block):
                yield block

    def _unsupported(self, reason: str) -> InputError:
        return InputError(
            "unsupported_codec", f"{self._what} that cannot be decoded: {reason}; convert it to FLAC or WAV"
        )


def _av_samples(frame: Any) -> Block:
    """Return the samples of a frame of ``av``, shape ``(time, channel)``, integers scaled to [-1, 1)."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, len(frame.layout.channels)).T
    if values.dtype.kind == "f":
        return np.ascontiguousarray(values.T)
    bits = 8 * values.dtype.itemsize
    offset = 128.0 if values.dtype.kind == "u" else 0.0
    return np.ascontiguousarray(((values.T - offset) / 2 ** (bits - 1)).astype(np.float32))


def _open_error(error: Exception, source: Source, kind: Kind, layout: Layout) -> InputError:
    """Say what libsndfile's refusal means for content of this kind."""
    reason = getattr(error, "error_string", str(error)).rstrip(".")
    code = getattr(error, "code", 0)
    if kind.name == "unknown":
        start = source.read_at(0, 8).hex(" ")
        return InputError("not_audio", f"no audio format that is known here; it begins with the bytes {start}")
    if code == _UNSUPPORTED or "unimplemented" in reason or "encoding" in reason.lower():
        what = layout.codec_note or kind.title
        return InputError("unsupported_codec", f"{what}, which libsndfile does not read ({reason}); convert it to FLAC")
    if kind.name in {"ogg", "mp3"}:
        return InputError("corrupt", f"{kind.title} too damaged to open ({reason}); get the file again")
    return InputError(
        "bad_header", f"{kind.title} with a header that libsndfile rejects ({reason}); get the file again"
    )
