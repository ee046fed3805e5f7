# SPDX-License-Identifier: Apache-2.0
"""The two decoders behind one face: libsndfile, and the optional ``av`` (FFmpeg) for what it does not read.

Neither is trusted with the file's length. Blocks are decoded strictly one after the other: libsndfile's Python
wrapper seeks after each read, which costs MP3 its bit reservoir and would make the result depend on the block size.
"""

from __future__ import annotations

import importlib.util
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import soundfile

from auricle.audio.av_decoder import AvDecoder
from auricle.audio.decoder_notes import caught_notes
from auricle.audio.headers.layout import Layout
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import Source
from auricle.audio.view import View
from auricle.errors import InputError

INSTALL_CODECS = 'pip install "auricle[codecs]"'

Block = npt.NDArray[np.floating[Any]]

#: Values (samples times channels) decoded at a time: 0.5 MB of float32, whatever the caller's block size.
_BLOCK_VALUES, _LEAST_VALUES = 1 << 17, 1 << 12
_LENGTH_UNKNOWN = 1 << 50
_UNSUPPORTED = 4
#: Where libsndfile looks for the resource fork of a file without a name.
_FORKS = ("._", ".AppleDouble")
#: Kind of content -> FFmpeg's name of its reader.
_AV_FORMATS = {
    **{name: name for name in ("wav", "w64", "aiff", "caf", "voc", "ogg", "flac", "avi", "matroska", "asf", "flv")},
    **{name: name for name in ("amr", "aac", "ac3", "ape", "tta")},
    "mp4": "mov",
    "wavpack": "wv",
}
#: Formats whose length libsndfile computes from the size of the file.
_LENGTH_CERTAIN = frozenset({"WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU"})


class Decoder(Protocol):
    """What a file decodes to.

    Attributes:
        frames: samples per channel that the decoder expects; None if it does not know.
        length_certain: ``frames`` follows from the size of the file.
        exact_seek: ``seek`` goes to any frame and gives the samples that reading from the start gives.
        damaged: decoding had to stop before the end.
        notes: what the decoder said about parts that it muted or skipped.
    """

    format: str
    subtype: str
    sample_rate: int
    channels: int
    frames: int | None
    length_certain: bool
    exact_seek: bool
    damaged: bool
    notes: list[str]

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
    what = layout.codec_note or kind.title
    if kind.reader == "sndfile" and not layout.needs_codecs:
        try:
            return SndfileDecoder(source, kind, layout)
        except InputError as error:
            if error.code != "unsupported_codec" or not _has_codecs() or kind.name not in _AV_FORMATS:
                raise
    elif not _has_codecs():
        hint = f"auricle reads it after: {INSTALL_CODECS}"
        raise InputError("unsupported_codec", f"{what}, which libsndfile does not read; {hint}")
    return AvDecoder(source, _AV_FORMATS[kind.name], layout, what)


def _has_codecs() -> bool:
    """Tell whether the extra for further codecs is installed; asked where it is needed, since looking takes time."""
    return importlib.util.find_spec("av") is not None


class _Sequential(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read without seeking in between (the wrapper seeks only if ``seekable``)."""

    def seekable(self) -> bool:
        return False


class SndfileDecoder:
    """libsndfile over one part of a source or, for chained Ogg streams, over several in turn."""

    _sound: Any = None

    def __init__(self, source: Source, kind: Kind, layout: Layout) -> None:
        self._source, self._kind, self._layout = source, kind, layout
        self.notes: list[str] = []
        self._open_part(0)
        sound = self._sound
        self.format, self.subtype = str(sound.format), str(sound.subtype)
        self.sample_rate, self.channels = int(sound.samplerate), int(sound.channels)
        self.length_certain = self.format in _LENGTH_CERTAIN
        self.exact_seek = layout.exact_seek
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
        self._at = frame
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
        # What a header says is left is enough for a short recording; where it says too little, there are more reads.
        left = max(_LEAST_VALUES, (self._sound.frames - self._at) * self.channels + 1)
        frames = max(1, min(_BLOCK_VALUES, left) // self.channels)
        buffer = np.full((frames, self.channels), np.nan, self._dtype)
        try:
            with self._caught():
                block = self._sound.read(out=buffer)
        except soundfile.LibsndfileError:
            self.damaged = True
            unread = np.flatnonzero(np.isnan(buffer[:, 0]))
            block = buffer[: unread[0]] if len(unread) else buffer
        self._at += len(block)
        if self._view.error is not None:
            raise self._view.error
        return cast("Block", block if self._layout.gain == 1 else block * self._dtype(self._layout.gain))

    def _caught(self) -> AbstractContextManager[None]:
        """Catch what libmpg123 writes to the standard error."""
        return caught_notes(self.notes) if self._kind.name == "mp3" else nullcontext()

    def _open_part(self, index: int) -> None:
        self.close()
        self._part, self._at = index, 0
        part = self._layout.parts[index]
        self._view = View(self._source, part.header, part.start, part.stop, part.pieces)
        self._refuse_foreign_fork()
        try:
            with self._caught():
                self._sound = _Sequential(self._view)
        except (soundfile.SoundFileError, TypeError) as error:
            raise self._view.error or _open_error(error, self._source, self._kind, self._layout) from error

    def _refuse_foreign_fork(self) -> None:
        """Refuse what libsndfile would take from another file.

        Where content has no mark of its own, as MP3 has none, it looks for the resource fork of a nameless file first,
        in the current folder, and then reads the content as a Sound Designer file.
        """
        fork = next((name for name in _FORKS if os.path.lexists(name)), None)
        if fork is not None and self._kind.name == "unknown":
            raise _open_error(OSError(), self._source, self._kind, self._layout)
        if fork is not None and self._kind.name == "mp3":
            text = f"the current folder holds {fork!r}, which libsndfile takes for a part of every MP3 file"
            raise InputError("io_error", f"{text}; work in another folder, or remove it")


def _open_error(error: Exception, source: Source, kind: Kind, layout: Layout) -> InputError:
    """Say what libsndfile's refusal means for content of this kind."""
    reason = getattr(error, "error_string", str(error)).rstrip(".")
    code = getattr(error, "code", 0)
    if kind.name == "unknown":
        start = source.read_at(0, 8).hex(" ")
        return InputError("not_audio", f"no audio format that is known here; it begins with the bytes {start}")
    if kind.name in {"ogg", "mp3", "flac"}:  # of these it reads every codec
        return InputError("corrupt", f"{kind.title} too damaged to open ({reason}); get the file again")
    if code == _UNSUPPORTED or "unimplemented" in reason or "encoding" in reason.lower():
        what = layout.codec_note or kind.title
        return InputError(
            "unsupported_codec",
            f"{what}, which libsndfile does not read ({reason}); convert it to FLAC, or try after: {INSTALL_CODECS}",
        )
    return InputError(
        "bad_header", f"{kind.title} with a header that libsndfile rejects ({reason}); get the file again"
    )
