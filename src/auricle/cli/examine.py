# SPDX-License-Identifier: Apache-2.0
"""What ``doctor`` looks at: the machine and its packages, and a model folder with its golden scores."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from auricle.cli.extras import EXTRAS

if TYPE_CHECKING:
    pass

#: Largest difference between a stored score and the same score computed here (DESIGN 5.8).
TOLERANCE = 1e-4
CORE = ("numpy", "onnxruntime", "soundfile", "soxr", "pydantic", "pyyaml", "typer", "rich")


@dataclass(frozen=True)
class Check:
    """One thing that was checked of a model."""

    name: str
    ok: bool
    text: str

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"name", "ok", "text"}``."""
        return asdict(self)


def examine_machine() -> dict[str, str]:
    """Return what is installed here, by name."""
    import onnxruntime
    import soundfile

    from auricle import __version__

    findings = {
        "auricle": __version__,
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "cpu threads": str(_usable_threads()),
        **{name: _version(name) for name in CORE},
        "onnxruntime engines": ", ".join(onnxruntime.get_available_providers()),
        "libsndfile": soundfile.__libsndfile_version__,
        "audio formats": ", ".join(sorted(soundfile.available_formats())),
    }
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            findings[f"extra {extra}"] = f'missing {", ".join(missing)}; pip install "auricle[{extra}]"'
        else:
            findings[f"extra {extra}"] = "installed"
    if importlib.util.find_spec("torch") is not None:
        findings["torch"] = _version("torch")
    return findings


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _usable_threads() -> int:
    """Return how many CPUs this process may use, which in a container is fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
