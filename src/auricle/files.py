# SPDX-License-Identifier: Apache-2.0
"""Files: atomic writes, hashes, JSON, the folder lock, and what the names of recordings end with.

Whatever auricle writes, it writes beside its target and renames it there, so that a killed process, a full disk
or a power cut leaves the old file or the new one, never half of one. What killed writers left is swept up later:
the name of a temporary file says whose it is.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import json
import os
import re
import secrets
import shutil
import socket
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO, cast

from auricle.errors import RunError, UsageError

#: What a folder is searched for, in lower case. A file named explicitly is taken whatever its extension.
AUDIO_EXTENSIONS = frozenset(
    [
        ".aac",
        ".aif",
        ".aifc",
        ".aiff",
        ".au",
        ".caf",
        ".flac",
        ".m4a",
        ".m4b",
        ".mka",
        ".mkv",
        ".mov",
        ".mp2",
        ".mp3",
        ".mp4",
        ".oga",
        ".ogg",
        ".opus",
        ".rf64",
        ".snd",
        ".w64",
        ".wav",
        ".wave",
        ".webm",
        ".wma",
    ]
)
_TEMP_NAME = re.compile(r"\.auricle-(?:(\d+)-([0-9a-f]{8})-)?[0-9a-f]{16}\.tmp")
#: A temporary file whose writer cannot be judged from here is left alone for this long.
_ORPHAN_AGE_S = 24 * 3600
_HASH_BLOCK_BYTES = 1 << 20

PathLike = str | bytes | os.PathLike[str]


def atomic_write(path: PathLike, data: bytes | Callable[[BinaryIO], None]) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part.

    Args:
        path: the target; its folder must exist.
        data: the bytes, or a function that writes them to the open binary file it is given.
    """
    target = Path(os.fsdecode(path))
    temporary = temporary_beside(target)
    try:
        with temporary.open("xb") as file:
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def temporary_beside(target: Path) -> Path:
    """Return a new name in the folder of ``target``, for there alone is a rename atomic; it tells the writer."""
    return target.with_name(f".auricle-{os.getpid()}-{_machine()}-{secrets.token_hex(8)}.tmp")


def mirrored(folder: Path, path: str) -> Path:
    """Return where what belongs to the recording ``path`` lies in ``folder``, which has a tree like that of recordings.

    >>> mirrored(Path("labels"), "../archive/night.wav")
    PosixPath('labels/archive/night.wav')
    """
    parts = [part for part in Path(path).parts if part not in ("..", Path(path).anchor)]
    return folder.joinpath(*parts[:-1], printable(parts[-1]))


