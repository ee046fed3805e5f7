# SPDX-License-Identifier: Apache-2.0
"""Recordings in, mono float32 out: whole, in part, or block by block in constant memory.

    source ─▶ sniff ─▶ header inspection ─▶ decoder ─▶ checks, mono mix ─▶ resampler ─▶ blocks
              what?    where, how much?     blocks     flags               stateful

There is one way through, and ``read_audio`` is the blocks of ``open_audio`` joined: whole and blocks are equal.
Decoders lie rather than fail, so what they yield is compared with what the header declares, and every difference
becomes a flag. What cannot be used raises ``InputError`` with a code.

A part is cut in the source's own rate, ``round(offset_s * rate)`` samples in, then resampled. Mono is the mean of
the channels, or one of them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np

from auricle.audio.channels import check_channel, one_channel, require_channel
from auricle.audio.checks import SignalCheck
from auricle.audio.decoders import Block, Decoder, open_decoder
from auricle.audio.headers.inspection import inspect_header
from auricle.audio.headers.layout import Layout
from auricle.audio.headers.sniff import Kind, mismatched_extension, sniff
from auricle.audio.headers.tags import untagged
from auricle.audio.resample import Resampler
from auricle.audio.source import AudioSource, Section, Source, open_source
from auricle.errors import InputError
from auricle.results import Flag, FloatArray
from auricle.timeline import samples_to_seconds, seconds_to_samples


@dataclass(frozen=True)
class Limits:
    """What is refused, so that no file can take all time and memory.

    Attributes:
        max_duration_s: longest recording; compressed files are stopped there, whatever their headers say.
        max_channels: most channels.
        min_rate_hz: lowest sample rate.
        max_rate_hz: highest sample rate.
    """

    max_duration_s: float = 48 * 3600.0
    max_channels: int = 64
    min_rate_hz: int = 1_000
    max_rate_hz: int = 768_000


_DEFAULT_LIMITS = Limits()
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AudioInfo:
    """What a header says, checked against the file; no sample has been decoded.

    Attributes:
        path: name of the source, empty for an unnamed file object.
        format: container, as in ``WAV``.
        subtype: codec, as in ``PCM_16``.
        sample_rate: in Hz.
        channels: in the file; decoding yields their mean.
        duration: seconds, None where only decoding can tell.
        flags: what the header hides.
    """

    path: str
    format: str
    subtype: str
    sample_rate: int
    channels: int
    duration: float | None
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class Audio:
    """A decoded recording, or a part of one.

    Attributes:
        samples: mono, shape ``(time,)``, full scale 1.
        sample_rate: of ``samples``, in Hz.
        duration: seconds that were decoded, counted in the source's rate.
        flags: what a user should know about it.
        path: name of the source, empty for an unnamed file object.
    """

    samples: FloatArray
    sample_rate: int
    duration: float
    flags: tuple[Flag, ...]
    path: str


def probe(source: AudioSource, *, limits: Limits = _DEFAULT_LIMITS) -> AudioInfo:
    """Return what a recording is, without decoding it; raises ``InputError`` as ``read_audio`` does at opening."""
    with open_audio(source, limits=limits) as reader:
        return reader.info


def read_audio(
    source: AudioSource,
    *,
    sample_rate: int | None = None,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    limits: Limits = _DEFAULT_LIMITS,
) -> Audio:
    """Decode a recording, or a part of it, into memory.

    Args:
        source: a path, a binary file object, or ``-`` for standard input.
        sample_rate: wanted rate in Hz; the source's own if None.
        offset_s: where to begin, in seconds.
        duration_s: how much to take, in seconds; to the end if None. Less is returned where the recording ends.
        limits: what is refused.

    Raises:
        InputError: the recording cannot be used; ``code`` says why.
    """
    with open_audio(
        source, sample_rate=sample_rate, block_s=math.inf, offset_s=offset_s, duration_s=duration_s, limits=limits
    ) as reader:
        samples = next(iter(reader), np.zeros(0, np.float32))
        for _ in reader:  # nothing is left, but the end has to be seen for the flags
            pass
        return Audio(samples, reader.sample_rate, reader.duration, reader.flags, reader.info.path)


def open_audio(
    source: AudioSource,
    *,
    sample_rate: int | None = None,
    block_s: float = 10.0,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    channel: int | None = None,
    limits: Limits = _DEFAULT_LIMITS,
) -> AudioReader:
    """Open a recording for reading block by block; arguments as in ``read_audio``.

    Args:
        source: a path, a binary file object, or ``-`` for standard input.
        sample_rate: wanted rate in Hz; the source's own if None.
        block_s: length of a block in seconds; the last one is shorter.
        offset_s: where to begin, in seconds.
        duration_s: how much to take, in seconds; to the end if None.
        channel: the channel to take, from 1 on; the mean of all if None.
        limits: what is refused.

    Raises:
        InputError: it cannot be opened, or has no such channel.
        ValueError: a time or a rate that makes no sense.
        UsageError: a channel that is none.
    """
    _check_arguments(sample_rate, block_s, offset_s, duration_s)
    channel = check_channel(channel)
    opened = open_source(source)
    try:
        kind, layout, decoder = _open(opened, limits)
        try:
            require_channel(channel, decoder.channels)
        except InputError:
            decoder.close()
            raise
    except BaseException:
        opened.close()
        raise
    return AudioReader(
        opened,
        kind,
        layout,
        decoder,
        sample_rate=sample_rate,
        block_s=block_s,
        offset_s=offset_s,
        duration_s=duration_s,
        channel=channel,
        limits=limits,
    )


@contextmanager
def open_channels(source: AudioSource, *, limits: Limits = _DEFAULT_LIMITS) -> Iterator[Decoder]:
    """Open a recording for all its channels in its own rate, as they were recorded: no mix, no checks, no flags.

    Raises:
        InputError: it cannot be opened.
    """
    opened = open_source(source)
    try:
        _, _, decoder = _open(opened, limits)
        try:
            yield decoder
        finally:
            decoder.close()
    finally:
        opened.close()


class AudioReader:
    """An open recording: iterate for blocks, shape ``(time,)``, mono float32 at ``sample_rate``.

    ``flags`` and ``duration`` are complete when the blocks have come to their end. Iteration raises ``InputError``
    where the recording turns out to be unusable; blocks that came before are then void. Damage that leaves a usable
    beginning is a flag instead.
    """

    def __init__(
        self,
        source: Source,
        kind: Kind,
        layout: Layout,
        decoder: Decoder,
        *,
        sample_rate: int | None,
        block_s: float,
        offset_s: float,
        duration_s: float | None,
        channel: int | None,
        limits: Limits,
    ) -> None:
        self._source, self._layout, self._decoder, self._limits = source, layout, decoder, limits
        rate = decoder.sample_rate
        self.sample_rate = rate if sample_rate is None else sample_rate
        self._block_samples = None if math.isinf(block_s) else max(1, seconds_to_samples(block_s, self.sample_rate))
        self._channel = channel
        self._start = seconds_to_samples(offset_s, rate)
        self._stop = None if duration_s is None else seconds_to_samples(offset_s + duration_s, rate)
        self._taken = 0
        self._flags: dict[str, Flag] = {}
        self._note(*_opening_flags(source, kind, layout, decoder))
        if self.sample_rate > rate:
            self._note(Flag("band_limited", {"sample_rate": rate, "wanted": self.sample_rate}))
        frames = decoder.frames if decoder.frames is not None else layout.frames
        duration = None if frames is None else samples_to_seconds(frames, rate)
        self.info = AudioInfo(
            source.path,
            layout.container or decoder.format,
            decoder.subtype,
            rate,
            decoder.channels,
            duration,
            self.flags,
        )
        log.debug(
            "%s: %s %s, %d Hz, %d channels, %s s", source.path, self.info.format, decoder.subtype, rate,
            decoder.channels, "unknown" if duration is None else f"{duration:.4g}",
        )  # fmt: skip
        self._check = SignalCheck(decoder.channels if channel is None else 1, self._expected(frames))
        self._blocks = self._iterate()

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What is known about the recording so far."""
        return tuple(self._flags.values())

    @property
    def duration(self) -> float:
        """Seconds decoded so far, counted in the source's rate."""
        return samples_to_seconds(self._taken, self._decoder.sample_rate)

    @property
    def expected_s(self) -> float | None:
        """Seconds of the whole recording by its header; None where only decoding can tell."""
        return self.info.duration

    def __iter__(self) -> Iterator[FloatArray]:
        return self._blocks

    def __enter__(self) -> AudioReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the decoder and what was opened for it."""
        self._decoder.close()
        self._source.close()

    def _note(self, *flags: Flag) -> None:
        """Add flags; the first of a code stays."""
        for flag in flags:
            self._flags.setdefault(flag.code, flag)

    def _expected(self, frames: int | None) -> int | None:
        """Return how many samples per channel will come, where the file's size proves it."""
        if frames is None or not self._decoder.length_certain:
            return None
        stop = frames if self._stop is None else min(frames, self._stop)
        return max(0, stop - self._start)

    def _iterate(self) -> Iterator[FloatArray]:
        yield from _reblock(self._resampled(), self._block_samples)

    def _resampled(self) -> Iterator[FloatArray]:
        resampler = Resampler(self._decoder.sample_rate, self.sample_rate)
        for block in self._part():
            self._taken += len(block)
            yield resampler.push(self._check.push(one_channel(block, self._channel)))
        yield resampler.flush()
        self._finish()

    def _part(self) -> Iterator[Block]:
        """Yield the decoded blocks between start and stop."""
        position = self._decoder.seek(self._start)
        while self._stop is None or position < self._stop:
            block = self._decoder.read()
            if not len(block):
                self._at_end(position)
                return
            first, last = max(0, self._start - position), None if self._stop is None else self._stop - position
            position += len(block)
            self._check_length(position)
            if len(part := block[first:last]):
                yield part

    def _check_length(self, frames: int) -> None:
        if samples_to_seconds(frames, self._decoder.sample_rate) > self._limits.max_duration_s:
            raise _too_long(self._limits)

    def _at_end(self, found: int) -> None:
        """Compare what was decoded, to the end, with what was declared."""
        declared = self._layout.frames if self._layout.frames is not None else self._decoder.frames
        if found == 0 and (self._decoder.damaged or "truncated" in self._flags):
            raise InputError("corrupt", "cut or damaged before the first sample; get the file again")
        if found == 0:
            raise InputError("no_audio", "a valid header, and no audio after it")
        if found <= self._start:
            length = samples_to_seconds(found, self._decoder.sample_rate)
            raise InputError("no_audio", f"the part begins at or beyond the end of the recording, at {length:g} s")
        counts: dict[str, float | int | str] = {"found": found}
        if declared is not None:
            counts["declared"] = declared
        if self._decoder.damaged and found == declared:  # all sound came before it
            self._note(Flag("trailing_data"))
        elif self._decoder.damaged or (declared is not None and found < declared and not self._explained()):
            self._note(Flag(self._layout.loss, counts))
        elif declared is not None and found > declared:
            self._note(Flag("length_conflict", counts))

    def _explained(self) -> bool:
        """Tell whether a flag says already why less was decoded than declared."""
        return not self._flags.keys().isdisjoint({"truncated", "length_conflict"})

    def _finish(self) -> None:
        if self._decoder.notes:
            self._note(Flag("decode_gap", {"parts": len(self._decoder.notes)}))
        self._note(*self._check.finish())
        if self._source.changed():
            self._note(Flag("changed"))


