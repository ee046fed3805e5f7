# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of a recording come from: a path, an open file, or standard input.

Everything above reads through ``Source.read_at``: a bounded read at a position. That is where the file system's
surprises end: pipes that would hang, links to nothing, folders called ``x.wav``, network shares that time out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from auricle.errors import InputError
from auricle.files import address_note

AudioSource = str | bytes | os.PathLike[str] | BinaryIO

#: Bytes taken from a source that cannot seek, such as standard input: about 4.6 h of 16 kHz, 16 bit.
MAX_BUFFERED_BYTES = 512 * 1024 * 1024
#: Pauses before the second, third and fourth try of a read that failed.
RETRY_PAUSES_S = (0.05, 0.2, 0.8)

_TRANSIENT = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN}
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
T = TypeVar("T")


class Source(Protocol):
    """Random access to the bytes of one recording."""

    path: str
    size: int

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``; fewer only at the end."""
        ...

    def changed(self) -> bool:
        """Tell whether the file has changed since it was opened."""
        ...

    def close(self) -> None:
        """Give back what was opened here."""
        ...


def open_source(source: AudioSource) -> Source:
    """Open a path, a binary file object, or ``-`` for standard input.

    Raises:
        InputError: ``not_found``, ``vanished``, ``broken_link``, ``permission``, ``not_regular``, ``io_error``,
            ``too_long`` (a source that cannot seek holds more than ``MAX_BUFFERED_BYTES``).
    """
    if isinstance(source, (str, bytes, os.PathLike)):
        path = os.fspath(source)
        if path != "-":
            return FileSource(path)
        return MemorySource(_read_all(sys.stdin.buffer), "-")
    name = getattr(source, "name", None)
    path = name if isinstance(name, str) else ""
    if source.seekable():
        return ObjectSource(source, path)
    return MemorySource(_read_all(source), path)


#: Of opening. Windows knows neither waiting nor inheriting by default here, but would translate line ends.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT"))


class FileSource:
    """A regular file, opened by its name's bytes, so that any name works."""

    def __init__(self, path: str | bytes) -> None:
        self.path = os.fsdecode(path)
        self._name = os.fsencode(path)
        self._file = -1
        self._opened = retried(self._open)
        self.size = self._opened.st_size

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``; a failing read is tried again, on a fresh handle."""
        try:
            return _read_fully(self._pread, offset, count)
        except OSError as error:
            if error.errno not in _TRANSIENT:
                raise _input_error(error) from error

        def reopen_and_read() -> bytes:
            self.close()
            self._open()
            return _read_fully(self._pread, offset, count)

        return retried(reopen_and_read, RETRY_PAUSES_S[0])

    def changed(self) -> bool:
        """Compare size and modification time with those at opening."""
        try:
            now = Path(self.path).stat()
        except OSError:
            return True
        before = self._opened
        return (now.st_size, now.st_mtime_ns, now.st_ino) != (before.st_size, before.st_mtime_ns, before.st_ino)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = -1

    def _pread(self, offset: int, count: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file, count, offset)
        os.lseek(self._file, offset, os.SEEK_SET)  # Windows: a source is read by one thread at a time
        return os.read(self._file, count)

    def _open(self) -> os.stat_result:
        """Open without ever waiting: the kind is checked before opening and again after it."""
        try:
            status = Path(self.path).stat()
        except FileNotFoundError:
            if Path(self.path).is_symlink():
                raise InputError("broken_link", "a symbolic link to nothing; restore its target") from None
            address = address_note(str(self.path))
            raise InputError("not_found", "no such file; check the path" if address is None else address) from None
        except ValueError:  # a NUL byte
            raise InputError("not_found", "no file has such a name: it holds a NUL byte") from None
        _require_regular(status)
        try:
            self._file = os.open(self._name, _FLAGS)
        except FileNotFoundError:
            raise InputError("vanished", "the file disappeared while it was opened") from None
        status = os.fstat(self._file)
        _require_regular(status)
        return status


class MemorySource:
    """Bytes in memory."""

    def __init__(self, data: bytes, path: str = "") -> None:
        self._data = data
        self.path = path
        self.size = len(data)

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``."""
        return self._data[offset : offset + count]

    def changed(self) -> bool:
        """Memory of ours does not change."""
        return False

    def close(self) -> None:
        """Nothing is open."""


