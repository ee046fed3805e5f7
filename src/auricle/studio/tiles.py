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
from auricle.timeline import seconds_to_samples

log = logging.getLogger("auricle.studio")

ROWS = 128
MOST_COLUMNS = 4096
#: Above this frequency nothing is shown.
HIGHEST_HZ = 16_000.0
#: Loudness of the darkest and the brightest point, in dB below a sine at full scale.
FLOOR_DB, TOP_DB = -100.0, 0.0
#: A longer part is shown by pieces, one a column, of this length.
WHOLE_S, PIECE_S = 600.0, 0.25
#: Bytes of pictures that are kept.
CACHE_BYTES = 256 << 20
_FFT_S = 0.032
_SPECTRA_A_COLUMN = 4
_AT_ONCE = 64


def make_tile(recording: Recording, from_s: float, to_s: float, width: int) -> dict[str, Any]:
    """Return a picture of a part of a recording, see docs/studio.md.

    Args:
        recording: what is shown.
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
    with open_channels(recording.file) as decoder:
        rate = decoder.sample_rate
        top_hz = min(rate / 2, HIGHEST_HZ)
        whole = to_s - from_s <= WHOLE_S or not decoder.exact_seek
        for first, columns in _columns(decoder, from_s, to_s, width, whole=whole):
            peaks[first : first + len(columns)] = [_peak(column) for column in columns]
            picture[:, first : first + len(columns)] = _spectra(columns, rate, top_hz)
    return {
        "from": from_s,
        "to": to_s,
        "width": width,
        "rows": ROWS,
        "hz_max": rounded(top_hz),
        "whole": whole,
        "peaks": base64.b64encode(peaks.tobytes()).decode(),
        "spectrogram": base64.b64encode(picture.tobytes()).decode(),
    }


def _columns(
    decoder: Decoder, from_s: float, to_s: float, width: int, *, whole: bool
) -> Iterator[tuple[int, list[FloatArray]]]:
    """Yield the samples of some columns at a time, with the number of the first; each at least one FFT long."""
    rate = decoder.sample_rate
    edges = np.round(np.linspace(from_s, to_s, width + 1) * rate).astype(np.int64)
    size = _fft_size(rate)
    if not whole:
        for number in range(width):
            yield number, [_piece(decoder, int(edges[number]), max(size, seconds_to_samples(PIECE_S, rate)))]
        return
    begin = max(0, int(edges[0]) - size // 2)
    position, kept, first, number = decoder.seek(begin), np.zeros(0, np.float32), begin, 0
    columns: list[FloatArray] = []
    while number < width:
        block = decoder.read()
        if len(block):
            mono = block.mean(axis=1, dtype=np.float32)
            mono = mono[max(0, begin - position) :]  # where the decoder could only go to the start
            position += len(block)
            kept = np.concatenate([kept, mono])
        while number < width:
            a, b = _widened(int(edges[number]), int(edges[number + 1]), size)
            if first + len(kept) < b and len(block):
                break
            column = kept[max(0, a - first) : max(0, b - first)]
            columns.append(np.pad(column, (max(0, first - a), 0)) if a < first else column)
            number += 1
            if len(columns) == _AT_ONCE:
                yield number - len(columns), columns
                columns = []
        drop = max(0, min(len(kept), _widened(int(edges[min(number, width - 1)]), 0, size)[0] - first))
        kept, first = kept[drop:], first + drop
    if columns:
        yield number - len(columns), columns


def _widened(a: int, b: int, size: int) -> tuple[int, int]:
    """Return begin and end of a column that holds an FFT around its middle."""
    if b - a >= size:
        return a, b
    begin = max(0, (a + b) // 2 - size // 2) if b > a else max(0, a - size // 2)
    return begin, begin + size


def _piece(decoder: Decoder, begin: int, length: int) -> FloatArray:
    """Return samples from a place on; silence where there are none."""
    if decoder.seek(begin) != begin:
        return np.zeros(length, np.float32)
    parts, count = [np.zeros(0, np.float32)], 0
    while count < length and len(block := decoder.read()):
        parts.append(block[: length - count].mean(axis=1, dtype=np.float32))
        count += len(parts[-1])
    return np.concatenate(parts)


def _peak(samples: FloatArray) -> tuple[int, int]:
    if not len(samples):
        return 0, 0
    low, high = np.clip(np.nan_to_num([samples.min(), samples.max()]), -1, 1)
    return math.floor(low * 127), math.ceil(high * 127)


def _fft_size(rate: int) -> int:
    return 1 << max(6, round(math.log2(_FFT_S * rate)))


def _spectra(columns: list[FloatArray], rate: int, top_hz: float) -> npt.NDArray[np.uint8]:
    """Return the brightness of some columns, ``(row, column)``, the highest frequency first."""
    size = _fft_size(rate)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    starts = [np.linspace(0, max(0, len(c) - size), _SPECTRA_A_COLUMN if len(c) > size else 1) for c in columns]
    frames = np.zeros((len(columns), _SPECTRA_A_COLUMN, size), np.float32)
    for frame, column, places in zip(frames, columns, starts, strict=True):
        for number, start in enumerate(places.astype(int)):
            part = column[start : start + size]
            frame[number, : len(part)] = part
    counts = np.array([len(places) for places in starts])
    power = np.square(np.abs(np.fft.rfft(frames * window))).sum(axis=1) / counts[:, None]
    power *= (2 / window.sum()) ** 2
    bins = power.shape[1]
    edges = np.linspace(0, top_hz / (rate / 2) * (bins - 1), ROWS + 1)
    low = np.minimum(edges[:-1].astype(int), bins - 1)
    found = np.maximum.reduceat(power, np.unique(low), axis=1)[:, np.searchsorted(np.unique(low), low)]
    decibels = 10 * np.log10(np.maximum(found, 1e-12))
    bright = np.clip((decibels - FLOOR_DB) / (TOP_DB - FLOOR_DB), 0, 1) * 255
    return np.asarray(np.round(bright).astype(np.uint8).T[::-1])


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

    def tile(self, recording: Recording, from_s: float, to_s: float, width: int) -> bytes:
        """Return the JSON of ``make_tile``, made or kept."""
        key = f"{recording.file} {recording.version} {from_s!r} {to_s!r} {width}".encode("utf-8", "surrogateescape")
        path = self._folder / f"{sha256_bytes(key)[:32]}.json"
        try:
            return path.read_bytes()
        except OSError:
            content = json.dumps(make_tile(recording, from_s, to_s, width)).encode()
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
