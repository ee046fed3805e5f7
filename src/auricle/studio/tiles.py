# SPDX-License-Identifier: Apache-2.0
"""Pictures of parts of recordings: peaks and a spectrogram, computed as needed and kept on disk within a bound.

A short part is read whole. Of a long one each column shows a piece that is read at its place, so that 24 hours take as
many reads as there are columns, and memory does not grow with the recording.
"""

from __future__ import annotations

import base64
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from auricle.audio.decode import open_channels
from auricle.audio.decoders import Decoder
from auricle.errors import UsageError
from auricle.files import atomic_write, sha256_bytes
from auricle.results import FloatArray, rounded
from auricle.studio.recordings import Recording
from auricle.studio.sounds import SoundCache
from auricle.timeline import seconds_to_samples

log = logging.getLogger("auricle.studio")

#: Rows of a spectrogram, from ``LOWEST_HZ`` to half the sample rate on the mel scale: as in ``webpage/picture.js``.
ROWS, LOWEST_HZ = 120, 40.0
WINDOW_S = 0.05
#: Loudness of the values 0 and 255, in dB below a sine at full scale.
FLOOR_DB, TOP_DB = -120.0, 0.0
MOST_COLUMNS = 4096
#: A longer part is shown by pieces, one a column.
WHOLE_S = 300.0
#: Bytes of pictures that are kept.
CACHE_BYTES = 256 << 20
#: Windows that a column is made of at most; the loudest counts.
_LOOKS = 4
_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class _Column:
    """Samples of a column: its own, and those from which windows are taken, at least one window long."""

    own: FloatArray
    around: FloatArray


def make_tile(file: str, from_s: float, to_s: float, width: int) -> dict[str, Any]:
    """Return a picture of a part of a recording, see docs/studio.md.

    Args:
        file: the recording.
        from_s: its start in seconds.
        to_s: its end; what lies behind the end of the recording is silence.
        width: columns.

    Raises:
        UsageError: a part or a width that makes no sense.
        InputError: the recording cannot be read.
    """
    if not (0 <= from_s < to_s and math.isfinite(to_s)):
        raise UsageError(f"from {from_s:g}, to {to_s:g}: expected 0 <= from < to, in seconds")
    if not 1 <= width <= MOST_COLUMNS:
        raise UsageError(f"width {width}: expected 1 to {MOST_COLUMNS} columns")
    peaks = np.zeros((width, 2), np.int8)
    picture = np.zeros((ROWS, width), np.uint8)
    with open_channels(file) as decoder:
        rate = decoder.sample_rate
        whole = to_s - from_s <= WHOLE_S or not decoder.exact_seek
        edges = np.round(np.linspace(from_s, to_s, width + 1) * rate).astype(np.int64)
        columns = (_all_samples if whole else _pieces)(decoder, edges, max(2, seconds_to_samples(WINDOW_S, rate)))
        first = 0
        while some := list(islice(columns, _AT_ONCE)):
            peaks[first : first + len(some)] = [_peak(column.own) for column in some]
            picture[:, first : first + len(some)] = _spectra([column.around for column in some], rate)
            first += len(some)
    return {
        "from": from_s,
        "to": to_s,
        "width": width,
        "rows": ROWS,
        "hz_max": rounded(rate / 2),
        "whole": whole,
        "peaks": base64.b64encode(peaks.tobytes()).decode(),
        "spectrogram": base64.b64encode(picture.tobytes()).decode(),
    }


def _pieces(decoder: Decoder, edges: npt.NDArray[np.int64], window: int) -> Iterator[_Column]:
    """Yield what the decoder gives at the start of each column in one read; nothing behind the end."""
    for begin, end in pairwise(edges.tolist()):
        if decoder.seek(begin) != begin:
            return
        block = decoder.read()[: max(window, end - begin)]
        if not len(block):
            return
        samples = block.mean(axis=1, dtype=np.float32)
        yield _Column(samples, samples)


def _all_samples(decoder: Decoder, edges: npt.NDArray[np.int64], window: int) -> Iterator[_Column]:
    """Yield columns of all samples between the edges, reading on; nothing behind the end."""
    begin = max(0, int(edges[0]) - window)
    position = decoder.seek(begin)
    kept, first, ended = np.zeros(0, np.float32), begin, False  # samples [first, first + len(kept)) of the recording
    for a, b in pairwise(edges.tolist()):
        low, high = _around(a, b, window)
        while first + len(kept) < high and not ended:
            block = decoder.read()
            ended = not len(block)
            mono = block.mean(axis=1, dtype=np.float32) if not ended else kept[:0]
            mono = mono[max(0, begin - position) :]  # where the decoder could only go to the start
            position += len(block)
            done = max(0, min(len(kept), low - first))
            kept, first = np.concatenate([kept[done:], mono]), first + done
        own = kept[max(0, a - first) : max(0, b - first)]
        if not len(own) and ended:
            return
        yield _Column(own, kept[max(0, low - first) : max(0, high - first)])


