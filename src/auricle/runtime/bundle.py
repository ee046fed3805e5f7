# SPDX-License-Identifier: Apache-2.0
"""A model is a folder: reading it executes nothing and believes nothing that its hashes do not confirm.

auricle.json        the specification (``runtime.spec``), with the SHA-256 of the other files
model.onnx          the network; model.int8.onnx beside it
stream.onnx         of causal models: the network with its memory as input and output; stream.int8.onnx beside it
model.safetensors   weights for further training
clips.json          which recordings trained the model, selected it, or were held out, by hashes of their content
README.md, run/     for people and for training: neither hashed nor read here
"""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from auricle.data.trained_clips import CLIPS_FILE, parse_clips
from auricle.errors import BundleError
from auricle.files import sha256_bytes, sha256_file
from auricle.runtime.atomic_folder import find_file, replace_files
from auricle.runtime.model_names import DEFAULT_MODEL, builtin_models, resolve_model
from auricle.runtime.npz import NpzError, read_npz
from auricle.runtime.onnx_safety import check_onnx
from auricle.runtime.spec import ONNX_FILES, SCHEMA_VERSION, BundleSpec, is_file_name, parse_spec, seal_spec

__all__ = [
    "DEFAULT_MODEL",
    "GOLDEN",
    "ONNX_FILES",
    "SCHEMA_VERSION",
    "SPEC_FILE",
    "Bundle",
    "BundleSpec",
    "add_files",
    "builtin_models",
    "load_bundle",
    "read_golden",
    "resolve_model",
    "trained_clips",
    "write_bundle",
]

SPEC_FILE = "auricle.json"
#: One input and its scores, by which ``auricle doctor`` checks a model.
GOLDEN = "golden.npz"
#: One input and its scores are small.
_MOST_GOLDEN_BYTES = 64_000_000
#: Files that are not hashed, and never read by the runtime.
UNHASHED = frozenset({SPEC_FILE, "README.md"})


@dataclass(frozen=True)
class Bundle:
    """A model folder whose files have been checked."""

    path: Path
    spec: BundleSpec

    def __contains__(self, name: object) -> bool:
        return name in self.spec.sha256

    def read(self, name: str) -> bytes:
        """Return the content of a file of the bundle, checked again: what is used is what was hashed."""
        if name not in self.spec.sha256:
            raise BundleError(f"{self.path} has no file {name!r}; it has {', '.join(sorted(self.spec.sha256))}")
        data = _require_file(self.path, name).read_bytes()
        _require_hash(self.path, name, sha256_bytes(data), self.spec.sha256[name], len(data))
        return data


def load_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read and check a model folder.

    Raises:
        BundleError: no such folder, a file is missing, a link, damaged, too new, or not what it claims to be.
    """
    folder = Path(path)
    if not folder.is_dir():
        what = "is a file, not a model folder" if folder.exists() else "does not exist"
        raise BundleError(f"the model {folder} {what}; give the folder that holds {SPEC_FILE}")
    if not find_file(folder, SPEC_FILE).exists():
        raise BundleError(f"{folder} is not a model folder: it has no {SPEC_FILE}; `auricle train --out` makes one")
    spec = parse_spec(_require_file(folder, SPEC_FILE).read_bytes(), str(folder))
    if ONNX_FILES["float32"] not in spec.sha256:
        raise BundleError(f"{folder}: {SPEC_FILE} lists no {ONNX_FILES['float32']}; get the model folder again")
    bundle = Bundle(folder, spec)
    for name, expected in spec.sha256.items():
        if name.endswith(".onnx"):
            check_onnx(bundle.read(name), f"{folder / name}")
        else:
            file = _require_file(folder, name)
            _require_hash(folder, name, sha256_file(file), expected, file.stat().st_size)
    return bundle


def trained_clips(bundle: Bundle) -> dict[str, str] | None:
    """Return each recording's part when the model was trained, by its content; None where the folder has no list."""
    return parse_clips(bundle.read(CLIPS_FILE), str(bundle.path)) if CLIPS_FILE in bundle else None


def read_golden(bundle: Bundle, *needed: str) -> dict[str, npt.NDArray[Any]]:
    """Return the stored input and its scores, by name; raises ``BundleError`` if they are damaged or incomplete."""
    try:
        found = read_npz(bundle.read(GOLDEN), _MOST_GOLDEN_BYTES)
    except NpzError as error:
        raise BundleError(f"{bundle.path / GOLDEN} cannot be used: {error}; get the model folder again") from error
    missing = [name for name in ("waveform", "clip", *needed) if name not in found]
    odd = [name for name, values in found.items() if values.dtype.kind != "f" or not values.size]
    if missing or odd:
        raise BundleError(f"{bundle.path / GOLDEN} has no floats {', '.join([*missing, *odd])}; get the folder again")
    return found


def write_bundle(
    path: str | os.PathLike[str], spec: BundleSpec, files: Mapping[str, bytes | Path | Callable[[], bytes]]
) -> Bundle:
    """Write a model folder: all its files at once, so that a kill leaves the old model or the new one.

    Args:
        path: the folder; made if absent. Other files in it stay.
        spec: its ``sha256`` is replaced by the hashes of ``files``.
        files: plain names to contents: bytes, or the path of a file to copy, or a function that makes the bytes.

    Returns:
        The bundle, read back and checked.
    """
    for name in files:
        if not is_file_name(name) or name == SPEC_FILE:
            raise BundleError(f"a bundle cannot hold a file {name!r}: only plain names in the folder itself")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    replace_files(folder, _contents(spec, files))
    return load_bundle(folder)


def _contents(spec: BundleSpec, files: Mapping[str, bytes | Path | Callable[[], bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yield the files one by one, and after them the specification with their hashes."""
    hashes = {}
    for name, content in files.items():
        data = (
            content if isinstance(content, bytes) else content.read_bytes() if isinstance(content, Path) else content()
        )
        if name not in UNHASHED:
            hashes[name] = sha256_bytes(data)
        yield name, data
    yield SPEC_FILE, seal_spec(spec.model_copy(update={"sha256": hashes}))


def add_files(path: str | os.PathLike[str], files: Mapping[str, bytes], spec: BundleSpec | None = None) -> Bundle:
    """Add files to a bundle, or replace some (``model.int8.onnx`` after an export); the others stay as they are.

    Args:
        path: the folder of the bundle.
        files: names to contents.
        spec: its new specification; None keeps the old one.
    """
    bundle = load_bundle(path)
    kept = {name: functools.partial(bundle.read, name) for name in bundle.spec.sha256 if name not in files}
    return write_bundle(path, bundle.spec if spec is None else spec, {**kept, **files})


def _require_file(folder: Path, name: str) -> Path:
    """Return the path of a regular file of the folder; links are refused, they may lead anywhere."""
    path = find_file(folder, name)
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise BundleError(f"{folder} has no file {name}, which {SPEC_FILE} lists; get the folder again") from error
    if stat.S_ISLNK(mode):
        raise BundleError(f"{path} is a symbolic link; a model folder holds its files itself, copy it there")
    if not stat.S_ISREG(mode):
        raise BundleError(f"{path} is not a regular file; get the model folder again")
    return path


def _require_hash(folder: Path, name: str, found: str, expected: str, size: int) -> None:
    if found != expected:
        raise BundleError(
            f"{folder / name} is damaged or was changed: its {size} bytes have SHA-256 {found[:12]}…, "
            f"{SPEC_FILE} says {expected[:12]}…; get the model folder again"
        )
