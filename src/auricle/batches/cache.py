# SPDX-License-Identifier: Apache-2.0
"""The one cache: decoded waveforms at the model's rate, float32, memory-mapped.

An entry is named by the SHA-256 of the source file, the rate, and what decodes and resamples, so a changed
source, another rate or another decoder is another entry. A header of 64 bytes holds the payload's own SHA-256: an
entry that was cut or flipped is found when a run opens it, and built again. Entries are written beside their place
and renamed, so two runs may build the same one at once.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr

from auricle.audio.decode import read_audio
from auricle.errors import DataError, InputError, RunError
from auricle.files import atomic_write, sha256_bytes, sha256_file, sweep_orphans
from auricle.results import Flag, FloatArray

MAGIC = b"auricle waveform 1\n"
HEADER_BYTES = 64
#: Raise it when the same file decodes to other samples than before: entries of before are then not used any more.
DECODING = 1
#: When this many files have been tried and none could be used, there is no point in trying the others.
HOPELESS_AFTER = 50


def entry_version() -> str:
    """Return eight digits that stand for all that turns a file into samples."""
    parts = [MAGIC.decode(), DECODING, soundfile.__libsndfile_version__, soxr.__version__]
    return sha256_bytes(repr(parts).encode())[:8]


def default_cache_dir() -> Path:
    """Return where entries live: ``AURICLE_CACHE``, else the user's cache folder."""
    named = os.environ.get("AURICLE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "auricle"


@dataclass
class CacheReport:
    """What ``prepare`` did: counts, the flags of files decoded now, and the files that failed."""

    reused: int = 0
    built: int = 0
    repaired: int = 0
    flags: dict[str, tuple[Flag, ...]] = field(default_factory=dict)
    failures: dict[str, InputError] = field(default_factory=dict)


class WaveformCache:
    """Waveforms of files at one sample rate.

    Args:
        folder: where entries live; made if missing, private to this user.
        sample_rate: in Hz.

    Raises:
        RunError: if the folder belongs to somebody else or others may write into it.
    """

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self.folder = folder / f"{sample_rate}-{entry_version()}"
        self.sample_rate = sample_rate
        self._entries: dict[str, Path] = {}
        self._swept: set[Path] = set()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise RunError(
                f"the cache folder {folder} cannot be made ({error}); set AURICLE_CACHE to another"
            ) from error
        state = self.folder.stat()
        if hasattr(os, "getuid") and (state.st_uid != os.getuid() or state.st_mode & stat.S_IWOTH):
            raise RunError(
                f"the cache folder {self.folder} belongs to another user or others may write into it; "
                "set AURICLE_CACHE to a folder of your own"
            )

    def prepare(self, paths: Sequence[str], advance: Callable[[], None] = lambda: None) -> CacheReport:
        """Make sure every file has a sound entry; failures of files are collected, not raised.

        Raises:
            DataError: the first ``HOPELESS_AFTER`` files all failed; names the commonest causes.
            RunError: the cache's own disk is full or fails.
        """
        report = CacheReport()
        for path in dict.fromkeys(paths):
            try:
                self._prepare_one(path, report)
            except InputError as error:
                report.failures[path] = error
                if len(report.failures) == HOPELESS_AFTER and not self._entries:
                    raise _hopeless(report) from error
            advance()
        return report

    def _prepare_one(self, path: str, report: CacheReport) -> None:
        name = _content_name(path)
        entry = self.folder / name[:2] / f"{name}.f32"
        if entry.exists():
            if is_sound(entry.read_bytes()):
                report.reused += 1
                self._entries[path] = entry
                return
            report.repaired += 1
        audio = read_audio(path, sample_rate=self.sample_rate)
        if audio.flags:
            report.flags[path] = audio.flags
        payload = np.ascontiguousarray(audio.samples, dtype="<f4").tobytes()
        self._write(entry, _header(payload) + payload)
        report.built += 1
        self._entries[path] = entry

    def at(self, folder: Path) -> WaveformCache:
        """Return a cache of the same files in another machine's folder; ``missing`` says what it lacks."""
        other = WaveformCache(folder, self.sample_rate)
        other._entries = {path: other.folder / entry.relative_to(self.folder) for path, entry in self._entries.items()}
        return other

    def missing(self) -> list[str]:
        """Return the files whose entries are not in the folder."""
        return [path for path, entry in self._entries.items() if not entry.exists()]

    def _write(self, entry: Path, content: bytes) -> None:
        """Write an entry; what earlier runs left half-done beside it goes."""
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            if entry.parent not in self._swept:
                self._swept.add(entry.parent)
                sweep_orphans(entry.parent)
            atomic_write(entry, content)
        except OSError as error:
            raise RunError(
                f"the cache cannot write {entry}: {error.strerror} ({len(content)} bytes); "
                "free some space, or set AURICLE_CACHE to a folder on another disk"
            ) from error

    def load(self, path: str) -> FloatArray:
        """Return the waveform of a prepared file, memory-mapped and read-only, shape ``(time,)``.

        Whoever empties the cache in the middle of a run costs it time only: the entry is built again.

        Raises:
            InputError: the entry is gone, and the file cannot be read any more either.
        """
        try:
            return self._map(path)
        except FileNotFoundError:
            self._prepare_one(path, CacheReport())
            return self._map(path)

    def content_of(self, path: str) -> str:
        """Return the SHA-256 of a prepared file."""
        return self._entries[path].stem

    def _map(self, path: str) -> FloatArray:
        # np.memmap resolves the path first, which takes as long as all that training does with a crop.
        with self._entries[path].open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # lives as long as the array
        return np.frombuffer(content, "<f4", offset=HEADER_BYTES)


def _content_name(path: str) -> str:
    """Return the SHA-256 of a file; what the file system says against reading it is this file's failure."""
    try:
        return sha256_file(path)
    except FileNotFoundError as error:
        raise InputError("not_found", f"{path}: no such file") from error
    except OSError as error:
        code = {errno.EACCES: "permission", errno.EPERM: "permission", errno.EISDIR: "not_regular"}.get(
            error.errno or 0
        )
        raise InputError(code or "io_error", f"{path}: {error.strerror}") from error


def _header(payload: bytes) -> bytes:
    """Return magic, payload hash and padding, 64 bytes in all."""
    return (MAGIC + hashlib.sha256(payload).digest()).ljust(HEADER_BYTES, b"\0")


def is_sound(content: bytes) -> bool:
    """Check the payload of an entry against its header."""
    return len(content) > HEADER_BYTES and content[:HEADER_BYTES] == _header(content[HEADER_BYTES:])


def _hopeless(report: CacheReport) -> DataError:
    """Return the error for data of which nothing can be used, with its three commonest causes."""
    causes: dict[str, list[InputError]] = {}
    for error in report.failures.values():
        causes.setdefault(error.code, []).append(error)
    common = sorted(causes.values(), key=len, reverse=True)[:3]
    return DataError(
        f"none of the first {len(report.failures)} recordings can be decoded; training needs recordings that can",
        [f"{errors[0].code}, {len(errors)} times, such as {errors[0].message}" for errors in common],
    )
