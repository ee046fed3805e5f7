# SPDX-License-Identifier: Apache-2.0
"""axe-core, the checker of accessibility: fetched by npm when a test wants it, never part of this repository."""

from __future__ import annotations

import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

VERSION = "4.10.2"


@lru_cache(maxsize=1)
def _source() -> str | None:
    npm = shutil.which("npm")
    if npm is None:
        return None
    with TemporaryDirectory() as folder:
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", f"axe-core@{VERSION}"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
        except (subprocess.SubprocessError, OSError):
            return None
        return (Path(folder) / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def axe_source() -> str:
    """Return the script; without npm or its network the test is skipped with the reason."""
    source = _source()
    if source is None:
        pytest.skip(f"axe-core {VERSION} could not be fetched: npm or its network is missing")
    return source


def serious_violations(page: Any, state: str) -> list[str]:
    """Return what axe finds serious or critical in the state that a page is in, one line a rule."""
    page.evaluate(axe_source())
    result = page.evaluate("axe.run(document)")
    assert len(result["passes"]) > 10, "axe looked at the page"
    found = result["violations"]
    return [
        f"{state}: {item['id']} ({item['impact']}): {item['help']}: "
        + "; ".join(f"{node['target']} {node.get('failureSummary', '')}" for node in item["nodes"][:3])
        for item in found
        if item["impact"] in ("serious", "critical")
    ]
