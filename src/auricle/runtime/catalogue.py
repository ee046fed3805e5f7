# SPDX-License-Identifier: Apache-2.0
"""Published models of others that ``auricle models fetch`` knows, and where they lie on this machine.

``catalogue.json`` holds their official addresses, licences, sizes, and the SHA-256 where one was read in a source that
states it; the others are recorded when they come, and called unverified. The addresses were read in the documents and
the code of their authors; none was visited from where auricle is developed.

A model that was fetched is a folder of the user's data folder, and its name goes wherever a teacher or a model to
import is named.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auricle.data.fetch.download import download
from auricle.errors import DataError, UsageError
from auricle.files import FolderLock, read_json, sha256_file, write_json
from auricle.registry import nearest

RECORD = "fetched.json"
_CATALOGUE = Path(__file__).with_name("catalogue.json")
#: Called with the name of a file, how many bytes of it are there, and how many there will be (None: not known).
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class ModelFile:
    """A file of a published model; ``bytes`` are about right where there is no ``sha256``."""

    name: str
    url: str
    bytes: int
    sha256: str | None


@dataclass(frozen=True)
class PublishedModel:
    """A published model: the first of its files is what a teacher is opened by; several beside it belong to it."""

    name: str
    title: str
    licence: str
    licence_url: str
    homepage: str
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes to fetch."""
        return sum(file.bytes for file in self.files)

    @property
    def verified(self) -> bool:
        """Whether the hash of the weights stands in the catalogue."""
        return self.files[0].sha256 is not None

    def terms(self) -> str:
        """Return what a user must see before a download."""
        checked = "its SHA-256 is known" if self.verified else "unverified: no SHA-256 known, recorded when it comes"
        return "\n".join(
            [
                self.title,
                f"  from     {self.files[0].url}",
                f"  size     {self.size / 1e6:,.0f} MB to download ({checked})",
                f"  licence  {self.licence}",
                f"           {self.licence_url}",
                f"  about    {self.homepage}",
            ]
        )


@dataclass(frozen=True)
class FetchedModel:
    """A model of the catalogue on this machine.

    Attributes:
        name: in the catalogue.
        path: what a teacher is opened by.
        sha256: of each file.
        verified: whether the hash of the weights is the one of the catalogue.
    """

    name: str
    path: str
    sha256: Mapping[str, str]
    verified: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle models fetch``."""
        return {"name": self.name, "path": self.path, "sha256": dict(self.sha256), "verified": self.verified}


@functools.cache
def catalogue() -> Mapping[str, PublishedModel]:
    """Return the models that are known, by name."""
    found = json.loads(_CATALOGUE.read_text("utf-8"))
    return {
        name: PublishedModel(name, **{**item, "files": tuple(ModelFile(**file) for file in item["files"])})
        for name, item in found.items()
    }


def published(name: str) -> PublishedModel:
    """Return a model of the catalogue; raises ``UsageError`` for one that is not there."""
    known = catalogue()
    if name not in known:
        raise UsageError(f"no model {name!r} in the catalogue{nearest(name, list(known))}; known: {', '.join(known)}")
    return known[name]


def data_folder() -> Path:
    """Return where what a user fetches is kept: ``AURICLE_HOME``, else where the platform keeps data of programs."""
    if home := os.environ.get("AURICLE_HOME"):
        return Path(home).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "auricle"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "auricle"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "auricle"


def model_home(name: str) -> Path:
    """Return the folder of a model of the catalogue, whether it is there or not."""
    return data_folder() / "models" / name


def fetched_model(name: str) -> FetchedModel | None:
    """Return a model of the catalogue that is on this machine, else None."""
    model, home = catalogue().get(name), model_home(name)
    if model is None or not (home / RECORD).is_file():
        return None
    record = read_json(home / RECORD)
    return FetchedModel(name, str(_opened_by(model, home)), record["sha256"], bool(record["verified"]))


def source_of_name(name: str) -> str:
    """Return the path of a model of the catalogue, or a name that is none of these as it is.

    Raises:
        UsageError: it is in the catalogue and not on this machine.
    """
    if name not in catalogue() or Path(name).exists():
        return name
    found = fetched_model(name)
    if found is None:
        raise UsageError(f"{name} is not on this machine: auricle models fetch {name}")
    return found.path


def _opened_by(model: PublishedModel, home: Path) -> Path:
    """Return the checkpoint, or the folder where that is of transformers."""
    names = {file.name for file in model.files}
    return home if "config.json" in names else home / model.files[0].name


def fetch_model(name: str, progress: Progress, source: Path | None = None) -> FetchedModel:
    """Fetch a model into the user's data folder; one that was interrupted continues.

    Args:
        name: in the catalogue.
        progress: is told how far it is.
        source: its file or the folder with its files, fetched by other means; what is missing there is downloaded.

    Raises:
        UsageError: no such model or file, or the server says no.
        DataError: a file has another hash than the catalogue says.
    """
    model = published(name)
    if source is not None and not source.exists():
        raise UsageError(f"--from {source}: no such file or folder")
    home = model_home(name)
    if (found := fetched_model(name)) is not None and source is None:
        return found
    home.mkdir(parents=True, exist_ok=True)
    with FolderLock(home):
        hashes = {file.name: _bring(model, file, home, progress, source) for file in model.files}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        origin = model.files[0].url if source is None else str(source)
        terms = {"licence": model.licence, "licence_url": model.licence_url, "homepage": model.homepage}
        record = {"name": name, "from": origin, "fetched": when, "sha256": hashes, "verified": model.verified}
        write_json(home / RECORD, {**record, **terms})
    return FetchedModel(name, str(_opened_by(model, home)), hashes, model.verified)


def _bring(model: PublishedModel, file: ModelFile, home: Path, progress: Progress, source: Path | None) -> str:
    """Bring one file, and return its hash, which must be that of the catalogue if one stands there."""
    target = home / file.name
    given = None if source is None else _given(model, file, source)
    if given is not None:
        digest = _checked(given, file)
        shutil.copyfile(given, target)
        return digest
    if not target.is_file():
        download(file.url, target, lambda done, total: progress(file.name, done, total))
    try:
        return _checked(target, file)
    except DataError:
        target.unlink()
        raise


def _given(model: PublishedModel, file: ModelFile, source: Path) -> Path | None:
    """Return a file of a model among what was given: the file itself, or one of its name in the folder."""
    if source.is_file() and file == model.files[0]:
        return source
    beside = (source if source.is_dir() else source.parent) / file.name
    if beside.is_file():
        return beside
    if file == model.files[0]:
        raise UsageError(f"--from {source}: it holds no {file.name}")
    return None


def _checked(path: Path, file: ModelFile) -> str:
    digest = sha256_file(path)
    if file.sha256 is not None and digest != file.sha256:
        problem = f"its SHA-256 is {digest}, the catalogue says {file.sha256}"
        raise DataError(f"{path.name} is not the published file; fetch it again, or from {file.url}", [problem])
    return digest


def remove_model(name: str) -> Path:
    """Remove a model of the catalogue from this machine; returns where it was.

    Raises:
        UsageError: it is not there.
    """
    home = model_home(published(name).name)
    if not home.is_dir():
        raise UsageError(f"{name} is not on this machine; `auricle models list` shows what is")
    shutil.rmtree(home)
    return home
