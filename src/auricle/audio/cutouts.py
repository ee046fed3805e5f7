# SPDX-License-Identifier: Apache-2.0
"""Cut-outs: each event of a recording as a file of its own, with the recording's channels, rate and samples.

The file lies in a tree like that of the recordings. Its name has the recording's name, the times of the event in
seconds and its label; its metadata has the label as title and the rest, as one JSON object, as comment.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt
import soundfile

from auricle import __version__
from auricle.audio.decode import open_channels
from auricle.audio.decoders import Block, Decoder
from auricle.audio.source import AudioSource
from auricle.errors import InputError, UsageError
from auricle.files import mirrored, temporary_beside
from auricle.results import Event, rounded
from auricle.timeline import samples_to_seconds, seconds_to_samples

CutoutFormat: TypeAlias = Literal["flac", "wav"]

#: FLAC holds no more.
_FLAC_CHANNELS = 8
#: Bytes of a recording's name, and of a label, that go into a file's name: file systems take 255.
_NAME_BYTES, _LABEL_BYTES = 120, 80
#: What no file system refuses in a name.
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
#: Codecs whose samples need more than 16 bits.
_FINE = frozenset({"PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32"})


@dataclass(frozen=True)
class CutoutOptions:
    """Where cut-outs go, and how much sound around an event they hold.

    Attributes:
        folder: is made when there is something to write.
        lead_s: seconds before the event, as far as there are any.
        tail_s: seconds behind it.
        format: of the files.
    """

    folder: str
    lead_s: float = 1.0
    tail_s: float = 1.0
    format: CutoutFormat = "flac"

    def __post_init__(self) -> None:
        for name, value in (("lead", self.lead_s), ("tail", self.tail_s)):
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} = {value} s; give 0 or more seconds of sound around an event")
        if self.format not in get_args(CutoutFormat):
            known = ", ".join(get_args(CutoutFormat))
            raise UsageError(f"cut-outs are written as {known}, not as {self.format!r}")


@dataclass(frozen=True)
class _Cut:
    """A cut-out to be written: samples ``[start, stop)`` of the recording."""

    event: Event
    start: int
    stop: int


def write_cutouts(source: AudioSource, path: str, events: Sequence[Event], options: CutoutOptions) -> list[Path]:
    """Write each event of a recording as a file, whole or not at all; returns the files in the order of ``events``.

    Args:
        source: the recording.
        path: its name, which decides where the files lie and what they are called.
        events: of the recording.
        options: where to, and how much.

    Raises:
        InputError: the recording cannot be read, or an event lies behind its end.
        UsageError: the folder cannot be written.
    """
    if not events:
        return []
    place = mirrored(Path(options.folder), path)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        return _write(source, path, events, place, options)
    except (OSError, soundfile.SoundFileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cut-outs cannot be written into {place.parent} ({reason}); choose another folder") from error


def _write(source: AudioSource, path: str, events: Sequence[Event], place: Path, options: CutoutOptions) -> list[Path]:
    targets = _targets(place, events, options.format)
    temporary = [temporary_beside(target) for target in targets]
    with open_channels(source) as decoder, ExitStack() as stack:
        for name in temporary:
            stack.callback(name.unlink, missing_ok=True)
        _copy(decoder, path, events, cast("Sequence[Path]", temporary), options)
        for name, target in zip(temporary, targets, strict=True):
            name.replace(target)
    return targets


def encode_cutout(source: AudioSource, path: str, event: Event, options: CutoutOptions) -> bytes:
    """Return the file that ``write_cutouts`` writes for one event."""
    buffer = io.BytesIO()
    with open_channels(source) as decoder:
        _copy(decoder, path, [event], [buffer], options)
    return buffer.getvalue()


def cutout_name(path: str, event: Event, format: str) -> str:
    """Return the name of a cut-out.

    >>> cutout_name("archive/night.wav", Event("Dog / bark", 12.25, 13.0, 0.9), "flac")
    'night.wav_00012.250-00013.000_Dog _ bark.flac'
    """
    name, label = _short(Path(path).name, _NAME_BYTES), _short(event.label, _LABEL_BYTES)
    return f"{name}_{event.onset:09.3f}-{event.offset:09.3f}_{label}.{format}"


def read_cutout_tags(source: str | Path | BinaryIO) -> dict[str, Any]:
    """Return what the metadata of a cut-out say: ``label``, ``onset``, ``offset``, ``score``, ``start``, ``source``.

    Times are seconds of the recording; ``start`` is where the cut-out begins in it.

    Raises:
        InputError: it is not a cut-out.
    """
    try:
        with soundfile.SoundFile(source) as file:
            found = json.loads(file.comment)
    except (soundfile.SoundFileError, ValueError) as error:
        raise InputError("not_audio", "not a cut-out: no sound, or no metadata of auricle") from error
    if not isinstance(found, dict) or "onset" not in found:
        raise InputError("not_audio", "not a cut-out: its metadata are not auricle's")
    return found


def _targets(place: Path, events: Sequence[Event], format: str) -> list[Path]:
    """Return a file for each event; labels that look alike in a name are numbered."""
    names: list[str] = []
    for event in events:
        name, number = cutout_name(place.name, event, format), 1
        stem = name.removesuffix(f".{format}")
        while name in names:
            number += 1
            name = f"{stem}-{number}.{format}"
        names.append(name)
    return [place.with_name(name) for name in names]


def _short(text: str, most: int) -> str:
    """Return text that every file system takes in a name, of at most ``most`` bytes."""
    safe = _UNSAFE.sub("_", text).encode("utf-8", "backslashreplace")
    return safe[:most].decode("utf-8", "ignore").strip(" ") or "_"


def _copy(
    decoder: Decoder, path: str, events: Sequence[Event], files: Sequence[Path | BinaryIO], options: CutoutOptions
) -> None:
    """Write all events in one pass over the recording."""
    if options.format == "flac" and decoder.channels > _FLAC_CHANNELS:
        text = f"{decoder.channels} channels, where FLAC holds {_FLAC_CHANNELS}; cut out as WAV"
        raise InputError("too_many_channels", text)
    cuts = [_cut(event, decoder.sample_rate, options) for event in events]
    order = sorted(range(len(cuts)), key=lambda i: cuts[i].start)
    position = decoder.seek(cuts[order[0]].start)
    can_seek = decoder.exact_seek
    with ExitStack() as stack:
        open_files: dict[int, soundfile.SoundFile] = {}
        for block in _blocks(decoder):
            end = position + len(block)
            while order and cuts[order[0]].start < end:
                index = order.pop(0)
                open_files[index] = stack.enter_context(_open_file(files[index], decoder, path, cuts[index], options))
            for index in list(open_files):
                cut = cuts[index]
                part = block[max(0, cut.start - position) : cut.stop - position]
                open_files[index].write(_samples(part, open_files[index].subtype))
                if cut.stop <= end:
                    open_files.pop(index).close()
            position = end
            if not open_files and not order:
                return
            if can_seek and not open_files and cuts[order[0]].start > position:
                position = decoder.seek(cuts[order[0]].start)
                can_seek = position > 0  # else the decoder is at the start again, and reading on will tell why
    can_seek = decoder.exact_seek
    if order:
        length = samples_to_seconds(position, decoder.sample_rate)
        raise InputError("no_audio", f"an event begins at or beyond the end of the recording, at {length:g} s")


def _blocks(decoder: Decoder) -> Iterator[Block]:
    while len(block := decoder.read()):
        yield block


def _cut(event: Event, rate: int, options: CutoutOptions) -> _Cut:
    start = max(0, seconds_to_samples(event.onset - options.lead_s, rate))
    return _Cut(event, start, max(start + 1, seconds_to_samples(event.offset + options.tail_s, rate)))


def _open_file(
    file: Path | BinaryIO, decoder: Decoder, path: str, cut: _Cut, options: CutoutOptions
) -> soundfile.SoundFile:
    fine = "FLOAT" if options.format == "wav" and decoder.subtype in ("FLOAT", "DOUBLE", "PCM_32") else "PCM_24"
    codec = fine if decoder.subtype in _FINE else "PCM_16"
    opened = soundfile.SoundFile(file, "w", decoder.sample_rate, decoder.channels, codec, format=options.format.upper())
    tags = {
        "label": cut.event.label,
        "onset": round(cut.event.onset, 6),
        "offset": round(cut.event.offset, 6),
        "score": rounded(cut.event.score),
        "start": round(samples_to_seconds(cut.start, decoder.sample_rate), 6),
        "source": Path(path).name.encode("utf-8", "backslashreplace").decode("utf-8"),
    }
    opened.title, opened.software = cut.event.label, f"auricle {__version__}"
    opened.comment = json.dumps(tags, ensure_ascii=False)
    return opened


def _samples(part: Block, codec: str) -> npt.NDArray[Any]:
    """Return samples as the codec stores them: whole numbers come back as they were, which floats would not.

    libsndfile multiplies floats by 32,767 and divides by 32,768.
    """
    if codec == "FLOAT":
        return part.astype(np.float32)
    bits = 16 if codec == "PCM_16" else 24
    scale = 1 << (bits - 1)
    whole = np.clip(np.rint(np.nan_to_num(part).astype(np.float64) * scale), -scale, scale - 1).astype(np.int32)
    return whole.astype(np.int16) if bits == 16 else whole << 8