def sync_folder(folder: Path) -> None:
    """Make a rename durable: its place is the folder, which has to reach the disk too.

    Windows has no such call, and its file system keeps a journal of names by itself.
    """
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_orphans(folder: PathLike) -> int:
    """Remove what killed writers left in ``folder`` (not below it); returns how many files and folders.

    The temporary of a live process is never touched. One from another machine, or from before its restart, cannot
    be judged: it goes when it is a day old.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(os.fsdecode(folder)) as entries:
        return sum(_sweep(Path(entry.path)) for entry in entries if _TEMP_NAME.fullmatch(entry.name))
    return 0


def _sweep(path: Path) -> bool:
    """Remove a temporary if its writer is surely gone."""
    match = cast("re.Match[str]", _TEMP_NAME.fullmatch(path.name))
    try:
        ours = match[2] == _machine()
        if ours and _runs(int(match[1])):
            return False
        if not ours and time.time() - path.lstat().st_mtime < _ORPHAN_AGE_S:
            return False
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:  # somebody else swept it
        return False
    return True


def require_space(folder: PathLike, needed_bytes: int, what: str) -> None:
    """Refuse to begin what cannot be saved; raises ``RunError`` if the disk of ``folder`` has less room than needed."""
    free = shutil.disk_usage(os.fsdecode(folder)).free
    if free < needed_bytes:
        raise RunError(
            f"{os.fsdecode(folder)} has {free / 1e6:.1f} MB of free disk space, and {what} needs "
            f"{needed_bytes / 1e6:.1f} MB; free some space or choose another folder"
        )


def require_writable(folder: PathLike) -> None:
    """Refuse to begin what cannot be written at the end; raises ``RunError`` if no file can be made in ``folder``.

    A folder that is not there yet is judged by the nearest one above it.
    """
    wanted = place = Path(os.fsdecode(folder))
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        probe = temporary_beside(place / "x")
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise RunError(f"{wanted}: cannot write there ({error.strerror}); choose another place") from error


def write_json(path: PathLike, obj: Any) -> None:
    """Write ``obj`` as indented JSON, keys in the order given, atomically; NaN and infinity are refused."""
    text = json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(path, (text + "\n").encode("utf-8", "surrogateescape"))


def read_json(path: PathLike) -> Any:
    """Return the content of a JSON file; raises ``UsageError`` naming the file and the place of a mistake."""
    try:
        return json.loads(Path(os.fsdecode(path)).read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{os.fsdecode(path)} is no valid JSON: {error}") from error


def json_differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Yield the leaves in which two JSON trees differ, each as ``a.b was 1, is 2``.

    >>> list(json_differences({"a": {"b": 1, "c": 3}}, {"a": {"b": 2, "c": 3}}))
    ['a.b was 1, is 2']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(set(before) | set(now)):
            yield from json_differences(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
    elif before != now:
        yield f"{name} was {before!r}, is {now!r}"


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: PathLike) -> str:
    """Return the SHA-256 of a file's content, read in blocks."""
    digest = hashlib.sha256()
    with Path(os.fsdecode(path)).open("rb") as file:
        while block := file.read(_HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def allow_open_files(wanted: int) -> None:
    """Let this process hold ``wanted`` files open, as far as the system lets it: the usual 1,024 are few."""
    try:
        import resource  # noqa: PLC0415
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))


class FolderLock:
    """Hold a folder for one process: ``with FolderLock("models/yard"): ...``.

    The lock is a file ``lock`` that names process, boot and host. One left behind by a process that has died, or by
    another boot of this host, is taken over, also where its number has been given to another process since; a live
    one, or one of another host, raises ``RunError``.
    """

    def __init__(self, folder: PathLike) -> None:
        self.path = Path(os.fsdecode(folder)) / "lock"

    def __enter__(self) -> FolderLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            made = self._create()
        except OSError as error:
            raise RunError(
                f"{self.path.parent}: cannot write there ({error.strerror}); choose another folder"
            ) from error
        if not made:
            self._remove_stale()
            if not self._create():
                raise RunError(f"{self.path.parent} was taken by another process just now; choose another folder")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if _read_holder(self.path) == _identity():
            self.path.unlink(missing_ok=True)

    def _create(self) -> bool:
        """Make the lock file with its content in one step, by linking a finished one; False if there is one."""
        temporary = temporary_beside(self.path)
        temporary.write_text(json.dumps(_identity()))
        try:
            self.path.hardlink_to(temporary)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def _remove_stale(self) -> None:
        """Remove the lock of a dead process; raises ``RunError`` if it may be alive.

        The file is moved away before it is judged, so that of two processes that take over at once only one can
        remove it, and neither removes the lock that the other has just made.
        """
        moved = temporary_beside(self.path)
        try:
            self.path.replace(moved)
        except FileNotFoundError:
            return
        holder = _read_holder(moved)
        if _is_alive(holder):
            with contextlib.suppress(FileExistsError):
                self.path.hardlink_to(moved)
            moved.unlink()
            raise RunError(
                f"{self.path.parent} is in use by process {holder.get('pid')} on {holder.get('host')}; "
                f"wait for it or choose another folder (if it is surely dead, delete {self.path})"
            )
        moved.unlink()


