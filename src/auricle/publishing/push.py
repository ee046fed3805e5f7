# SPDX-License-Identifier: Apache-2.0
"""A model goes to the Hugging Face hub in one commit, is private unless it is said otherwise, and is read back.

With ``space`` it is the site of ``export --web`` that goes, as a static Space: the model runs in the visitor's browser.
"""

from __future__ import annotations

import logging
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from auricle.errors import UsageError
from auricle.files import printable
from auricle.publishing.contents import CARD_FILE, PublishedFile, model_files, with_use
from auricle.recipe.model_requests import PushRequest
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.hub_download import hub_client, read_hub_name

log = logging.getLogger(__name__)
#: Endings of files of an earlier push, which go when the model has them no more.
_OURS = frozenset([".onnx", ".safetensors", ".npz"])


@dataclass(frozen=True)
class PushResult:
    """What was published, or would be.

    Attributes:
        url: where it is.
        commit: of the hub; empty for a dry run.
        private: who is not invited does not see it.
        files: what went.
        dry_run: nothing went.
    """

    url: str
    commit: str
    private: bool
    files: tuple[PublishedFile, ...]
    dry_run: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of ``auricle push``."""
        files = [file.to_dict() for file in self.files]
        return {
            "url": self.url, "commit": self.commit, "private": self.private, "dry_run": self.dry_run, "files": files,
        }  # fmt: skip


def push_model(request: PushRequest) -> PushResult:
    """Publish a model, or with ``space`` its site.

    Raises:
        UsageError: and its kinds, for the model, the name, no login, or what the hub refuses.
    """
    repository, revision = read_hub_name(request.repository)
    if revision is not None:
        raise UsageError(f"{request.repository}: a push makes a commit of the main branch; leave @{revision} out")
    kind = "space" if request.space else "model"
    files = _site(request) if request.space else _model(request, repository)
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    where = f"{endpoint}/{'spaces/' if request.space else ''}{repository}"
    if request.dry_run:
        return PushResult(where, "", not request.public, tuple(files), dry_run=True)
    hub = hub_client()
    try:
        commit = _commit(hub, request, repository, kind, files)
    except UsageError:
        raise
    except Exception as error:  # the hub's client raises many kinds
        raise UsageError(f"{repository}: the hub refused it: {_reason(hub, error)}") from error
    return PushResult(where, commit, not request.public, tuple(files))


def _model(request: PushRequest, repository: str) -> list[PublishedFile]:
    bundle = load_bundle(resolve_model(request.model))
    files = model_files(bundle, request.license)
    return [
        replace(file, content=with_use(file.content.decode(), repository).encode()) if file.name == CARD_FILE else file
        for file in files
    ]


def _site(request: PushRequest) -> list[PublishedFile]:
    """Return the site of a model and the card that makes a static Space of it."""
    from auricle.exporting.web import export_site  # noqa: PLC0415 (of a Space only)

    bundle = load_bundle(resolve_model(request.model))
    with tempfile.TemporaryDirectory(prefix="auricle-space-") as folder:
        export_site(bundle, Path(folder) / "site", tarball=None if request.tarball is None else Path(request.tarball))
        root = Path(folder) / "site"
        found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    front = {"title": bundle.spec.name, "sdk": "static", "app_file": "index.html", "tags": ["audio", "auricle", "onnx"]}
    if request.license is not None:
        front["license"] = request.license
    head = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000)
    text = (
        f"---\n{head}---\n\n{bundle.spec.name} inside the browser: nothing that is recorded or dropped is uploaded.\n"
    )
    found[CARD_FILE] = text.encode()
    return [PublishedFile(name, found[name]) for name in sorted(found)]


def _commit(hub: Any, request: PushRequest, repository: str, kind: str, files: list[PublishedFile]) -> str:
    """Make the repository if it is not there, commit all files at once, and look at what is there then."""
    api = hub.HfApi()
    private = not request.public
    sdk = {"space_sdk": "static"} if request.space else {}
    api.create_repo(repository, repo_type=kind, private=private, exist_ok=True, **sdk)
    before = api.repo_info(repository, repo_type=kind)
    if before.private is not None and bool(before.private) != private:
        state = "private" if before.private else "public"
        advice = "leave --public out, or change it on the hub" if before.private else "say --public"
        raise UsageError(f"{repository} is there already and is {state}: {advice}")
    names = {file.name for file in files}
    stale = [s.rfilename for s in before.siblings or () if _is_stale(str(s.rfilename), names)]
    operations = [hub.CommitOperationAdd(file.name, file.content) for file in files]
    operations += [hub.CommitOperationDelete(name) for name in stale]
    log.info("pushing %d files to %s", len(files), repository)
    commit = str(api.create_commit(repository, operations, commit_message=request.message, repo_type=kind).oid)
    _check(api, repository, kind, commit, files)
    return commit


def _is_stale(name: str, names: set[str]) -> bool:
    path = PurePosixPath(name)
    return len(path.parts) == 1 and path.suffix in _OURS and name not in names


def _check(api: Any, repository: str, kind: str, commit: str, files: list[PublishedFile]) -> None:
    """Compare what the hub says it holds, sizes and hashes of large files, with what went."""
    info = api.repo_info(repository, repo_type=kind, revision=commit, files_metadata=True)
    there = {str(sibling.rfilename): sibling for sibling in info.siblings or ()}
    for file in files:
        found = there.get(file.name)
        lfs = None if found is None else found.lfs
        same = found is not None and found.size == len(file.content) and (lfs is None or lfs.sha256 == file.sha256)
        if not same:
            raise UsageError(f"{repository}: {file.name} is not on the hub as it was sent; push again")


def _reason(hub: Any, error: Exception) -> str:
    """Return in one line why the hub refused something, with what to do where no login is known."""
    text = " ".join(printable(str(error)).split()) or type(error).__name__
    login = "; log in: hf auth login, or set HF_TOKEN" if hub.get_token() is None else ""
    return f"{text[:300]}{login}"
