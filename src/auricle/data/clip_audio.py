# SPDX-License-Identifier: Apache-2.0
"""From a clip of a manifest to its waveform or its length, whether it is audio, an array, or a segment of either."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath

from auricle.audio.decode import Audio, probe, read_audio
from auricle.audio.resample import resample
from auricle.data.arrays import array_shape, load_array
from auricle.data.manifest import ArraySpec, Clip
from auricle.errors import InputError
from auricle.results import Flag
from auricle.timeline import samples_to_seconds, seconds_to_samples

#: Segments may end this much after their file before it counts: times in tables are rounded.
SEGMENT_TOLERANCE_S = 0.01


@dataclass(frozen=True)
class Facts:
    """What can be known of a file without decoding it; None where it cannot.

    Attributes:
        duration: of the whole file in seconds.
        sample_rate: in Hz.
        channels: in the file.
        format: container and codec.
        flags: what its header hides.
    """

    duration: float | None
    sample_rate: int | None
    channels: int | None
    format: str
    flags: tuple[Flag, ...] = ()


def probe_clip(clip: Clip, arrays: ArraySpec | None = None) -> Facts:
    """Return what the header of a clip's file says; raises ``InputError``."""
    if not clip.is_array:
        info = probe(clip.path)
        return Facts(info.duration, info.sample_rate, info.channels, f"{info.format} {info.subtype}", info.flags)
    arrays = _spec_of(clip, arrays)
    shape = array_shape(clip.path, arrays.kind, n_mels=arrays.n_mels, scale=arrays.scale)
    if arrays.kind == "waveform":
        return Facts(samples_to_seconds(shape[-1], arrays.sample_rate), arrays.sample_rate, 1, "NPY waveform")
    return Facts(None, arrays.sample_rate, 1, "NPY logmel")


def read_clip(clip: Clip, arrays: ArraySpec | None = None, *, sample_rate: int | None = None) -> Audio:
    """Decode a clip.

    Args:
        clip: a recording, an array of a waveform, or a segment of either.
        arrays: what the ``.npy`` files of its manifest hold.
        sample_rate: wanted rate in Hz; the file's own if None.

    Raises:
        InputError: the file cannot be used; for log-mels always, as they are no waveforms.
    """
    start = 0.0 if clip.onset is None else clip.onset
    wanted_s = None if clip.offset is None else clip.offset - start
    if clip.is_array:
        audio = _read_waveform(clip, _spec_of(clip, arrays), start, wanted_s, sample_rate)
    else:
        audio = read_audio(clip.path, sample_rate=sample_rate, offset_s=start, duration_s=wanted_s)
    if wanted_s is not None and audio.duration < wanted_s - SEGMENT_TOLERANCE_S:
        flag = Flag("clipped_event", {"wanted_s": wanted_s, "found_s": audio.duration})
        return replace(audio, flags=(*audio.flags, flag))
    return audio


def _spec_of(clip: Clip, arrays: ArraySpec | None) -> ArraySpec:
    if arrays is None:
        raise InputError("bad_array", f"{PurePath(clip.path).name}: nothing says what this array holds")
    return arrays


def _read_waveform(
    clip: Clip, arrays: ArraySpec, start_s: float, wanted_s: float | None, sample_rate: int | None
) -> Audio:
    """Cut a segment out of a stored waveform and bring it to the wanted rate."""
    name = PurePath(clip.path).name
    if arrays.kind != "waveform":
        raise InputError("bad_array", f"{name} is a log-mel, where a waveform is needed")
    loaded = load_array(clip.path, "waveform", scale=arrays.scale)
    first = seconds_to_samples(start_s, arrays.sample_rate)
    stop = None if wanted_s is None else seconds_to_samples(start_s + wanted_s, arrays.sample_rate)
    samples = loaded.values[first:stop]
    if len(samples) == 0:
        length = samples_to_seconds(len(loaded.values), arrays.sample_rate)
        raise InputError("no_audio", f"{name}: the part begins at or beyond the end of the recording, at {length:g} s")
    duration = samples_to_seconds(len(samples), arrays.sample_rate)
    rate = arrays.sample_rate if sample_rate is None else sample_rate
    return Audio(resample(samples, arrays.sample_rate, rate), rate, duration, loaded.flags, clip.path)
