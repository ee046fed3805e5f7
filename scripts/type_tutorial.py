# SPDX-License-Identifier: Apache-2.0
"""Type a tutorial as it is printed, in an empty folder, and compare what comes out with what the page says.

    python scripts/type_tutorial.py docs/tutorials/wildlife.md           # with the auricle that is installed
    python scripts/type_tutorial.py docs/tutorials/*.md --wheel W.whl   # each in a new environment with a wheel

Blocks ``sh`` are typed into one shell. A block ``python`` is saved where the sentence before it names a file
(`` `name.py` ``), else it is run. A block ``text`` is what the block before it prints; ``...`` stands for anything.
``pip install auricle`` installs the wheel; without ``--wheel`` it is left out. ``docker`` always is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_END = "--- end of block ---"


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, its text, the file that the sentence before it names, and its output."""

    language: str
    text: str
    file: str | None
    output: str | None


def blocks_of(page: str) -> list[Block]:
    """Return what is typed, in its order."""
    found = list(_BLOCK.finditer(page))
    blocks = []
    for match, after in zip(found, [*found[1:], None], strict=True):
        before = page[: match.start()].rstrip().rpartition("\n")[2]
        names = re.findall(r"`(\w+\.py)`", before)
        output = after[2] if after is not None and after[1] == "text" else None
        if match[1] in ("sh", "python"):
            file = names[-1] if names and match[1] == "python" else None
            blocks.append(Block(match[1], match[2], file, output))
    return blocks


def commands_for(block: Block, number: int, *, skipped: tuple[str, ...]) -> str:
    """Return the lines for the shell: a block of Python becomes a file that is run, or only saved."""
    if block.language == "python":
        name = block.file or f"block{number}.py"
        saved = f"cat > {name} <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\n"
        return saved if block.file else f"{saved}python {name}\n"
    lines = block.text.splitlines()
    return "\n".join(line for line in lines if not line.startswith(skipped)) + "\n"


def fits(output: str, expected: str) -> bool:
    """Tell whether an output is the expected one, in which ``...`` stands for anything; outer spaces do not count.

    >>> fits("a 12 b", "a ... b")
    True
    """
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    return re.fullmatch(pattern, output.strip(), re.S) is not None


def type_page(page: Path, folder: Path, environment: dict[str, str], *, install: bool) -> list[str]:
    """Type a page in a folder; returns what went otherwise than the page says, a line each."""
    skipped = ("docker ",) if install else ("docker ", "pip install")
    problems = []
    with subprocess.Popen(
        ["bash", "--norc"],  # noqa: S607 (whichever the system has)
        cwd=folder,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as shell:
        for number, block in enumerate(blocks_of(page.read_text(encoding="utf-8"))):
            script = folder / f".block{number}.sh"
            script.write_text(commands_for(block, number, skipped=skipped), encoding="utf-8")
            status, said = _type(shell, script.name)
            if status != "0":
                problems.append(f"{page.name}, block {number} ended with {status or 'the shell'}: {block.text.strip()}")
            if block.output is not None and not fits(said, block.output):
                problems.append(f"{page.name}, block {number} printed:\n{said}instead of:\n{block.output}")
            if not status:
                break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)  # what a block that failed left behind
    return problems


def _type(shell: subprocess.Popen[str], script: str) -> tuple[str, str]:
    """Let the shell run a file; returns its exit code, empty where the shell has ended, and what it printed."""
    stdin, stdout = cast("IO[str]", shell.stdin), cast("IO[str]", shell.stdout)
    stdin.write(f". ./{script}; status=$?; echo; echo '{_END}' $status\n")
    stdin.flush()
    lines: list[str] = []
    while (line := stdout.readline()) and not line.startswith(_END):
        lines.append(line)
    return line.removeprefix(_END).strip(), "".join(lines)


def new_environment(folder: Path, wheel: Path) -> dict[str, str]:
    """Make an empty environment in which ``pip install auricle`` means the wheel; returns its variables."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)  # noqa: S603
    constraint = folder / "wheel.txt"
    constraint.write_text(f"auricle=={wheel.name.split('-')[1]}\n", encoding="utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"]])
    added = {"PIP_CONSTRAINT": str(constraint), "PIP_FIND_LINKS": str(wheel.resolve().parent)}
    joined = {name: " ".join(filter(None, [value, os.environ.get(name, "")])) for name, value in added.items()}
    return {**kept, **joined, "PATH": path, "VIRTUAL_ENV": str(folder)}


def main() -> int:
    """Type the pages; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--wheel", type=Path)
    arguments = parser.parse_args()
    problems = []
    for page in arguments.pages:
        with tempfile.TemporaryDirectory(prefix="tutorial-") as name:
            folder = Path(name)
            (folder / "work").mkdir()
            environment = dict(os.environ)
            if arguments.wheel is not None:
                environment = new_environment(folder / "environment", arguments.wheel)
            begin = time.monotonic()
            found = type_page(page, folder / "work", environment, install=arguments.wheel is not None)
            problems += found
            print(f"{page}: {len(found)} problems, {time.monotonic() - begin:.0f} s", flush=True)  # noqa: T201
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
