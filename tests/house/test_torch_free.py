# SPDX-License-Identifier: Apache-2.0
"""The half that listens imports, and answers --help, where importing torch raises."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "auricle"
TORCH_PACKAGES = {"nn", "batches", "distill", "training", "teachers", "exporting"}
FORBID = """
    import sys

    class Forbid:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] in {forbidden!r}:
                raise ImportError(name + " must not be imported here")

    sys.meta_path.insert(0, Forbid())
"""
TRAINING_ONLY = {"torch", "lightning_fabric", "safetensors", "onnx", "sklearn", "matplotlib", "tensorboard", "optuna"}


def run_without(forbidden: set[str], code: str) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(FORBID.format(forbidden=forbidden)) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)


def torch_free_modules() -> list[str]:
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        if len(parts) < 2 or parts[1] not in TORCH_PACKAGES:
            names.append(".".join(parts))
    return names


def test_the_torch_free_half_imports():
    done = run_without(
        TRAINING_ONLY, f"import importlib\nfor name in {torch_free_modules()!r}: importlib.import_module(name)"
    )
    assert done.returncode == 0, done.stderr


def test_the_guard_sees_an_import_of_torch():
    done = run_without({"torch"}, "import auricle.nn.losses")
    assert done.returncode != 0
    assert "torch must not be imported here" in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["tag", "--help"], ["data", "check", "--help"], ["--version"]])
def test_help_needs_nothing_heavy(words):
    heavy = TRAINING_ONLY | {"numpy", "pydantic", "onnxruntime", "soundfile", "soxr", "yaml", "rich"}
    done = run_without(heavy, f"sys.argv[1:] = {words!r}\nfrom auricle.cli.main import run\nrun()")
    assert done.returncode == 0, done.stderr
    assert "auricle" in done.stdout


def test_recipes_of_every_network_are_read_without_torch():
    done = run_without(
        TRAINING_ONLY,
        """
        from auricle.recipe.network import NETWORKS
        from auricle.recipe.schema import make_recipe
        print(*(make_recipe({"model": {"name": name, "width": 0.5}}).model.width for name in NETWORKS.names()))
        """,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"0.5"}
