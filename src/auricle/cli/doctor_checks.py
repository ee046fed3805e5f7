# SPDX-License-Identifier: Apache-2.0
"""What ``doctor`` looks at: the machine and its packages, and a model folder with its golden scores."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from auricle.cli.extras import EXTRAS
from auricle.errors import BundleError
from auricle.processors import usable_processors
from auricle.results import FloatArray
from auricle.runtime.bundle import GOLDEN, Bundle, load_bundle, read_golden, resolve_model
from auricle.runtime.onnx_session import CLIP, FRAMES, open_network, open_running
from auricle.runtime.spec import ONNX_FILES, STREAM_FILES

#: Largest difference between a stored score and the same score computed here.
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
        "cpu threads": str(usable_processors()),
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


def examine_model(name: str) -> list[Check]:
    """Check a model: its files against their hashes, its golden input against its stored scores.

    Raises:
        UsageError: there is no such model.
    """
    path = resolve_model(name)
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        return [Check("files", False, error.message)]
    files = Check("files", True, f"{len(bundle.spec.sha256)} files have the hashes of auricle.json")
    checks = [files, _golden_check(bundle, "float32", TOLERANCE)]
    if ONNX_FILES["int8"] in bundle:
        limit = TOLERANCE if bundle.spec.int8 is None else bundle.spec.int8.shift_limit
        checks.append(_golden_check(bundle, "int8", limit))
    if STREAM_FILES["float32"] in bundle:
        checks.append(_stream_check(bundle))
    return checks


def _golden_check(bundle: Bundle, precision: str, limit: float) -> Check:
    """Run the stored input through a graph and compare its scores with the stored ones, which are float32's."""
    name = "golden scores" if precision == "float32" else f"golden scores, {precision}"
    if GOLDEN not in bundle:
        return Check(name, False, f"the model has no {GOLDEN}, so its scores cannot be compared")
    try:
        stored = read_golden(bundle)
    except BundleError as error:
        return Check(name, False, error.message)
    wanted = frozenset({FRAMES} & set(stored))
    found = open_network(bundle, precision=precision).run(np.atleast_2d(stored["waveform"]), wanted)
    worst = _difference(found.clip, stored[CLIP])
    if found.frames is not None:
        worst = max(worst, _difference(found.frames, stored[FRAMES]))
    return Check(name, worst <= limit, f"largest difference {worst:.2g}, allowed {limit:g}")


def _stream_check(bundle: Bundle) -> Check:
    """Run the streaming form on the stored input, and compare its frame scores with the stored ones."""
    name = "golden scores, stream"
    if GOLDEN not in bundle:
        return Check(name, False, f"the model has no {GOLDEN}, so its scores cannot be compared")
    try:
        golden = read_golden(bundle, FRAMES)
    except BundleError as error:
        return Check(name, False, error.message)
    waveform, stored = golden["waveform"], golden[FRAMES]
    running = open_running(bundle)
    if running is None:
        return Check(name, False, f"the model has no {STREAM_FILES['float32']}")
    whole = waveform.shape[-1] // running.frame_samples * running.frame_samples
    worst = _difference(running.advance(np.atleast_2d(waveform)[:, :whole], None).frames, stored)
    return Check(name, worst <= TOLERANCE, f"largest difference {worst:.2g}, allowed {TOLERANCE:g}")


def _difference(found: FloatArray, stored: FloatArray) -> float:
    """Return the largest difference of two arrays; infinity if their shapes differ."""
    stored = stored.reshape(found.shape) if stored.size == found.size else stored
    return float(np.abs(found - stored).max()) if stored.shape == found.shape else float("inf")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"
