# SPDX-License-Identifier: Apache-2.0
"""A journal of many pieces of work: each is done once, and recorded once, however often the run is killed.

    start_journal(folder, plan, items)                  # what is to be done, and how: written once
    with open_journal(folder, plan) as journal:         # again and again, until all is done
        for index, item in journal.pending():           # what has no record yet
            journal.record(index, work(item))           # one line, appended; kept from here on
        for index, item, value in journal.results():    # in the order of the items
            ...

The folder holds three files: ``inputs``, a line an item; ``plan.json``, which appears when ``inputs`` is whole, with
the SHA-256 of both; and
``records``, a line a finished item: CRC-32, then ``[index, value]`` as JSON. A line that was torn by a kill or a power
cut is found by its checksum and dropped, so its item is done again. Items and values are anything that JSON holds.

One process writes. Others may do the work and hand it the values, in any order and even twice: the first counts.
In memory an item costs 8 bytes.
"""

from __future__ import annotations

import errno
import json
import os
import time
import zlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from auricle.errors import AuricleError, RunError
from auricle.files import (
    atomic_write,
    json_differences,
    read_json,
    sha256_bytes,
    sha256_file,
    sweep_orphans,
    write_json,
)

#: Records are forced to the disk this often: a power cut costs no more work than that, a kill costs none.
SYNC_EVERY_S = 2.0

_FORMAT = 1
_INPUTS, _PLAN, _RECORDS = "inputs", "plan.json", "records"
#: Of opening the records; Windows lets children inherit nothing by default, but would translate line ends.
_FLAGS = os.O_RDWR | os.O_CREAT | sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_BINARY"))
_PREFIX_BYTES = 9