class ObjectSource:
    """A binary file object that can seek. It stays open: whoever opened it closes it."""

    def __init__(self, file: BinaryIO, path: str = "") -> None:
        self._file = file
        self.path = path
        self.size = file.seek(0, os.SEEK_END)

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``."""
        try:
            return _read_fully(self._read, offset, count)
        except OSError as error:
            raise _input_error(error) from error

    def changed(self) -> bool:
        """Compare the length with that at opening."""
        return self._file.seek(0, os.SEEK_END) != self.size

    def close(self) -> None:
        """Leave the object to its owner."""

    def _read(self, offset: int, count: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(count)


class Section:
    """The bytes ``[start, stop)`` of a source as a source: a recording without the tags before and behind it."""

    def __init__(self, source: Source, start: int, stop: int) -> None:
        self._source, self._start = source, start
        self.path = source.path
        self.size = stop - start

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``; fewer only at the end."""
        return self._source.read_at(self._start + offset, max(0, min(count, self.size - offset)))

    def changed(self) -> bool:
        """Ask the whole source."""
        return self._source.changed()

    def close(self) -> None:
        """Close the whole source."""
        self._source.close()


def _read_fully(read: Callable[[int, int], bytes], offset: int, count: int) -> bytes:
    """Read until ``count`` bytes are there or the end is; a decoder takes fewer for the end."""
    data = read(offset, count)
    while len(data) < count and (more := read(offset + len(data), count - len(data))):
        data += more
    return data


def _require_regular(status: os.stat_result) -> None:
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            advice = "; give its files, or the folder without an extension" if kind == "a folder" else ""
            raise InputError("not_regular", f"{kind}, not a regular file{advice}")


def retried(action: Callable[[], T], first_pause_s: float = 0.0) -> T:
    """Do ``action``, again after pauses if the file system fails for the moment; never call that corrupt.

    Raises:
        InputError: ``io_error`` if the last try failed too, else what the file system said.
    """
    last: OSError | None = None
    pauses = RETRY_PAUSES_S[1:] if first_pause_s else RETRY_PAUSES_S
    for pause in (first_pause_s, *pauses):
        if pause:
            time.sleep(pause)
        try:
            return action()
        except OSError as error:
            if error.errno not in _TRANSIENT:
                raise _input_error(error) from error
            last = error
    raise _input_error(last or OSError(errno.EIO, os.strerror(errno.EIO))) from last


def _input_error(error: OSError) -> InputError:
    """Translate an error of the file system."""
    code, advice = {
        errno.ELOOP: ("broken_link", "a symbolic link to itself"),
        errno.EACCES: ("permission", "this user may not read it; change its permissions"),
        errno.EPERM: ("permission", "this user may not read it; change its permissions"),
        errno.ENOENT: ("vanished", "it disappeared while it was read"),
        errno.ENOTDIR: ("not_found", "a part of the path is no folder; check the path"),
        errno.ENAMETOOLONG: ("not_found", "the name is longer than the file system allows; check the path"),
        errno.EISDIR: ("not_regular", "a folder, not a regular file"),
        errno.ENXIO: ("not_regular", "a socket or device, not a regular file"),
        errno.ENODEV: ("not_regular", "a socket or device, not a regular file"),
    }.get(error.errno or 0, ("io_error", f"the file system failed {len(RETRY_PAUSES_S) + 1} times; check the disk"))
    return InputError(code, f"{error.strerror or error}: {advice}")


def _read_all(file: BinaryIO) -> bytes:
    """Read a file object that cannot seek to its end, up to the stated limit."""
    parts, total = [], 0
    while part := file.read(1 << 20):
        total += len(part)
        if total > MAX_BUFFERED_BYTES:
            limit = MAX_BUFFERED_BYTES >> 20
            raise InputError("too_long", f"more than {limit} MiB from a source that cannot seek; save it to a file")
        parts.append(part)
    return b"".join(parts)
