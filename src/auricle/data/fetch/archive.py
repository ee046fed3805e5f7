# SPDX-License-Identifier: Apache-2.0
"""Archives of strangers, unpacked so that they can do no harm.

Every member is a plain file or a folder below the target. A name that leads out of it, or stands twice, makes the
whole archive refused; links and devices are left out and counted. What is written is counted too, so that an archive
cannot fill the disk beyond what it declares, and that is compared with the room there is before anything is written.

An archive is walked twice, to judge it and to unpack it, and nothing of it is held in memory but names: headers that
are themselves huge, or millions of empty members, cost little before they are refused.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from auricle.errors import DataError, UsageError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
#: Sound that was compressed before hardly shrinks; an archive that grows more than this is no data set.
MAX_GROWTH = 50
_BLOCK_BYTES = 1 << 20
#: No header of an archive of sound is longer: those of tar are read as one piece.
MOST_HEADER_BYTES = 1 << 20
#: No data set of sound has more members; the name of each costs some memory.
MOST_MEMBERS = 4_000_000
#: What unpacking xz may take: its largest preset asks for 65 MiB.
_XZ_MEMORY_BYTES = 128 << 20
#: What the libraries raise for damaged, encrypted and contradicting archives; the target is ours and was empty.
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError),
    *(FileExistsError, NotADirectoryError, IsADirectoryError),
)

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Member:
    """One thing in an archive.

    Attributes:
        name: as it is written in the archive.
        kind: ``file``, ``folder`` or ``other``.
        size: bytes when unpacked, as declared.
        read: opens the content, while the archive is at it.
        cost: bytes of the archive, unpacked, that it takes itself.
    """

    name: str
    kind: str
    size: int
    read: Callable[[], IO[bytes]]
    cost: int = 0


def unpack(archive: Path, target: Path, progress: Progress) -> int:
    """Unpack an archive into the folder ``target``, which is made; returns how many links and devices were left out.

    Raises:
        DataError: the archive is damaged, or a member's name is not to be trusted.
        UsageError: it is no archive that is known, or the disk is too small.
    """
    try:
        total, left_out = _judge(archive, target)
        _write(archive, target, total, progress)
        return left_out
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{archive.name} cannot be unpacked", [f"{reason or type(error).__name__}; get it again"]
        ) from error


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    """Open an archive and walk through what is in it, once and in order."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield (_zip_member(file, info) for info in file.infolist())
    elif (opened := _opened_tar(archive)) is not None:
        with opened as plain, tarfile.open(fileobj=cast("IO[bytes]", _Bounded(plain)), mode="r:") as tar:
            yield _tar_members(tar, plain)
    else:
        raise UsageError(f"{archive} is no archive that can be unpacked here ({', '.join(ENDINGS)})")


def _opened_tar(archive: Path) -> IO[bytes] | None:
    """Return the tar in an archive as plain bytes; None if there is none."""
    with archive.open("rb") as file:
        head = file.read(6)
    opened: IO[bytes]
    if head.startswith(b"\x1f\x8b"):
        opened = cast("IO[bytes]", gzip.GzipFile(archive))
    elif head.startswith(b"BZh"):
        opened = cast("IO[bytes]", bz2.BZ2File(archive))
    elif head.startswith(b"\xfd7zXZ\x00"):
        opened = cast("IO[bytes]", io.BufferedReader(_Xz(archive)))
    else:
        opened = archive.open("rb")
    try:
        first = opened.read(tarfile.BLOCKSIZE)
        tarfile.TarInfo.frombuf(first, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        opened.close()
        return None
    except _DAMAGE:
        opened.close()
        raise
    opened.seek(0)
    return opened


def _xz_decoder() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)