def start_journal(folder: Path, plan: dict[str, Any], items: Iterable[Any]) -> None:
    """Write down what is to be done. Until this has ended there is no journal: ``has_journal`` is False.

    Args:
        folder: made if absent; an older journal in it is replaced.
        plan: what decides the values, such as model and options. ``open_journal`` must be given an equal one.
        items: taken one by one and never held together.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep_orphans(folder)
    (folder / _PLAN).unlink(missing_ok=True)
    total = 0

    def write(file: BinaryIO) -> None:
        nonlocal total
        for item in items:
            file.write(json.dumps(item).encode() + b"\n")
            total += 1

    atomic_write(folder / _INPUTS, write)
    atomic_write(folder / _RECORDS, b"")
    stored = {"journal": _FORMAT, "items": total, "inputs": sha256_file(folder / _INPUTS), "plan": plan}
    write_json(folder / _PLAN, {**stored, "seal": _seal(stored)})


def has_journal(folder: Path) -> bool:
    """Tell whether a journal was started in ``folder``, finished or not."""
    return (folder / _PLAN).is_file()


def open_journal(folder: Path, plan: dict[str, Any]) -> Journal:
    """Open a journal to resume it.

    Raises:
        RunError: it was started with another plan (says in what they differ) or by a newer auricle.
    """
    stored = _read_plan(folder)
    differences = list(json_differences(stored["plan"], plan))
    if differences:
        raise RunError(
            f"{folder} cannot continue: it was started differently: {'; '.join(differences)}; "
            "give the same options, or start anew with --overwrite or in another folder"
        )
    journal = Journal(folder, stored["items"])
    if not (folder / _INPUTS).is_file() or sha256_file(folder / _INPUTS) != stored["inputs"]:
        with journal:
            for _ in journal.items():  # says where the damage is, if that can be seen
                pass
        advice = "start anew with --overwrite or in another folder"
        raise RunError(f"{folder / _INPUTS} is damaged or was changed; {advice}")
    return journal


def _read_plan(folder: Path) -> dict[str, Any]:
    """Return what ``start_journal`` wrote; raises ``RunError`` if it is damaged or of another format."""
    stored = read_json(folder / _PLAN)
    if not isinstance(stored, dict):
        raise RunError(f"{folder / _PLAN} is damaged; start anew")
    if stored.get("journal") != _FORMAT:
        raise RunError(f"{folder} has format {stored.get('journal')}, this auricle reads {_FORMAT}; start anew")
    items = stored.get("items")
    most = (folder / _INPUTS).stat().st_size if (folder / _INPUTS).is_file() else 0
    if "plan" not in stored or type(items) is not int or not 0 <= items <= most:  # an item takes a byte or more
        raise RunError(f"{folder / _PLAN} is damaged, or not of the inputs beside it; start anew")
    seal = stored.pop("seal", None)
    if set(stored) != {"journal", "items", "inputs", "plan"} or seal != _seal(stored):
        raise RunError(f"{folder / _PLAN} is damaged or was changed; start anew with --overwrite or in another folder")
    return stored


def _seal(stored: dict[str, Any]) -> str:
    """Return the SHA-256 of a plan, however it is laid out."""
    return sha256_bytes(json.dumps(stored, sort_keys=True).encode())


class Journal:
    """An open journal; made by ``open_journal``, closed by ``with`` or ``close``.

    Attributes:
        total: number of items.
        done: number of items with a record.
        damaged: torn or damaged records that were dropped when the journal was opened.
    """

    def __init__(self, folder: Path, total: int) -> None:
        self._folder = folder
        self.total, self.done, self.damaged = total, 0, 0
        self._offsets = array("q", [-1]) * total  # where the record of an item begins; -1: none
        self._file = os.open(folder / _RECORDS, _FLAGS, 0o666)
        self._end = self._read_back()
        os.ftruncate(self._file, self._end)
        self._synced_at = time.monotonic()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Force all records to the disk and close the file."""
        self.sync()
        os.close(self._file)

    def items(self) -> Iterator[Any]:
        """Yield all items in their order; raises ``RunError`` where the file is not what was written."""
        path = self._folder / _INPUTS
        count = 0
        with path.open("rb") as file:
            for count, line in enumerate(file, 1):
                try:
                    item = json.loads(line)
                except ValueError as error:
                    raise RunError(f"{path} is damaged in line {count}; start anew") from error
                if count <= self.total:
                    yield item
        if count != self.total:
            raise RunError(f"{path} is damaged: {count} items of {self.total}; start anew")

    def pending(self) -> Iterator[tuple[int, Any]]:
        """Yield index and item of what has no record, each once."""
        for index, item in enumerate(self.items()):
            if self._offsets[index] < 0:
                yield index, item

    def record(self, index: int, value: Any) -> bool:
        """Keep the value of an item; False, and nothing is written, if it has one already.

        Raises:
            AuricleError: the disk is full or fails; what was recorded before stays.
        """
        if self._offsets[index] >= 0:
            return False
        text = json.dumps([index, value], separators=(",", ":")).encode()
        self._append(_line(text))
        self._offsets[index] = self._end
        self._end = os.lseek(self._file, 0, os.SEEK_CUR)
        self.done += 1
        if time.monotonic() - self._synced_at >= SYNC_EVERY_S:
            self.sync()
        return True

    def sync(self) -> None:
        """Force all records to the disk."""
        os.fsync(self._file)
        self._synced_at = time.monotonic()

    def results(self) -> Iterator[tuple[int, Any, Any]]:
        """Yield index, item and value of all that has a record, in the order of the items."""
        with (self._folder / _RECORDS).open("rb") as records:
            for index, item in enumerate(self.items()):
                offset = self._offsets[index]
                if offset >= 0:
                    if records.tell() != offset:
                        records.seek(offset)
                    yield index, item, json.loads(records.readline()[_PREFIX_BYTES:])[1]

    def _append(self, line: bytes) -> None:
        os.lseek(self._file, self._end, os.SEEK_SET)
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            os.ftruncate(self._file, self._end)
            advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "check the disk"
            raise AuricleError(
                f"{self._folder}: {error.strerror} after {self.done} of {self.total}, which are kept; "
                f"{advice}, then continue with --resume"
            ) from error

    def _read_back(self) -> int:
        """Find the records of earlier runs; returns where the last whole one ends."""
        end = 0
        with (self._folder / _RECORDS).open("rb") as file:
            offset = 0
            for line in file:
                index = _index_of(line)
                if index is None or not 0 <= index < self.total:
                    self.damaged += 1
                else:
                    if self._offsets[index] < 0:
                        self._offsets[index] = offset
                        self.done += 1
                    end = offset + len(line)
                offset += len(line)
        return end


def _index_of(line: bytes) -> int | None:
    """Return the index of a whole record, None for a torn or damaged one."""
    text = line[_PREFIX_BYTES:-1]
    if not text or line != _line(text):
        return None
    return int(text[1 : text.index(b",")])


def _line(text: bytes) -> bytes:
    """Return the line of a record: a checksum, a space, the record."""
    return b"%08x %s\n" % (zlib.crc32(text), text)
