# SPDX-License-Identifier: Apache-2.0
"""Fetch a public data set: download or take a file, check, unpack, make ready for training.

OUT/fetched.json      what was fetched, from where, when, and its SHA-256: the sign that all is done
OUT/.fetch/           the download, and what is being unpacked; removed at the end
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auricle.data.fetch.archive import unpack
from auricle.data.fetch.catalogue import SOURCES, Source
from auricle.data.fetch.download import download
from auricle.errors import DataError, RunError, UsageError
from auricle.files import FolderLock, read_json, write_json
from auricle.output_folder import OutputFolder

RECORD = "fetched.json"
WORK = ".fetch"

#: Called with what is being done, how many bytes of it are done, and how many there are (None: not known).
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class FetchReport:
    """What a fetch left.

    Attributes:
        name: of the data set.
        path: what ``auricle train`` is to be given.
        sha256: of the archive.
        verified: whether a published checksum was met; else the checksum is only recorded.
        left_out: links and devices in the archive that were not unpacked, and files called like auricle's own.
    """

    name: str
    path: str
    sha256: str
    verified: bool
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle data fetch``."""
        return {
            "name": self.name,
            "path": self.path,
            "sha256": self.sha256,
            "verified": self.verified,
            "left_out": self.left_out,
        }


def terms_of(name: str) -> str:
    """Return what a user must see before a download: what it is, how large, and under which licence."""
    source = SOURCES.get(name)
    checked = (
        "published checksum" if source.sha256 is not None else "no published checksum known: recorded, not verified"
    )
    return "\n".join(
        [
            source.title,
            f"  from     {source.url}",
            f"  size     {source.bytes / 1e6:,.0f} MB to download ({checked})",
            f"  licence  {source.licence}",
            f"           {source.licence_url}",
            f"  about    {source.homepage}",
        ]
    )


def fetch(
    name: str, out: Path, progress: Progress, *, archive: Path | None = None, url: str | None = None
) -> FetchReport:
    """Fetch a data set into ``out``; the caller has shown ``terms_of`` and been told to continue.

    Args:
        name: of ``sources.SOURCES``.
        out: a new or empty folder, or one in which a fetch of the same data set was interrupted.
        progress: called with what is being done.
        archive: a file that was fetched by other means; nothing is downloaded then.
        url: another address than the official one, such as a mirror.

    Raises:
        RunError: ``out`` holds other things, or is in use.
        DataError: the checksum is not the published one, or the archive is damaged or not to be trusted.
    """
    source = SOURCES.get(name)
    if archive is not None and not archive.is_file():
        raise UsageError(f"--from {archive}: no such file")
    _check_folder(name, out)
    if (out / RECORD).is_file():
        return _finished(out)
    work = out / WORK
    with FolderLock(work):
        address = source.url if url is None else url
        if archive is None:
            archive = work / source.archive
            if not archive.is_file():
                download(address, archive, lambda done, total: progress("download", done, total))
            origin = address
        else:
            origin = str(archive)
        digest = _checked(source, archive, progress)
        unpacked = work / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        left_out = unpack(archive, unpacked, lambda done, total: progress("unpack", done, total))
        left_out += _move_up(unpacked, out)
        path = source.prepare(out)
        report = FetchReport(name, str(path), digest, source.sha256 is not None, left_out)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        terms = {"licence": source.licence, "licence_url": source.licence_url, "homepage": source.homepage}
        write_json(out / RECORD, {"report": report.to_dict(), "from": origin, "fetched": when, **terms})
    shutil.rmtree(work)
    return report


def _check_folder(name: str, out: Path) -> None:
    """Refuse a folder that holds other things than this data set."""
    if (out / RECORD).is_file():
        found = _finished(out).name
        if found != name:
            raise RunError(f"{out} holds the data set {found}; choose another folder")
        return
    if not (out / WORK).is_dir():
        OutputFolder(out).require_new()


def _finished(out: Path) -> FetchReport:
    """Return what the record of an earlier fetch says; raises ``RunError`` for one that is none."""
    try:
        report = FetchReport(**read_json(out / RECORD)["report"])
        kinds = {"name": str, "path": str, "sha256": str, "verified": bool, "left_out": int}
        wrong = [name for name, kind in kinds.items() if type(getattr(report, name)) is not kind]
    except (UsageError, TypeError, LookupError, OSError):
        wrong = [RECORD]
    if wrong:
        raise RunError(f"{out / RECORD} is damaged ({wrong[0]}); fetch the data set into another folder")
    return report


def _checked(source: Source, archive: Path, progress: Progress) -> str:
    """Return the SHA-256 of an archive; raises ``DataError`` if it is not the published one."""
    total, done, digest = archive.stat().st_size, 0, hashlib.sha256()
    with archive.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            done += len(block)
            progress("check", done, total)
    found = digest.hexdigest()
    if source.sha256 is not None and found != source.sha256:
        raise DataError(
            f"{archive.name} is not the published file",
            [
                f"SHA-256 {found}, {total} bytes",
                f"published ({source.checksum_from}): {source.sha256}, {source.bytes} bytes",
                f"delete {archive} and fetch it again",
            ],
        )
    return found


def _move_up(unpacked: Path, out: Path) -> int:
    """Move what was unpacked into ``out``, without the one folder around it that many archives have.

    What is called like a record of ours stays behind: it would be believed. Returns how many there were.
    """
    inside = list(unpacked.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        inside = list(inside[0].iterdir())
    ours = [path for path in inside if path.name.casefold() in (RECORD, WORK)]
    for path in inside:
        if path in ours:
            continue
        target = out / path.name
        if target.is_dir() and not target.is_symlink():  # of a fetch that was interrupted while it moved
            shutil.rmtree(target)
        path.replace(target)
    return len(ours)