def _open(source: Source, limits: Limits) -> tuple[Kind, Layout, Decoder]:
    """Find out what the source holds and open the decoder for it."""
    if source.size == 0:
        raise InputError("empty_file", "0 bytes; get the file again")
    recording = untagged(source)
    kind = sniff(recording)
    if recording is not source and (recording.size == 0 or kind.name == "zeros"):
        raise InputError("no_audio", "tags (ID3 or the like) without audio")
    if kind.reader == "none":
        raise _unreadable(kind)
    if kind.start and kind.name != "mp3":  # zeros; MP3 looks itself at what stands before its first frame
        recording, kind = Section(recording, kind.start, recording.size), replace(kind, start=0)
    layout = inspect_header(recording, kind)
    decoder = open_decoder(recording, kind, layout)
    try:
        _check_limits(decoder, limits)
    except InputError:
        decoder.close()
        raise
    return kind, layout, decoder


def _unreadable(kind: Kind) -> InputError:
    if kind.name == "id3":
        return InputError("no_audio", kind.title)
    if kind.name == "m4p":
        return InputError("unsupported_codec", f"{kind.title}: it plays only where its licence is; export it elsewhere")
    return InputError("not_audio", kind.title)


def _check_limits(decoder: Decoder, limits: Limits) -> None:
    rate = decoder.sample_rate
    if not limits.min_rate_hz <= rate <= limits.max_rate_hz:
        allowed = f"{limits.min_rate_hz} to {limits.max_rate_hz} Hz"
        raise InputError("rate_out_of_range", f"a sample rate of {rate} Hz, where {allowed} are allowed")
    if decoder.channels > limits.max_channels:
        raise InputError("too_many_channels", f"{decoder.channels} channels, where {limits.max_channels} are allowed")
    if decoder.length_certain and decoder.frames is not None:
        if decoder.frames == 0:
            raise InputError("no_audio", "a valid header, and no audio after it")
        if samples_to_seconds(decoder.frames, rate) > limits.max_duration_s:
            raise _too_long(limits)