class _Xz(io.RawIOBase):
    """What an xz file holds, in bounded memory; it goes forward, or back to the beginning."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rewind()

    def _rewind(self) -> None:
        self._file.seek(0)
        self._decoder = _xz_decoder()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        wanted = offset if whence == io.SEEK_SET else self._at + offset
        if wanted < self._at:
            self._rewind()
        while self._at < wanted and self.readinto(bytearray(min(_BLOCK_BYTES, wanted - self._at))):
            pass
        return self._at

    def readinto(self, buffer: Any) -> int:
        rest = b""
        while True:
            if self._decoder.eof:  # another stream may follow
                rest = self._decoder.unused_data.lstrip(b"\0") or self._file.read(_BLOCK_BYTES).lstrip(b"\0")
                if not rest:
                    return 0
                self._decoder = _xz_decoder()
            data = rest or (self._file.read(_BLOCK_BYTES) if self._decoder.needs_input else b"")
            if self._decoder.needs_input and not data:
                raise EOFError("the archive ends in the middle")
            rest = b""
            found = self._decoder.decompress(data, len(buffer))
            if found:
                buffer[: len(found)] = found
                self._at += len(found)
                return len(found)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Bounded:
    """A tar as ``tarfile`` reads it: a header that would be read as one huge piece is refused."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, as files do."""
        if not 0 <= size <= max(MOST_HEADER_BYTES, _BLOCK_BYTES):
            raise tarfile.ReadError(f"a header of {size} bytes; at most {MOST_HEADER_BYTES} are read")
        return self._file.read(size)


def _tar_members(tar: tarfile.TarFile, plain: IO[bytes]) -> Iterator[Member]:
    """Walk through a tar; what it noted of the members before is forgotten, for there may be millions."""
    before = 0
    for info in tar:
        cast("Any", tar).members.clear()
        yield _tar_member(tar, info, info.offset_data - before)
        before = info.offset_data + (info.size if info.isreg() else 0)
    # What was compressed ends with a checksum, which is compared only when the end has been read.
    while plain.read(_BLOCK_BYTES):
        pass


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    known = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
    kind = "other" if not known else "folder" if info.is_dir() else "file"
    return Member(info.orig_filename, kind, info.file_size, lambda: file.open(info))


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo, cost: int) -> Member:
    kind = "file" if info.isreg() else "folder" if info.isdir() else "other"

    def read() -> IO[bytes]:
        content = tar.extractfile(info)
        if content is None:
            raise tarfile.TarError(f"{info.name} has no content")
        return content

    return Member(info.name, kind, info.size, read, cost)


def _safe_path(name: str) -> PurePosixPath:
    """Return the path of a member below the target; raises ``DataError`` for one that leads elsewhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.search(r"\\|\0|^[A-Za-z]:", name):
        raise DataError("the archive is not to be trusted", [f"{name!r} leads out of the folder it is unpacked in"])
    return path


def _judge(archive: Path, target: Path) -> tuple[int, int]:
    """Return how many bytes an archive unpacks to, and how many members are left out.

    Refuses names that stand twice, an archive that grows too much, and one that does not fit on the disk.
    """
    seen: set[bytes] = set()
    count = total = cost = left_out = 0
    size = archive.stat().st_size
    with _members(archive) as members:
        for member in members:
            count += 1
            cost += member.cost
            if count > MOST_MEMBERS:
                raise DataError("the archive is not to be trusted", [f"it has more than {MOST_MEMBERS} members"])
            if member.kind == "other":
                left_out += 1
            else:
                path = hashlib.blake2b(str(_safe_path(member.name)).encode(errors="surrogateescape"), digest_size=16)
                total += member.size
                if member.kind == "file":
                    if path.digest() in seen:
                        raise DataError("the archive is not to be trusted", [f"{member.name!r} stands in it twice"])
                    seen.add(path.digest())
            if max(total, cost) > MAX_GROWTH * size:
                text = f"{size} bytes that unpack to {max(total, cost)} or more: more than {MAX_GROWTH} times"
                raise DataError("the archive is not to be trusted", [text])
    free = shutil.disk_usage(target.parent).free
    if total > free:
        raise UsageError(f"{target.parent}: {free / 1e6:.0f} MB are free and {total / 1e6:.0f} MB are needed")
    return total, left_out


def _write(archive: Path, target: Path, total: int, progress: Progress) -> None:
    done = 0
    target.mkdir()
    with _members(archive) as members:
        for member in members:
            if member.kind == "other":
                continue
            place = target.joinpath(*_safe_path(member.name).parts)
            if member.kind == "folder":
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            left = member.size
            with member.read() as content, place.open("xb") as file:
                while block := content.read(_BLOCK_BYTES):
                    left -= len(block)
                    if left < 0:
                        text = f"{member.name!r} is longer than it declares"
                        raise DataError("the archive is not to be trusted", [text])
                    file.write(block)
                    done += len(block)
                    progress(done, total)