def _read_holder(path: Path) -> dict[str, Any]:
    """Return what a lock file says, or nothing if it is gone or damaged."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _identity() -> dict[str, Any]:
    """Return what tells this process from all others, now and after a restart of the machine."""
    pid = os.getpid()
    return {"pid": pid, "boot": _boot_id(), "host": socket.gethostname(), "started": _started(pid)}


@functools.cache
def _machine() -> str:
    """Return eight digits that stand for this boot of this host, as its processes are numbered here."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no real path; containers number for themselves
    except OSError:
        numbering = ""
    return sha256_bytes(f"{socket.gethostname()} {_boot_id()} {numbering}".encode())[:8]


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # no Linux: a pid alone has to do
        return ""


def _process_status(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` from the state on; nothing where there is no such file."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> str:
    """Return when a process began, in ticks since the boot; nothing where that cannot be known."""
    status = _process_status(pid)
    return status[19] if len(status) > 19 else ""


def _is_alive(holder: dict[str, Any]) -> bool:
    """Tell whether the process that a lock names may still run."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid < 1:
        return False
    if holder.get("host") != socket.gethostname():
        return True  # cannot be known from here
    if holder.get("boot") != _boot_id() or not _runs(pid):
        return False
    return holder.get("started") in (None, "", _started(pid))


def _runs(pid: int) -> bool:
    """Tell whether a process of this number does anything still; one that only waits to be buried does not."""
    if sys.platform == "win32":  # there, signal 0 is Ctrl-C
        return _runs_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _process_status(pid)[:1] != ["Z"]


def _runs_on_windows(pid: int) -> bool:
    """Tell it by the exit code that Windows keeps: 259 while a process runs. One that may not be opened is there."""
    kernel = importlib.import_module("ctypes").windll.kernel32
    handle = kernel.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
    if not handle:
        return bool(kernel.GetLastError() == 5)  # ERROR_ACCESS_DENIED
    code = importlib.import_module("ctypes.wintypes").DWORD()
    kernel.GetExitCodeProcess(handle, importlib.import_module("ctypes").byref(code))
    kernel.CloseHandle(handle)
    return bool(code.value == 259)


#: What begins an address; a path on the command line has lost one of its slashes.
_ADDRESS = re.compile(r"(?:https?|ftps?|s3|gs|hdfs|wss?)://?[^/]", re.IGNORECASE)


def address_note(text: str) -> str | None:
    """Return what is wrong with an address where a file is wanted, and what to do; None for what is none.

    >>> address_note("https://example.org/a.wav"), address_note("https_sounds/a.wav")
    ('https://example.org/a.wav is an address, and auricle reads files of this machine: download it first', None)
    """
    if not _ADDRESS.match(text):
        return None
    return f"{printable(text)} is an address, and auricle reads files of this machine: download it first"


def printable(text: str) -> str:
    r"""Escape control characters and undecodable bytes, so that a file name cannot steer a terminal.

    >>> printable("a\x1b[2J\nb")
    'a\\x1b[2J\\nb'
    """
    return "".join(c.encode("unicode_escape").decode() if _unsafe(c) else c for c in text)


def json_line(value: Any) -> str:
    r"""Return JSON on one line whose names cannot steer a terminal either: what JSON may leave as it is, is escaped.

    >>> json_line({"path": "a\x9b2Jé"})
    '{"path": "a\\u009b2Jé"}\n'
    """
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = "".join(json.dumps(c)[1:-1] if _unsafe(c) else c for c in text)
    return text + "\n"


def for_terminal(text: str, stream: TextIO) -> str:
    """Return the lines of a table as they are, or on a terminal with whatever would steer it escaped."""
    return "".join(c if c in "\n\t" else printable(c) for c in text) if stream.isatty() else text


def _unsafe(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp", "Cf"}
