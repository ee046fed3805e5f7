# SPDX-License-Identifier: Apache-2.0
"""Small rules for every source file, each seen to catch its violation."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPDX = "# SPDX-License-Identifier: Apache-2.0"
FILES = sorted(
    path
    for folder in ("src", "tests", "scripts", "benchmarks", "experiments")
    for path in (ROOT / folder).rglob("*.py")
)


def number_defaults(source: str) -> list[int]:
    """Return the lines with ``x or 3``, which replaces a 0 that the user gave on purpose."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.BoolOp)
        and isinstance(node.op, ast.Or)
        and any(isinstance(v, ast.Constant) and type(v.value) in (int, float) and v.value != 0 for v in node.values[1:])
    ]


def relative_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_first_line_names_the_licence():
    assert [relative_name(path) for path in FILES if not path.read_text(encoding="utf-8").startswith(SPDX + "\n")] == []


def test_a_given_0_is_not_replaced():
    """``x or 3`` is ``is None`` meant badly."""
    found = {relative_name(path): number_defaults(path.read_text(encoding="utf-8")) for path in FILES}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_number_default_is_seen():
    assert number_defaults("a = b or 0.5\nc = d or e\nf = g or None\nh = i or 1\nj = k or 0") == [1, 4]


def test_no_module_changes_global_state_when_imported():
    """Importing auricle sets no thread counts, filters, seeds or log levels."""
    forbidden = ("warnings.simplefilter", "warnings.filterwarnings", "torch.set_num_threads", "random.seed")
    forbidden += ("np.random.seed", "torch.manual_seed", "logging.basicConfig", "sys.path.insert", "sys.path.append")
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
                inside = isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
                if not inside and ast.unparse(call.func) in forbidden:
                    found.append(f"{relative_name(path)}:{call.lineno}")
    assert found == []
