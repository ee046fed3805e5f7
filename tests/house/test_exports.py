# SPDX-License-Identifier: Apache-2.0
"""``auricle.__all__`` is what the package really offers, and every module imports."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import auricle

PACKAGE = Path(auricle.__file__).parent


def typed_names() -> set[str]:
    """Return what type checkers see: the names imported under TYPE_CHECKING."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}


def test_all_is_sorted_and_is_what_type_checkers_see():
    assert auricle.__all__ == sorted(auricle.__all__)
    assert set(auricle.__all__) == typed_names() | {"__version__"}


def test_dir_lists_what_is_public():
    assert dir(auricle) == sorted(auricle.__all__)


@pytest.mark.parametrize("name", auricle.__all__)
def test_every_public_name_can_be_had_and_is_documented(name):
    thing = getattr(auricle, name)
    assert name == "__version__" or thing.__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'auricle' has no attribute 'trian'"):
        auricle.trian  # noqa: B018


def modules() -> list[str]:
    paths = (path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py"))
    names = sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if name != "auricle.__main__"]


def test_every_module_imports_and_says_what_it_is_for():
    assert [name for name in modules() if not importlib.import_module(name).__doc__] == []
