# SPDX-License-Identifier: Apache-2.0
"""From the name of a model to its folder. No typo becomes a download: the hub needs its own prefix."""

from __future__ import annotations

import os
import re
from pathlib import Path

from auricle.errors import UsageError
from auricle.files import address_note
from auricle.recipe.scan_requests import DEFAULT_MODEL
from auricle.registry import nearest

__all__ = ["BUNDLES", "DEFAULT_MODEL", "builtin_models", "resolve_model"]

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"

_HUB = "hf:"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def builtin_models() -> list[str]:
    """Return the names of the models that come with auricle, sorted."""
    return sorted(path.parent.name for path in BUNDLES.glob("*/auricle.json"))


def resolve_model(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a model.

    Args:
        name: a folder (anything with a ``/``, or an existing path), the name of a built-in model, or
            ``hf:org/name`` for one on the Hugging Face hub, which is the only form that uses the network.

    Raises:
        UsageError: no model has that name; says which is near.
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"a model is named by a folder or a name; got {type(name).__name__}")
    if (address := address_note(os.fspath(name))) is not None:
        raise UsageError(f"{address}; a model of the hub is written hf:org/name")
    if not isinstance(name, str):
        return Path(name)
    if name.startswith(_HUB):
        return _download(name)
    if "/" in name or os.sep in name or (name and Path(name).exists()):
        return Path(name)
    known = builtin_models()
    if name in known:
        return BUNDLES / name
    listed = ", ".join(known) if known else "none"
    raise UsageError(
        f"unknown model {name!r}{nearest(name, known)}; built in: {listed}; "
        f"a folder is written with a slash (./{name}), a model of the hub as hf:org/name"
    )


def _download(name: str) -> Path:
    """Fetch a model folder from the hub, or find it where an earlier call put it; return the folder."""
    repository = name.removeprefix(_HUB)
    if not _HUB_NAME.fullmatch(repository):
        raise UsageError(f"{name!r} is not the name of a model on the hub: expected hf:org/name")
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 (an extra; only this form needs it)
    except ImportError as error:
        raise UsageError(
            f"{name} is on the Hugging Face hub, which needs huggingface_hub: pip install 'auricle[teachers]'"
        ) from error
    # A folder of our own with real files: the hub's cache is made of symbolic links, which bundles may not hold.
    folder = _cache_folder() / "hub" / repository.replace("/", "--")
    try:
        snapshot_download(
            repository,
            local_dir=folder,
            allow_patterns=["auricle.json", "README.md", "*.onnx", "*.safetensors", "*.npz"],
        )
    except Exception as error:  # the hub's client raises many kinds; all mean the same here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(f"{name} could not be fetched from the hub: {reason}") from error
    return folder


def _cache_folder() -> Path:
    """Return where downloads are kept, by the XDG rule."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "auricle"
