# SPDX-License-Identifier: Apache-2.0
"""Archives of strangers, unpacked so that they can do no harm.

Every member is a plain file or a folder below the target. A name that leads out of it, or stands twice, makes the
whole archive refused; links and devices are left out and counted. What is written is counted too, so that an archive
cannot fill the disk beyond what it declares, and that is compared with the room there is before anything is written.
"""

from __future__ import annotations

import gzip
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
from typing import IO

from auricle.errors import DataError, UsageError

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
#: Sound that was compressed before hardly shrinks; an archive that grows more than this is no data set.
MAX_GROWTH = 50
_BLOCK_BYTES = 1 << 20
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
        read: opens the content.
    """

    name: str
    kind: str
    size: int
    read: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path, progress: Progress) -> int:
    """Unpack an archive into the folder ``target``, which is made; returns how many links and devices were left out.

    Raises:
        DataError: the archive is damaged, or a member's name is not to be trusted.
        UsageError: it is no archive that is known, or the disk is too small.
    """
    try:
        with _members(archive) as members:
            wanted = [(m, _safe_path(m.name)) for m in members if m.kind != "other"]
            _check(archive, target, wanted)
            _write(wanted, target, progress)
            return len(members) - len(wanted)
    except _DAMAGE as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{archive.name} cannot be unpacked", [f"{reason or type(error).__name__}; get it again"]
        ) from error


@contextmanager
def _members(archive: Path) -> Iterator[list[Member]]:
    """Open an archive and list what is in it."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield [_zip_member(file, info) for info in file.infolist()]
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            members = [_tar_member(tar, info) for info in tar]
            # What was compressed ends with a checksum, which is compared only when the end has been read.
            while tar.fileobj is not None and tar.fileobj.read(_BLOCK_BYTES):
                pass
            yield members
    else:
        raise UsageError(f"{archive} is no archive that can be unpacked here ({', '.join(ENDINGS)})")


def _zip_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    mode = info.external_attr >> 16
    known = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
    kind = "other" if not known else "folder" if info.is_dir() else "file"
    return Member(info.orig_filename, kind, info.file_size, lambda: file.open(info))


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    kind = "file" if info.isreg() else "folder" if info.isdir() else "other"

    def read() -> IO[bytes]:
        content = tar.extractfile(info)
        if content is None:
            raise tarfile.TarError(f"{info.name} has no content")
        return content

    return Member(info.name, kind, info.size, read)


def _safe_path(name: str) -> PurePosixPath:
    """Return the path of a member below the target; raises ``DataError`` for one that leads elsewhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.search(r"\\|\0|^[A-Za-z]:", name):
        raise DataError("the archive is not to be trusted", [f"{name!r} leads out of the folder it is unpacked in"])
    return path


def _check(archive: Path, target: Path, members: list[tuple[Member, PurePosixPath]]) -> None:
    """Refuse names that stand twice, an archive that grows too much, and one that does not fit on the disk."""
    seen: set[PurePosixPath] = set()
    for member, path in members:
        if member.kind == "file":
            if path in seen:
                raise DataError("the archive is not to be trusted", [f"{member.name!r} stands in it twice"])
            seen.add(path)
    total = sum(member.size for member, _ in members)
    size = archive.stat().st_size
    if total > MAX_GROWTH * size:
        raise DataError(
            "the archive is not to be trusted", [f"{size} bytes that unpack to {total}: more than {MAX_GROWTH} times"]
        )
    free = shutil.disk_usage(target.parent).free
    if total > free:
        raise UsageError(f"{target.parent}: {free / 1e6:.0f} MB are free and {total / 1e6:.0f} MB are needed")


def _write(members: list[tuple[Member, PurePosixPath]], target: Path, progress: Progress) -> None:
    total = sum(member.size for member, _ in members)
    done = 0
    target.mkdir()
    for member, path in members:
        place = target.joinpath(*path.parts)
        if member.kind == "folder":
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        left = member.size
        with member.read() as content, place.open("xb") as file:
            while block := content.read(_BLOCK_BYTES):
                left -= len(block)
                if left < 0:
                    raise DataError("the archive is not to be trusted", [f"{member.name!r} is longer than it declares"])
                file.write(block)
                done += len(block)
                progress(done, total)