def _around(a: int, b: int, window: int) -> tuple[int, int]:
    """Return begin and end of a column, or of a window around its middle where that is longer."""
    if b - a >= window:
        return a, b
    begin = max(0, (a + b - window) // 2)
    return begin, begin + window


def _peak(samples: FloatArray) -> tuple[int, int]:
    if not len(samples):
        return 0, 0
    low, high = np.clip(np.nan_to_num([samples.min(), samples.max()]), -1, 1).tolist()
    return math.floor(low * 127), math.ceil(high * 127)


def _spectra(columns: list[FloatArray], rate: int) -> npt.NDArray[np.uint8]:
    """Return the loudness of some columns, ``(row, column)``, the highest frequency first."""
    window = max(2, seconds_to_samples(WINDOW_S, rate))
    hann, rows = _bank(rate)
    frames = np.zeros((len(columns), _LOOKS, window), np.float32)
    for frame, column in zip(frames, columns, strict=True):
        looks = min(_LOOKS, math.ceil(2 * len(column) / window))
        places = (np.arange(looks) + 0.5) / max(1, looks) * len(column) - window / 2
        for number, place in enumerate(places.clip(0, max(0, len(column) - window)).astype(int)):
            part = column[place : place + window]
            frame[number, : len(part)] = np.nan_to_num(part)
    power = np.square(np.abs(np.fft.rfft(frames * hann, _fft_size(window)))) / (hann.sum() / 2) ** 2
    bands = (power @ rows).max(axis=1)
    decibels = 10 * np.log10(np.maximum(bands, 1e-30))
    shares = np.clip((decibels - FLOOR_DB) / (TOP_DB - FLOOR_DB), 0, 1)
    return np.asarray(np.round(255 * shares).astype(np.uint8).T[::-1])


def _fft_size(window: int) -> int:
    return 1 << (window - 1).bit_length()


@lru_cache(maxsize=8)
def _bank(rate: int) -> tuple[FloatArray, FloatArray]:
    """Return the window, and triangles on the mel scale ``(bin, row)``, the lowest row first."""
    window = max(2, seconds_to_samples(WINDOW_S, rate))
    size = _fft_size(window)
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (LOWEST_HZ, rate / 2))
    centres = 700 * (10 ** (np.linspace(low, high, ROWS) / 2595) - 1)
    bin_hz = rate / size
    bins = np.arange(size // 2 + 1) * bin_hz
    around = np.concatenate([centres[:1], centres, centres[-1:]])
    widths = np.maximum(around[2:] - around[:-2], 2 * bin_hz) / 2
    away = np.abs(bins[:, None] - centres) / widths
    weights = np.where(away <= 1 + 1e-9, np.maximum(1e-3, 1 - away), 0)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    return hann.astype(np.float32), (weights / np.maximum(weights.sum(axis=0), 1e-30)).astype(np.float32)


class TileCache:
    """Pictures that were made, as files; the oldest go when they are too many.

    Args:
        folder: made if absent.
        most_bytes: of all files together.
    """

    def __init__(self, folder: Path, most_bytes: int = CACHE_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._written = 0

    def tile(self, recording: Recording, sounds: SoundCache, from_s: float, to_s: float, width: int) -> bytes:
        """Return the JSON of ``make_tile``, made or kept."""
        key = f"{recording.file} {recording.version} {from_s!r} {to_s!r} {width}".encode("utf-8", "surrogateescape")
        path = self._folder / f"{sha256_bytes(key)[:32]}.json"
        try:
            return path.read_bytes()
        except OSError:
            content = json.dumps(make_tile(sounds.file(recording), from_s, to_s, width)).encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            atomic_write(path, content)
        except OSError as error:  # a full disk takes the speed and not the picture
            log.warning("a picture was not kept: %s", error)
            return content
        self._written += len(content)
        if self._written > self._most_bytes // 16:
            self.prune()
        return content

    def prune(self) -> None:
        """Remove the oldest pictures until the others are within the bound."""
        self._written = 0
        files = []
        for path in self._folder.glob("*.json"):
            try:
                status = path.stat()
            except OSError:
                continue
            files.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size
