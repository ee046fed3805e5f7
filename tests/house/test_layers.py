# SPDX-License-Identifier: Apache-2.0
"""Imports go strictly down the layers, also the lazy ones, and torch stays in its half."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "auricle"

# Where a package or module stands. Inside one name everything may import everything.
LAYER_OF = {
    "__main__": 9,
    "cli": 8.5,
    "demo": 8.2,
    "api": 8,
    "server": 7,
    "reports": 7,
    "scale": 7,
    "training": 6,
    "studio": 6,
    "distill": 5.5,
    "batches": 5.2,
    "teachers": 5,
    "exporting": 5,
    "publishing": 5.1,
    "scanning": 5,
    "enrolment": 5,
    "retrieval": 5,
    "synth": 4,
    "runtime": 4,
    "evaluation": 4,
    "data": 3,
    "nn": 3,
    "audio": 2,
    "webpage": 2,
    "events": 2,
    "recipe": 1.5,
    "journal": 1.5,
    "cells": 1,
    "files": 1,
    "logs": 1.2,
    "output_folder": 1.5,
    "registry": 1,
    "processors": 1,
    "timeline": 1,
    "signals": 1,
    "progress": 1,
    "results": 0,
    "tabular": -0.5,
    "errors": -1,
}
NEIGHBOURS: set[tuple[str, str]] = set()
TORCH_PACKAGES = {"nn", "batches", "distill", "training", "teachers", "exporting"}
TORCH_MODULES = {"torch", "lightning_fabric", "lightning", "safetensors", "onnx", "torchaudio", "transformers"}


def imports_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for each import, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.ImportFrom) and node.module == "auricle":
            yield from ((node.lineno, f"auricle.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module)


def violations_in(source: str, home: str) -> list[str]:
    """Return what a file of ``home`` imports and may not, one line each."""
    found = []
    for line, module in imports_of(source):
        root, *rest = module.split(".")
        target = rest[0] if rest else ""
        if not root:
            found.append(f"line {line}: relative import")
        elif root in TORCH_MODULES and home not in TORCH_PACKAGES:
            found.append(f"line {line}: {home} must stay free of {root}")
        elif root == "auricle" and target not in ("", home, "__version__"):
            if target not in LAYER_OF:
                found.append(f"line {line}: auricle.{target} has no layer: import from where it is defined")
            elif LAYER_OF[target] >= LAYER_OF[home] and (home, target) not in NEIGHBOURS:
                found.append(f"line {line}: {home}, layer {LAYER_OF[home]}, imports {target}, layer {LAYER_OF[target]}")
    return found


def source_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def test_imports_go_down():
    homes = {path: path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in source_files()}
    unplaced = set(homes.values()) - set(LAYER_OF)
    assert unplaced == set(), "no layer: give it one here and in docs/architecture.md"
    problems = {
        str(path.relative_to(PACKAGE)): found
        for path, home in homes.items()
        if (found := violations_in(path.read_text(encoding="utf-8"), home))
    }
    assert problems == {}


@pytest.mark.parametrize(
    ("home", "source", "problem"),
    [
        ("audio", "from auricle.runtime.detector import load", "audio, layer 2, imports runtime, layer 4"),
        ("audio", "def f():\n    import auricle.nn.modules.crnn", "line 2: audio, layer 2, imports nn, layer 3"),
        ("audio", "from auricle import data", "imports data"),
        ("audio", "from auricle.events.segments import x", "audio, layer 2, imports events, layer 2"),
        ("audio", "from .decode import x", "relative import"),
        ("runtime", "import torch.nn as nn", "runtime must stay free of torch"),
        ("cli", "def f():\n    from lightning_fabric import Fabric", "cli must stay free of lightning_fabric"),
        ("nn", "from auricle import load", "auricle.load has no layer"),
    ],
)
def test_a_violation_is_seen(home, source, problem):
    assert any(problem in text for text in violations_in(source, home))


@pytest.mark.parametrize(
    ("home", "source"),
    [
        ("audio", "from auricle.timeline import window_starts"),
        ("audio", "from auricle.audio.resample import resample"),
        ("nn", "import torch"),
        ("cli", "from auricle import __version__, api"),
    ],
)
def test_what_is_allowed_passes(home, source):
    assert violations_in(source, home) == []
