# SPDX-License-Identifier: Apache-2.0
"""No package imports back, and no modules import each other in a circle; imports inside functions count too.

What type checkers alone import does not run, and may name a neighbour; the layers hold for it too (``test_layers``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "auricle"

Graph = dict[str, set[str]]


def names_in(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports: ``a.b`` of ``import a.b``, and ``a.b`` and ``a.b.c`` of ``from a.b import c``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield from names_in(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_graph(sources: Mapping[str, str]) -> Graph:
    """Return which of the modules ``sources`` (text by dotted name) each of them imports."""
    found = {
        name: {target for target in names_in(ast.parse(text)) if target in sources} for name, text in sources.items()
    }
    # `from package import module` runs the package too, but what stands there is seldom what is meant.
    return {
        name: {t for t in targets if not any(u.startswith(f"{t}.") for u in targets)} - {name}
        for name, targets in found.items()
    }


def packages_of(name: str) -> list[str]:
    """Return the packages around a module, the outermost first: ``a.b.c`` lies in ``a`` and ``a.b``."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def package_graph(graph: Graph) -> Graph:
    """Return which packages import which, at the level where the two roads part: ``a.b.x`` to ``a.c.y`` is b to c."""
    edges: Graph = {}
    for name, targets in graph.items():
        for target in targets:
            for mine, other in zip([*packages_of(name), name], [*packages_of(target), target], strict=False):
                if mine != other:
                    edges.setdefault(mine, set()).add(other)
                    edges.setdefault(other, set())
                    break
    return edges


def circles(graph: Graph) -> list[list[str]]:
    """Return the sets of more than one node that can all reach each other (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(graph[node]):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            circle = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(circle) > 1:
                found.append(sorted(circle))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def dotted(paths: Iterable[Path]) -> dict[str, str]:
    names = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path.read_text(encoding="utf-8") for path, name in names.items()}


def auricle_modules() -> dict[str, str]:
    sources = dotted(PACKAGE.rglob("*.py"))
    del sources["auricle"]  # it names everything that is public, and loads it when asked
    return sources


@pytest.fixture(scope="module")
def graph() -> Graph:
    return module_graph(auricle_modules())


def test_no_modules_import_each_other_in_a_circle(graph):
    assert circles(graph) == []


def test_no_package_imports_back(graph):
    assert circles(package_graph(graph)) == []


def test_a_circle_is_seen_inside_functions_too():
    sources = {
        "a.x": "from a import y",
        "a.y": "def f():\n    import a.z",
        "a.z": "from a.x import g",
        "b": "import a.x",
    }
    assert circles(module_graph(sources)) == [["a.x", "a.y", "a.z"]]
    assert circles(module_graph({**sources, "a.z": ""})) == []
    only_typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a.x import g"
    assert circles(module_graph({**sources, "a.z": only_typed})) == []


def test_a_package_that_imports_back_is_seen_where_no_module_does():
    sources = {"a.p.x": "import a.q.y", "a.q.y": "", "a.q.z": "from a.p.w import f", "a.p.w": ""}
    graph = module_graph(sources)
    assert circles(graph) == []
    assert circles(package_graph(graph)) == [["a.p", "a.q"]]
    assert circles(package_graph(module_graph({**sources, "a.q.z": ""}))) == []
