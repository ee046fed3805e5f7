# SPDX-License-Identifier: Apache-2.0
"""What a detector takes: a path, a binary file object, or an array. All give mono blocks at the model's rate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from auricle.audio.channels import one_channel, require_channel
from auricle.audio.checks import SignalCheck
from auricle.audio.origin.clocks import Clocks
from auricle.audio.resample import Resampler
from auricle.errors import InputError, UsageError
from auricle.results import Flag, FloatArray, Origin
from auricle.timeline import samples_to_seconds, seconds_to_samples

if TYPE_CHECKING:
    from auricle.audio.decode import Limits

Samples = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Excerpt:
    """A part of a recording in a file: of its time, of its channels, or both.

    Attributes:
        path: of the recording.
        offset_s: where the part begins, in seconds.
        duration_s: its length in seconds; to the end if None.
        channel: the channel, from 1 on; None leaves it to the detector.
    """

    path: str
    offset_s: float = 0.0
    duration_s: float | None = None
    channel: int | None = None

    @property
    def span(self) -> bool:
        """Whether it is a part of the time."""
        return self.offset_s > 0 or self.duration_s is not None


#: Besides these, tensors of torch and whatever NumPy takes for an array.
AudioInput = str | bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO | Samples | Excerpt | Any

#: Sample rates that are accepted, as in files.
RATES_HZ = (1_000, 768_000)
#: An array with more columns than this is rather turned on its side than that many microphones.
MAX_CHANNELS = 64
_BLOCK_S = 10.0


class Reader(Protocol):
    """Blocks of one recording; ``flags`` and ``duration`` are complete after the last block."""

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What a user should know about the recording."""
        ...

    @property
    def duration(self) -> float:
        """Seconds of the recording itself, before any resampling."""
        ...

    @property
    def expected_s(self) -> float | None:
        """Seconds that are to come in all, by the header; None where only decoding can tell."""
        ...

    def __iter__(self) -> Iterator[FloatArray]: ...


def _advice(x: object) -> str:
    """Return what to do with what is no input."""
    return "; several recordings are for auricle.scan" if isinstance(x, list | tuple | set) else ""


def open_input(
    x: AudioInput,
    sample_rate: int | None,
    model_rate: int,
    limits: Limits | None = None,
    block_s: float | None = None,
    channel: int | None = None,
) -> AbstractContextManager[Reader]:
    """Open an input for reading at ``model_rate``.

    Args:
        x: a path, a binary file object, the bytes of a file, or an array, see ``plain_input``.
        sample_rate: rate of the array in Hz; files know theirs.
        model_rate: rate of the blocks in Hz.
        limits: what is refused in files; the usual limits if None.
        block_s: length of a block in seconds; the usual one if None.
        channel: the channel to take, from 1 on; the mean of all if None.

    Raises:
        UsageError: an array without a sample rate, or a file with one.
        InputError: the input cannot be used.
    """
    x = plain_input(x)
    if isinstance(x, np.ndarray):
        if sample_rate is None:
            raise UsageError("an array needs its sample rate: tag(samples, sample_rate=48000)")
        return nullcontext(ArrayReader(x, sample_rate, model_rate, block_s or _BLOCK_S, channel))
    part: dict[str, Any] = {"channel": channel}
    if isinstance(x, Excerpt):
        part |= {"offset_s": x.offset_s, "duration_s": x.duration_s}
        x = x.path
    if not isinstance(x, (str, bytes, os.PathLike)) and not hasattr(x, "read"):
        raise UsageError(
            f"got {type(x).__name__}; expected a path, a binary file object, bytes or an array{_advice(x)}"
        )
    if sample_rate is not None:
        raise UsageError("sample_rate is for arrays; a file states its own rate")
    from auricle.audio.decode import Limits, open_audio  # noqa: PLC0415 (decoders load libraries that arrays do not need)

    return open_audio(x, sample_rate=model_rate, block_s=block_s or _BLOCK_S, limits=limits or Limits(), **part)


def plain_input(x: Any) -> Any:
    """Return an input as a path, a file object, an excerpt or an array of NumPy; anything else as it is.

    Tensors of torch come from whatever device they are on; what has ``__array__`` is an array. ``bytes`` with a NUL are
    the content of a file, since no path has one; so are ``bytearray`` and ``memoryview``.
    """
    if isinstance(x, (bytearray, memoryview)) or (isinstance(x, bytes) and b"\0" in x):
        return BytesIO(bytes(x))
    if isinstance(x, (str, bytes, os.PathLike, np.ndarray, Excerpt)) or hasattr(x, "read"):
        return x
    if all(hasattr(x, name) for name in ("detach", "cpu", "is_floating_point")):
        tensor = x.detach().cpu()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return np.asarray(x) if hasattr(x, "__array__") else x


