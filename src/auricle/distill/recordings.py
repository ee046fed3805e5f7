# SPDX-License-Identifier: Apache-2.0
"""Recordings decoded once into one memory-mapped file, for mixtures that read parts of them at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from auricle.audio.decode import read_audio
from auricle.data.manifest import Clip
from auricle.errors import DataError, InputError
from auricle.files import read_json, sha256_file, temporary_beside, write_json
from auricle.results import FloatArray

SAMPLES, INDEX = "recordings.i16", "recordings.json"
_FULL_SCALE = 32_767


@dataclass(frozen=True)
class Recording:
    """One recording: its name, the SHA-256 of its file, and where its samples lie."""

    key: str
    sha256: str
    first: int
    length: int


class RecordingPack:
    """Waveforms at one rate; made by ``pack_recordings``.

    Attributes:
        recordings: in the order in which they are numbered.
        sample_rate: in Hz.
        failures: name and reason of each file that could not be read.
    """

    def __init__(self, folder: Path) -> None:
        values = read_json(folder / INDEX)
        self.sample_rate = int(values["sample_rate"])
        self.recordings = tuple(Recording(**row) for row in values["recordings"])
        self.failures: dict[str, str] = values["failures"]
        self._samples = np.memmap(folder / SAMPLES, np.int16, "r")

    def __len__(self) -> int:
        return len(self.recordings)

    def length(self, number: int) -> int:
        """Return the samples of a recording."""
        return self.recordings[number].length

    def read(self, number: int, first: int, count: int) -> FloatArray:
        """Return up to ``count`` samples of a recording from ``first`` on, ``(time,)`` in [-1, 1]."""
        recording = self.recordings[number]
        begin = recording.first + first
        end = min(begin + count, recording.first + recording.length)
        return np.asarray(self._samples[begin:end], np.float32) / np.float32(_FULL_SCALE)


def pack_recordings(
    folder: Path, clips: Sequence[Clip], sample_rate: int, advance: Callable[[], None] = lambda: None
) -> RecordingPack:
    """Decode recordings into ``folder``, or open what an earlier run left there of the same ones.

    Args:
        folder: is made if missing.
        clips: the recordings.
        sample_rate: in Hz.
        advance: is called after each.

    Raises:
        DataError: not one can be read.
    """
    hashes = {clip.key: sha256_file(clip.path) for clip in clips}
    if (folder / INDEX).is_file():
        values = read_json(folder / INDEX)
        if values["sample_rate"] == sample_rate and values["asked"] == hashes:
            return RecordingPack(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Recording] = []
    failures: dict[str, str] = {}
    first = 0
    temporary = temporary_beside(folder / SAMPLES)
    with temporary.open("wb") as file:
        for clip in clips:
            try:
                samples = read_audio(clip.path, sample_rate=sample_rate).samples
            except InputError as error:
                failures[clip.key] = error.message
            else:
                file.write(np.rint(np.clip(samples, -1, 1) * _FULL_SCALE).astype(np.int16).tobytes())
                rows.append(Recording(clip.key, hashes[clip.key], first, len(samples)))
                first += len(samples)
            advance()
    if not rows:
        reason = next(iter(failures.values()), "there are none")
        raise DataError("no recording can be used", [f"{len(failures)} of {len(clips)} failed, the first: {reason}"])
    temporary.replace(folder / SAMPLES)
    write_json(
        folder / INDEX,
        {
            "sample_rate": sample_rate,
            "asked": hashes,
            "recordings": [asdict(row) for row in rows],
            "failures": failures,
        },
    )
    return RecordingPack(folder)
