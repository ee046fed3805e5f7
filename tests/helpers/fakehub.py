# SPDX-License-Identifier: Apache-2.0
"""A stand-in of the Hugging Face hub's HTTP interface: the routes that huggingface_hub calls to push and to load.

Repositories live in memory; large files go through Git LFS (``basic`` transfers, no Xet). Whatever a test wants to be
wrong it changes in ``repositories``, ``leads`` (redirections of files) and ``answers`` (whole replies).
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import pytest

#: Files from this size on are large ones.
LARGE_BYTES = 1_000
_LARGE_ENDINGS = (".onnx", ".safetensors", ".npz")


@dataclass
class Repository:
    """What is in a repository: commits with their files, and names of commits."""

    kind: str
    private: bool
    details: dict = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        content = json.dumps([sorted(files), len(self.commits)]).encode() + b"".join(
            files[name] for name in sorted(files)
        )
        sha = hashlib.sha1(content).hexdigest()
        self.commits[sha] = files
        self.names["main"] = sha
        return sha

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.names["main"]]

    def resolve(self, revision: str) -> str | None:
        return self.names.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """The stand-in; ``asked`` are the requests that came, ``tokens`` what authorised them."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    leads: dict[str, str] = field(default_factory=dict)
    answers: dict[str, Callable] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: dict[str, str | None] = field(default_factory=dict)


def _is_large(name: str, size: int) -> bool:
    return size >= LARGE_BYTES or name.endswith(_LARGE_ENDINGS)


class _Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._do()

    def do_HEAD(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_PUT(self) -> None:
        self._do()

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        self.hub.tokens[path] = self.headers.get("Authorization")
        if path in self.hub.answers:
            return self.hub.answers[path](self)
        for pattern, method in _ROUTES:
            if found := re.fullmatch(pattern, path):
                return method(self, body, **found.groupdict())
        return self.reply({"error": f"no route {self.command} {path}"}, 404)

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def reply(self, value: object, status: int = 200, **headers: str) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # --- routes

    def create(self, body: bytes) -> None:
        wanted = json.loads(body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if self.headers.get("Authorization") is None:
            return self.reply({"error": "Invalid username or password."}, 401)
        if name in self.hub.repositories:
            return self.reply({"error": "You already created this repo", "url": f"{self.hub.url}/{name}"}, 409)
        # huggingface_hub 1 says ``private``, 2 says ``visibility``.
        private = bool(wanted.get("private", wanted.get("visibility") == "private"))
        found = Repository(wanted.get("type", "model"), private, wanted)
        found.commit({".gitattributes": b"*.onnx filter=lfs\n"})
        self.hub.repositories[name] = found
        return self.reply({"url": f"{self.hub.url}/{name}"})

    def info(self, _body: bytes, kind: str, name: str, revision: str = "main") -> None:
        found = self.hub.repositories.get(name)
        if found is None or found.kind != kind:
            return self.reply({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
        sha = found.resolve(revision)
        if sha is None:
            return self.reply({"error": "Invalid rev id"}, 404, X_Error_Code="RevisionNotFound")
        siblings = []
        for file, content in found.commits[sha].items():
            sibling = {"rfilename": file, "size": len(content), "blobId": _blob(content)}
            if _is_large(file, len(content)):
                sibling["lfs"] = {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 130,
                }
            siblings.append(sibling)
        return self.reply({"id": name, "sha": sha, "private": found.private, "siblings": siblings, "tags": []})

    def preupload(self, body: bytes, kind: str, name: str, revision: str) -> None:
        files = [
            {"path": f["path"], "shouldIgnore": False,
             "uploadMode": "lfs" if _is_large(f["path"], f["size"]) else "regular"}
            for f in json.loads(body)["files"]
        ]  # fmt: skip
        return self.reply({"files": files})

    def batch(self, body: bytes, name: str) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            actions = {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}"},
                       "verify": {"href": f"{self.hub.url}/verify/{wanted['oid']}"}}  # fmt: skip
            objects.append({**wanted, **({} if wanted["oid"] in self.hub.large else {"actions": actions})})
        return self.reply({"transfer": "basic", "objects": objects})

    def put(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.large[oid] = body
        return self.reply(b"")

    def verify(self, body: bytes, oid: str) -> None:
        return self.reply({}, 200 if len(self.hub.large.get(oid, b"")) == json.loads(body)["size"] else 404)

    def commit(self, body: bytes, kind: str, name: str, revision: str) -> None:
        found = self.hub.repositories[name]
        files = dict(found.files)
        for line in body.decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = found.commit(files)
        return self.reply({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})

    def resolve(self, _body: bytes, name: str, revision: str, file: str) -> None:
        found = self.hub.repositories.get(name)
        sha = None if found is None else found.resolve(revision)
        if sha is None or file not in found.commits[sha]:
            return self.reply({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
        content = found.commits[sha][file]
        large = _is_large(file, len(content))
        etag = hashlib.sha256(content).hexdigest() if large else _blob(content)
        headers = {"X_Repo_Commit": sha, "ETag": f'"{etag}"'}
        if large:
            headers |= {"X_Linked_Etag": f'"{etag}"', "X_Linked_Size": str(len(content))}
        if file in self.hub.leads:
            return self.reply(b"", 302, Location=self.hub.leads[file], **headers)
        return self.reply(content, **headers)

    def yaml(self, _body: bytes) -> None:
        return self.reply({"errors": [], "warnings": []})


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
_KIND = r"/api/(?P<kind>model|dataset|space)s/"
_ROUTES: list[tuple[str, Callable]] = [
    (r"/api/repos/create", _Handler.create),
    (r"/api/validate-yaml", _Handler.yaml),
    (rf"{_KIND}{_NAME}/preupload/(?P<revision>.+)", _Handler.preupload),
    (rf"{_KIND}{_NAME}/commit/(?P<revision>.+)", _Handler.commit),
    (rf"{_KIND}{_NAME}/revision/(?P<revision>.+)", _Handler.info),
    (rf"{_KIND}{_NAME}", _Handler.info),
    (rf"/(?:spaces/)?{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"/lfs/(?P<oid>[0-9a-f]{64})", _Handler.put),
    (r"/verify/(?P<oid>[0-9a-f]{64})", _Handler.verify),
    (rf"/(?:spaces/)?{_NAME}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", _Handler.resolve),
]


@contextmanager
def hub_at_hand(cache: str) -> Iterator[Hub]:
    """Let ``huggingface_hub`` of this process talk to a stand-in, with a login and a cache of its own."""
    from huggingface_hub import close_session, constants
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda request, client: None
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setenv("HF_ENDPOINT", hub.url)
        patch.setenv("HF_TOKEN", "hf_of_the_test")
        patch.setenv("XDG_CACHE_HOME", cache)
        disable_progress_bars()
        try:
            yield hub
        finally:
            enable_progress_bars()
            close_session()
            server.shutdown()
            server.server_close()