def _too_long(limits: Limits) -> InputError:
    return InputError("too_long", f"longer than the limit of {limits.max_duration_s / 3600:g} h; split it")


def _opening_flags(source: Source, kind: Kind, layout: Layout, decoder: Decoder) -> tuple[Flag, ...]:
    """Return what is known before decoding: from name, header, and the decoder's own count."""
    flags = layout.flags
    extension = mismatched_extension(source.path, kind)
    if extension is not None:
        flags += (Flag("extension_mismatch", {"extension": extension, "content": kind.name}),)
    if decoder.length_certain and decoder.frames is not None and layout.frames is not None:
        counts: dict[str, float | int | str] = {"declared": layout.frames, "found": decoder.frames}
        if decoder.frames < layout.frames:
            flags += (Flag(layout.loss, counts),)
    return flags


def _reblock(pieces: Iterator[FloatArray], size: int | None) -> Iterator[FloatArray]:
    """Join pieces and cut them into blocks of ``size`` samples, the last one shorter; all in one if None."""
    waiting: list[FloatArray] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if size is None or count < size:
            continue
        joined = np.concatenate(waiting)
        whole = count - count % size
        for start in range(0, whole, size):
            yield joined[start : start + size]
        waiting, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(waiting) if len(waiting) > 1 else waiting[0]


def _check_arguments(sample_rate: int | None, block_s: float, offset_s: float, duration_s: float | None) -> None:
    if sample_rate is not None and sample_rate < 1:
        raise ValueError(f"sample_rate is {sample_rate}, it must be at least 1 Hz")
    if not block_s > 0:
        raise ValueError(f"block_s is {block_s}, it must be more than 0 s")
    if not (0 <= offset_s < math.inf):
        raise ValueError(f"offset_s is {offset_s}, it must be at least 0 s")
    if duration_s is not None and not (0 < duration_s < math.inf):
        raise ValueError(f"duration_s is {duration_s}, it must be more than 0 s")
