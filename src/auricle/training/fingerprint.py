# SPDX-License-Identifier: Apache-2.0
"""What decides the numbers of a run, beside its seed: a run goes on only where all of it is the same.

How a run is carried out (loader processes, threads, checkpoints) may change on the way; what it computes may not.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import torch

import auricle
from auricle.files import json_differences, sha256_file
from auricle.training.preparing import Material

#: The parts of auricle that turn data into weights.
_CODE = ("audio", "data", "nn", "teachers", "training", "config.py", "timeline.py")
_DIGITS = 16
#: Settings of ``run`` that change what is computed.
_RUN = ("precision", "early_stop")


def fingerprint(material: Material, test_fold: str | None = None) -> dict[str, Any]:
    """Return what must be the same when a run goes on, as JSON holds it."""
    recipe = material.recipe.model_dump(mode="json")
    recipe["run"] = {name: recipe["run"][name] for name in _RUN}
    recipe["data"].pop("workers")
    recipe.pop("export")
    return {
        "recipe": recipe,
        "data_hash": material.manifest.data_hash,
        "content": _content_digest(material),
        "labels": list(material.manifest.labels),
        "soft_labels": None if material.course is None else material.course.store.sha256,
        "test_fold": test_fold,
        "version": auricle.__version__,
        "code": code_digest(),
        "torch": str(torch.__version__),
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return in what two fingerprints differ, a line each; what an earlier version did not note cannot differ."""
    return [line.removeprefix("recipe.") for line in json_differences(before, _noted(before, now))]


def _noted(before: Any, now: Any) -> Any:
    """Return what is now, without the keys that an earlier version did not note."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return now
    return {key: _noted(before[key], value) for key, value in now.items() if key in before}


def _content_digest(material: Material) -> str:
    """Return a digest of what the files hold: their sizes, which the data hash knows, may be the same by chance."""
    cache_of = material.reader.cache
    hashes = {
        clip.path: sha256_file(clip.path) if clip.is_array else cache_of.content_of(clip.path)
        for clip in material.manifest.clips
    }
    lines = sorted(f"{clip.key} {hashes[clip.path]}" for clip in material.manifest.clips)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]


@cache
def code_digest() -> str:
    """Return a digest of the source of everything that decides the numbers of a run."""
    package = Path(auricle.__file__).parent
    found = ([package / part] if part.endswith(".py") else package.glob(f"{part}/**/*.py") for part in _CODE)
    digest = hashlib.sha256()
    for file in sorted(file for files in found for file in files):
        digest.update(f"{file.relative_to(package).as_posix()} {sha256_file(file)}\n".encode())
    return digest.hexdigest()[:_DIGITS]