def input_name(x: object) -> str:
    """Return what results call an input: its path, with what is not Unicode escaped; empty for arrays and bytes."""
    x = plain_input(x)
    x = x.path if isinstance(x, Excerpt) else x
    name = x if isinstance(x, (str, bytes, os.PathLike)) else getattr(x, "name", "")
    if not isinstance(name, (str, bytes, os.PathLike)):
        return ""
    return os.fsdecode(name).encode("utf-8", "backslashreplace").decode("utf-8")


def origin_of_input(x: AudioInput, clocks: Clocks) -> tuple[Origin | None, tuple[Flag, ...]]:
    """Return when and where an input was recorded, None where nothing is known, and flags of that."""
    x = plain_input(x)
    if isinstance(x, np.ndarray) or (hasattr(x, "seekable") and not x.seekable()):
        return None, ()
    from auricle.audio.origin.reader import read_origin  # noqa: PLC0415 (arrays have no header)

    origin, flags = read_origin(x.path if isinstance(x, Excerpt) else x, clocks)
    return (None if origin == Origin() else origin), flags


class ArrayReader:
    """An array as a recording: checked, mixed down and resampled block by block as a file would be."""

    def __init__(
        self,
        samples: Samples,
        sample_rate: int,
        model_rate: int,
        block_s: float = _BLOCK_S,
        channel: int | None = None,
    ) -> None:
        self._block_s, self._channel = block_s, channel
        self._samples = check_samples(samples)
        self._rate = check_rate(sample_rate)
        self._model_rate = model_rate
        if len(self._samples) == 0:
            raise InputError("no_audio", "the array holds no sample")
        require_channel(channel, self._samples.shape[1])
        self.flags: tuple[Flag, ...] = ()
        self.duration = samples_to_seconds(len(self._samples), self._rate)
        self.expected_s: float | None = self.duration

    def __iter__(self) -> Iterator[FloatArray]:
        frames, channels = self._samples.shape
        check = SignalCheck(channels if self._channel is None else 1, frames)
        resampler = Resampler(self._rate, self._model_rate)
        step = seconds_to_samples(self._block_s, self._rate)
        for start in range(0, frames, step):
            yield resampler.push(check.push(one_channel(self._samples[start : start + step], self._channel)))
        yield resampler.flush()
        self.flags = check.finish()


def check_rate(sample_rate: float) -> int:
    """Return the rate; raises ``InputError`` ``rate_out_of_range``, ``UsageError`` for what is no number.

    >>> check_rate(48000.0)
    48000
    """
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, (int, float, np.number)):
        raise UsageError(f"the sample rate is a {type(sample_rate).__name__}; expected a number of Hz, such as 48000")
    low, high = RATES_HZ
    if not low <= sample_rate <= high or sample_rate != int(sample_rate):
        raise InputError(
            "rate_out_of_range",
            f"a sample rate of {sample_rate} Hz; whole numbers from {low} to {high} Hz are accepted",
        )
    return int(sample_rate)


def check_samples(samples: Samples) -> Samples:
    """Return samples as floats, ``(time, channel)``; raises ``InputError`` ``bad_array`` or ``too_many_channels``.

    Of whole numbers only int16 is taken: full scale of others (127, 8388607, 2147483647?) cannot be seen from them.
    ``(channel, time)`` is turned where it can be nothing else: at most 64 rows, and more columns than channels can be.
    """
    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / 32_768
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(
            "bad_array",
            f"samples of type {samples.dtype}, whose full scale is not known; expected int16 or floats in [-1, 1] "
            "(int32: divide by 2147483648)",
        )
    if samples.ndim not in (1, 2):
        raise InputError("bad_array", f"an array of shape {samples.shape}; expected (time,) or (time, channel)")
    if samples.ndim == 1:
        return samples[:, None]
    if 0 < samples.shape[0] <= MAX_CHANNELS < samples.shape[1]:
        samples = samples.T
    channels = samples.shape[1]
    if channels == 0 or channels > MAX_CHANNELS:
        raise InputError("too_many_channels", f"{channels} channels; from 1 to {MAX_CHANNELS} are accepted")
    return samples
