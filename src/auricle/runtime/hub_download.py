# SPDX-License-Identifier: Apache-2.0
"""Models from the Hugging Face hub: ``hf:org/name``, ``hf:org/name@revision``. Nothing of a repository is run.

A revision becomes a commit, and a commit is fetched once into a folder of real files (the hub's own cache is made of
links, which model folders may not hold). Only what ``auricle.json`` lists is fetched, from the hub and its storage
alone, and used only if it has the hashes that stand there. Without a network, or with ``HF_HUB_OFFLINE``, the commit
that a revision was last is used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from auricle.errors import AuricleError, BundleError, UsageError
from auricle.files import atomic_write, printable, sha256_file
from auricle.runtime.spec import parse_spec

log = logging.getLogger(__name__)

PREFIX = "hf:"
SPEC_FILE = "auricle.json"
CARD_FILE = "README.md"
#: Endings of files that are code, or that run code when they are loaded.
CODE_ENDINGS = frozenset(
    [".py", ".pyc", ".so", ".dll", ".sh", ".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".h5", ".keras"]
)
_NAME = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@([\w.-]+(?:/[\w.-]+)*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
#: Hosts of the hub itself and of its storage; also theirs below.
_STORAGE = ("huggingface.co", "hf.co")
_UNFINISHED = ".part-"


def read_hub_name(name: str) -> tuple[str, str | None]:
    """Return repository and revision of ``hf:org/name@revision``.

    >>> read_hub_name("hf:org/yard@v1"), read_hub_name("hf:org/yard")
    (('org/yard', 'v1'), ('org/yard', None))
    """
    found = _NAME.fullmatch(name.removeprefix(PREFIX))
    if found is None or ".." in name:
        raise UsageError(
            f"{name!r} is not the name of a model on the hub: expected hf:org/name or hf:org/name@revision"
        )
    return found[1], found[2]


def hub_client() -> Any:
    """Return the module ``huggingface_hub``.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import huggingface_hub  # noqa: PLC0415 (an extra; only the hub needs it)
    except ImportError as error:
        raise UsageError("the Hugging Face hub needs huggingface_hub: pip install 'auricle[hub]'") from error
    return huggingface_hub


def download_model(name: str, cache: Path) -> Path:
    """Fetch a model folder from the hub, or find it where an earlier call put it; return the folder.

    Args:
        name: ``hf:org/name`` or ``hf:org/name@revision``: a branch, a tag or a commit.
        cache: folder of downloads.

    Raises:
        UsageError: no such model, a repository that is none of auricle's or holds code, or no network and no copy.
        BundleError: a file is not what ``auricle.json`` says.
    """
    repository, revision = read_hub_name(name)
    hub = hub_client()
    home = cache / "hub" / repository.replace("/", "--")
    mark = home / "revisions" / quote(revision or "main", safe="")
    try:
        info = None if hub.is_offline_mode() else _ask(hub, repository, revision)
    except _UnreachableError as error:
        log.warning("%s: the hub cannot be reached (%s); looking for an earlier copy", name, error)
        info = None
    except Exception as error:  # the hub's client raises many kinds; all mean the same here
        raise UsageError(f"{name} could not be fetched from the hub: {_first_line(error)}") from error
    if info is None:
        return _earlier(name, home, mark, revision)
    commit = str(info.sha)
    if not _COMMIT.fullmatch(commit):
        raise UsageError(f"{name}: the hub names the commit {printable(commit[:60])!r}, which is none")
    folder = home / commit
    if not folder.is_dir():
        names = [str(sibling.rfilename) for sibling in info.siblings or ()]
        _refuse_names(name, names)
        _fetch(hub, name, repository, commit, names, folder)
    mark.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(mark, commit.encode())
    return folder


class _UnreachableError(Exception):
    """Nobody answered."""


def _ask(hub: Any, repository: str, revision: str | None) -> Any:
    """Return what the hub knows of a revision."""
    try:
        return hub.HfApi().model_info(repository, revision=revision)
    except Exception as error:
        if getattr(error, "response", None) is None:
            raise _UnreachableError(_first_line(error)) from error
        raise


