# SPDX-License-Identifier: Apache-2.0
"""A static site in which a model runs inside the browser: drop a file or use the microphone, nothing is uploaded.

The engine is ONNX Runtime Web, one pinned version from the npm registry whose SHA-512 stands here; a machine
without a network takes the same file from disk. Any file server can serve the folder, also without a network.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from auricle import __version__
from auricle.errors import UsageError
from auricle.files import atomic_write
from auricle.output_folder import OutputFolder
from auricle.runtime.atomic_folder import find_file
from auricle.runtime.bundle import SPEC_FILE, Bundle
from auricle.runtime.spec import ONNX_FILES
from auricle.webpage.assets import modules_of, page_html, read_asset

RUNTIME_VERSION = "1.30.0"
RUNTIME_URL = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{RUNTIME_VERSION}.tgz"
#: As the registry states it (``dist.integrity``).
RUNTIME_INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
#: What the site needs of it, in the folder ``ort/``.
RUNTIME_FILES = ("ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")

_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; "
    "media-src blob:; img-src 'self' data:; worker-src 'self'; base-uri 'none'; form-action 'none'"
)
_HEAD = (
    f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n<link rel="icon" href="icon.svg">\n'
    '<link rel="stylesheet" href="page.css">\n<script src="ort/ort.wasm.min.js"></script>\n'
    '<script type="module" src="site.js"></script>'
)
_LICENSE = f"""ONNX Runtime Web {RUNTIME_VERSION}, Copyright (c) Microsoft Corporation, MIT License.
From {RUNTIME_URL}
Source and licence text: https://github.com/microsoft/onnxruntime
"""
_MAX_BYTES = 200_000_000
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Site:
    """What was written: the folder, the network in it, and how many bytes a visitor fetches."""

    path: str
    network: str
    size: int

    def to_dict(self) -> dict[str, str | int]:
        """Return the JSON object of ``auricle export --web``."""
        return {"path": self.path, "network": self.network, "bytes": self.size}


def export_site(bundle: Bundle, folder: Path, *, precision: str = "float32", tarball: Path | None = None) -> Site:
    """Write the site of a model.

    Args:
        bundle: the model.
        folder: must be new or empty.
        precision: ``float32``, or ``int8`` where the bundle has it.
        tarball: ``onnxruntime-web-*.tgz`` of the pinned version; None fetches it.

    Raises:
        RunError: the folder holds something.
        UsageError: no such precision, no network, or another tarball.
    """
    network = ONNX_FILES[precision]
    if network not in bundle:
        raise UsageError(f"{bundle.path} has no {precision} form; make it with --int8, in the same call or before")
    if bundle.spec.postprocess.boxes is not None:
        raise UsageError(
            f"{bundle.path} makes events from change points (postprocess.boxes), which the page cannot; it can do "
            "thresholds: tune the model to those with `auricle evaluate --tune`"
        )
    OutputFolder(folder, option="--web").require_new()
    engine = read_engine(*((_fetch(RUNTIME_URL), RUNTIME_URL) if tarball is None else (_read(tarball), str(tarball))))
    site = {"network": network, "precision": precision, "runtime": RUNTIME_VERSION, "auricle": __version__}
    files = {
        **{name: text.encode() for name, text in page_files(bundle.spec.name).items()},
        **{f"ort/{name}": content for name, content in engine.items()},
        "ort/LICENSE.txt": _LICENSE.encode(),
        "site.json": json.dumps(site, indent=2).encode(),
        network: bundle.read(network),
        SPEC_FILE: find_file(bundle.path, SPEC_FILE).read_bytes(),
    }
    files["offline.js"] = _offline(files)
    (folder / "ort").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        atomic_write(folder / name, content)
    return Site(str(folder), network, sum(map(len, files.values())))


def page_files(title: str) -> dict[str, str]:
    """Return the files of the page by their names, without those of the model and the engine."""
    return {
        "index.html": page_html(title=title, head=_HEAD, footer=f"Made by auricle {__version__}."),
        **modules_of("site.js"),
        **{name: read_asset(name) for name in ("page.css", "capture.js", "icon.svg")},
    }


def _offline(files: Mapping[str, bytes]) -> bytes:
    """Return the service worker that keeps these files in the browser; it changes when they do."""
    version = hashlib.sha256(b"".join(name.encode() + files[name] for name in sorted(files))).hexdigest()[:16]
    names = json.dumps([".", *sorted(set(files) - {"ort/LICENSE.txt"})])
    return read_asset("offline.js").replace("{version}", version).replace('["{files}"]', names).encode()


def read_engine(archive: bytes, name: str) -> dict[str, bytes]:
    """Return the engine's files out of the npm package, which must be the pinned one, byte for byte.

    Args:
        archive: the package.
        name: of the file, for messages.

    Raises:
        UsageError: other bytes.
    """
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != RUNTIME_INTEGRITY:
        raise UsageError(
            f"{name} is not onnxruntime-web {RUNTIME_VERSION}: it has {found[:24]}…, expected "
            f"{RUNTIME_INTEGRITY[:24]}…; get {RUNTIME_URL}"
        )
    engine = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
        for file in RUNTIME_FILES:
            member = package.extractfile(f"package/dist/{file}")
            if member is None:
                raise UsageError(f"{name} holds no {file}")
            engine[file] = member.read()
    return engine


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno is not None else error
        raise UsageError(f"{path} cannot be read ({reason}); get it from {RUNTIME_URL}") from error


def _fetch(url: str) -> bytes:
    """Return the npm package from the registry."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as reply:  # noqa: S310 (a constant https address)
            return bytes(reply.read(_MAX_BYTES))
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UsageError(
            f"{url} could not be fetched ({reason}); get it on a machine with a network and give it with --from FILE"
        ) from error
