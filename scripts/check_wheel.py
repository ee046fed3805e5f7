# SPDX-License-Identifier: Apache-2.0
"""Look into a wheel: every file of ``src/auricle``, the licence and the notice are in it, and nothing else.

python scripts/check_wheel.py dist/auricle-*.whl
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
LICENCES = {"LICENSE", "NOTICE"}


def expected_files() -> set[str]:
    """Return the names of the package's files, as a wheel writes them."""
    files = (path for path in (SOURCE / "auricle").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(SOURCE).as_posix() for path in files}


def problems_of(names: set[str]) -> list[str]:
    """Return what is wrong with a wheel that holds these names, one line each."""
    expected = expected_files()
    package = {name for name in names if ".dist-info/" not in name}
    licences = {Path(name).name for name in names if ".dist-info/licenses/" in name}
    missing = [f"missing: {name}" for name in sorted(expected - package)]
    extra = [f"not of the package: {name}" for name in sorted(package - expected)]
    return missing + extra + [f"missing: {name} (license-files)" for name in sorted(LICENCES - licences)]


def main(path: str) -> int:
    """Print what is wrong with the wheel at ``path``; returns the exit code."""
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    problems = problems_of(names)
    for line in problems:
        print(line, file=sys.stderr)  # noqa: T201
    if not problems:
        print(f"{path}: {len(names)} files, nothing missing")  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