def _earlier(name: str, home: Path, mark: Path, revision: str | None) -> Path:
    """Return the folder of the commit that a revision was when it was last asked for."""
    commit = revision or ""
    with contextlib.suppress(OSError):
        commit = mark.read_text("ascii").strip()
    if _COMMIT.fullmatch(commit) and (folder := home / commit).is_dir():
        return folder
    raise UsageError(f"{name} is not in {home}, and the hub cannot be asked now; fetch it once with a network")


def _refuse_names(name: str, files: list[str]) -> None:
    """Refuse a repository that is no model of auricle's, or holds what could be run."""
    for file in files:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or "\\" in file or ":" in file:
            raise UsageError(f"{name}: the repository names a file outside of itself: {printable(file[:100])}")
        if path.suffix.lower() in CODE_ENDINGS:
            raise UsageError(
                f"{name}: the repository holds {printable(file[:100])}: code, or a pickle that can run code. Models of "
                "auricle hold none; `auricle models import` takes checkpoints of others"
            )
    if SPEC_FILE not in files:
        raise UsageError(
            f"{name} is no model of auricle: it has no {SPEC_FILE}. A model of others: `auricle models import {name}`"
        )


def _fetch(hub: Any, name: str, repository: str, commit: str, names: list[str], folder: Path) -> None:
    """Fetch what ``auricle.json`` lists, check it, and give it its name when all of it is there."""
    part = folder.with_name(_UNFINISHED + commit)
    part.mkdir(parents=True, exist_ok=True)
    _take(hub, name, repository, commit, SPEC_FILE, part)
    spec = parse_spec((part / SPEC_FILE).read_bytes(), name)
    if missing := [file for file in spec.sha256 if file not in names]:
        raise UsageError(f"{name}: {SPEC_FILE} lists {printable(missing[0])}, which is not in the repository")
    for file in [*spec.sha256, *(file for file in (CARD_FILE,) if file in names)]:
        _take(hub, name, repository, commit, file, part)
    shutil.rmtree(part / ".cache", ignore_errors=True)
    for file, expected in spec.sha256.items():
        if (found := sha256_file(part / file)) != expected:
            size = (part / file).stat().st_size
            shutil.rmtree(part)
            raise BundleError(
                f"{name}: {file} is damaged or was changed: its {size} bytes have SHA-256 {found[:12]}…, {SPEC_FILE} "
                f"says {expected[:12]}…; ask whoever published it"
            )
    try:
        part.rename(folder)
    except OSError:
        if not folder.is_dir():  # another process was faster
            raise
        shutil.rmtree(part, ignore_errors=True)


def _take(hub: Any, name: str, repository: str, commit: str, file: str, part: Path) -> None:
    """Fetch one file from the hub or its storage; what came before a break is kept."""
    url = hub.hf_hub_url(repository, file, revision=commit)
    log.info("fetching %s", url)
    try:
        place = str(hub.get_hf_file_metadata(url).location)
        if not _is_of_the_hub(place, url):
            raise UsageError(
                f"{name}: {file} leads to the host {printable(str(urlsplit(place).hostname))}, which is not of the hub"
            )
        hub.hf_hub_download(repository, file, revision=commit, local_dir=part)
    except AuricleError:
        raise
    except Exception as error:
        raise UsageError(f"{name}: {file} could not be fetched from the hub: {_first_line(error)}") from error


def _is_of_the_hub(place: str, url: str) -> bool:
    """Tell whether a redirection stays with the hub that was asked, or its storage."""
    there, asked = urlsplit(place), urlsplit(url)
    if (there.scheme, there.netloc) == (asked.scheme, asked.netloc):
        return True
    host = (there.hostname or "").lower()
    return there.scheme == "https" and any(host == known or host.endswith(f".{known}") for known in _STORAGE)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return printable(text.splitlines()[0]) if text else type(error).__name__


def cache_folder() -> Path:
    """Return where downloads are kept, by the XDG rule."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "auricle"
