# SPDX-License-Identifier: Apache-2.0
"""From the name of a model to its folder. No typo becomes a download: the hub needs its own prefix."""

from __future__ import annotations

import os
from pathlib import Path

from auricle.errors import UsageError
from auricle.files import address_note
from auricle.recipe.scan_requests import DEFAULT_MODEL
from auricle.registry import nearest

__all__ = ["BUNDLES", "DEFAULT_MODEL", "builtin_models", "resolve_model"]

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"


def builtin_models() -> list[str]:
    """Return the names of the models that come with auricle, sorted."""
    return sorted(path.parent.name for path in BUNDLES.glob("*/auricle.json"))


def resolve_model(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a model.

    Args:
        name: a folder (anything with a ``/``, or an existing path), the name of a built-in model, which goes before a
            folder that holds no model, such as one of recordings, or ``hf:org/name`` or ``hf:org/name@revision`` for
            one on the Hugging Face hub, the only form that uses the network.

    Raises:
        UsageError: no model has that name; says which is near.
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"a model is named by a folder or a name; got {type(name).__name__}")
    if (address := address_note(os.fspath(name))) is not None:
        raise UsageError(f"{address}; a model of the hub is written hf:org/name")
    if not isinstance(name, str):
        return Path(name)
    if name.startswith("hf:"):
        from auricle.runtime.hub_download import cache_folder, download_model  # noqa: PLC0415 (help needs none of it)

        return download_model(name, cache_folder())
    known = builtin_models()
    if name in known and not (Path(name) / "auricle.json").is_file():
        return BUNDLES / name
    if "/" in name or os.sep in name or (name and Path(name).exists()):
        return Path(name)
    listed = ", ".join(known) if known else "none"
    raise UsageError(
        f"unknown model {name!r}{nearest(name, known)}; built in: {listed}; "
        f"a folder is written with a slash (./{name}), a model of the hub as hf:org/name"
    )
