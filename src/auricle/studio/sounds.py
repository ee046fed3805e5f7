# SPDX-License-Identifier: Apache-2.0
"""Files whose sound is found at any place: recordings themselves, or plain copies of those read from the start.

In MP3, Ogg and their like no place is found without decoding all before it: too slow for a page that jumps
about in an hour of sound. Such recordings are decoded once into a WAV beside the project, within a bound.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import numpy as np
import soundfile

from auricle.audio.decode import open_audio, open_channels
from auricle.files import sha256_bytes, sweep_orphans, temporary_beside
from auricle.studio.recordings import Recording

log = logging.getLogger("auricle.studio")

#: Shorter recordings are decoded again each time.
SHORT_S = 30.0
#: Bytes of all copies together; a longer one is not made.
CACHE_BYTES = 2 << 30


class SoundCache:
    """Plain copies of recordings, mono, 16 bit.

    Args:
        folder: made if absent.
        most_bytes: of all copies together; the oldest go.
    """

    def __init__(self, folder: Path, most_bytes: int = CACHE_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._locks: dict[int, threading.Lock] = {}
        self._plain: dict[tuple[int, str], bool] = {}
        self._lock = threading.Lock()

    def file(self, recording: Recording) -> str:
        """Return a file to read a part of a recording from: itself, or its copy, which is made if need be.

        Raises:
            InputError: the recording cannot be read.
        """
        if self._is_plain(recording):
            return recording.file
        key = f"{recording.file} {recording.version}".encode("utf-8", "surrogateescape")
        copy = self._folder / f"{sha256_bytes(key)[:32]}.wav"
        with self._lock:
            lock = self._locks.setdefault(recording.id, threading.Lock())
        with lock:
            if not copy.exists():
                try:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    sweep_orphans(self._folder)
                    self._write(recording, copy)
                    self._prune(copy)
                except OSError as error:  # a full disk takes the speed and not the sound
                    log.warning("no copy of %s: %s", recording.path, error)
                    return recording.file
        return str(copy)

    def _is_plain(self, recording: Recording) -> bool:
        """Tell whether any place is found in the recording itself, or it is too short or too long for a copy."""
        key = (recording.id, recording.version)
        if key not in self._plain:
            length = recording.duration
            size = None if length is None or recording.sample_rate is None else 2 * length * recording.sample_rate
            with open_channels(recording.file) as decoder:
                fits = size is not None and length is not None and length > SHORT_S and size < self._most_bytes
                self._plain[key] = decoder.exact_seek or not fits
        return self._plain[key]

    def _write(self, recording: Recording, copy: Path) -> None:
        temporary = temporary_beside(copy)
        try:
            with (
                open_audio(recording.file) as reader,
                soundfile.SoundFile(temporary, "w", reader.sample_rate, 1, "PCM_16", format="WAV") as file,
            ):
                for block in reader:
                    whole = np.clip(np.rint(block * 32768.0), -32768, 32767)
                    file.write(whole.astype(np.int16))
            temporary.replace(copy)
        finally:
            temporary.unlink(missing_ok=True)

    def _prune(self, kept: Path) -> None:
        files = [(path.stat().st_mtime_ns, path.stat().st_size, path) for path in self._folder.glob("*.wav")]
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total > self._most_bytes and path != kept:
                path.unlink(missing_ok=True)
                total -= size
