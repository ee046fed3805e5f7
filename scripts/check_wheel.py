# SPDX-License-Identifier: Apache-2.0
"""Look into what a release holds: all that it should, and nothing else.

python scripts/check_wheel.py dist/auricle-*.whl dist/auricle-*.tar.gz

A wheel has every file of ``src/auricle``, the licence and the notice. A source distribution has every file that the
repository tracks. Both state the licence of the code together with the terms of the models that are in the package.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
LICENCES = {"LICENSE", "NOTICE"}
#: Of code, weights, and names of classes.
TERMS = {"Apache-2.0", "MIT", "CC-BY-SA-4.0"}
#: What building writes into a source distribution.
WRITTEN = ("PKG-INFO", "setup.cfg", "src/auricle.egg-info/")


def expected_files() -> set[str]:
    """Return the names of the package's files, as a wheel writes them."""
    files = (path for path in (SOURCE / "auricle").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(SOURCE).as_posix() for path in files}


def tracked_files() -> set[str]:
    """Return the names of the files that the repository tracks."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return set(found.stdout.split("\0")) - {""}


def problems_of(names: set[str]) -> list[str]:
    """Return what is wrong with a wheel that holds these names, one line each."""
    expected = expected_files()
    package = {name for name in names if ".dist-info/" not in name}
    licences = {Path(name).name for name in names if ".dist-info/licenses/" in name}
    missing = [f"missing: {name}" for name in sorted(expected - package)]
    extra = [f"not of the package: {name}" for name in sorted(package - expected)]
    return missing + extra + [f"missing: {name} (license-files)" for name in sorted(LICENCES - licences)]


def problems_of_source(names: set[str], tracked: set[str]) -> list[str]:
    """Return what is wrong with a source distribution that holds these names, one line each.

    Args:
        names: of its files, without the folder that all lie in.
        tracked: what the repository holds.
    """
    own = {name for name in names if not name.startswith(WRITTEN)}
    missing = [f"missing: {name}" for name in sorted(tracked - own)]
    extra = [f"not of the repository: {name}" for name in sorted(own - tracked)]
    return missing + extra + ["missing: PKG-INFO"] * ("PKG-INFO" not in names)


def problems_of_metadata(text: str) -> list[str]:
    """Return what is wrong with the metadata of a distribution, one line each."""
    said = HeaderParser().parsestr(text)
    expression = said.get("License-Expression", "")
    problems = [f"License-Expression {expression!r} lacks {term}" for term in sorted(TERMS - set(expression.split()))]
    absent = LICENCES - set(said.get_all("License-File", []))
    return problems + [f"License-File lacks {name}" for name in sorted(absent)]


def look_into(path: str) -> tuple[int, list[str]]:
    """Return how many files a distribution holds, and what is wrong with it."""
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as wheel:
            names = set(wheel.namelist())
            (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
            text = wheel.read(metadata).decode("utf-8")
        return len(names), problems_of(names) + problems_of_metadata(text)
    with tarfile.open(path) as archive:
        members = {m.name.partition("/")[2]: m for m in archive.getmembers() if m.isfile()}
        file = archive.extractfile(members["PKG-INFO"]) if "PKG-INFO" in members else None
        text = "" if file is None else file.read().decode("utf-8")
    return len(members), problems_of_source(set(members), tracked_files()) + problems_of_metadata(text)


def main(paths: list[str]) -> int:
    """Print what is wrong with the distributions; returns the exit code."""
    wrong = False
    for path in paths:
        count, problems = look_into(path)
        for line in problems:
            print(f"{path}: {line}", file=sys.stderr)  # noqa: T201
        if not problems:
            print(f"{path}: {count} files, nothing missing, nothing else")  # noqa: T201
        wrong = wrong or bool(problems)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
