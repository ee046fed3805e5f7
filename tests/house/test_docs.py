# SPDX-License-Identifier: Apache-2.0
"""Generated pages are fresh, links lead somewhere, and every command in the documents exists with its options."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import typer.main

from auricle.cli.main import make_app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "recipes").glob("*.md")],
)


def relative_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def make_docs(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(ROOT / "scripts" / "make_docs.py"), *arguments]
    return subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)


def test_generated_pages_are_fresh():
    assert make_docs("--check").stderr == ""


def commands_in(text: str) -> list[list[str]]:
    """Return the words of each ``auricle ...`` line in shell blocks and in inline code."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    lines += re.findall(r"`(auricle [^`]+)`", text)
    found = []
    for line in lines:
        for part in re.split(r"&&|\||;|>", line):
            words = shlex.split(part, comments=True)
            while words and "=" in words[0]:
                words = words[1:]
            if words[:1] == ["auricle"]:
                found.append(words[1:])
    return found


#: Building the tree of all commands takes a tenth of a second, and there are hundreds of lines to look at.
COMMANDS = typer.main.get_command(make_app())


def problem_with(words: list[str]) -> str | None:
    """Return what is wrong with one command line: an unknown command or option."""
    command = COMMANDS
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    context = typer.Context(command, **command.context_settings)
    known = {name for parameter in command.get_params(context) for name in parameter.opts}
    return next((f"no option {word}" for word in words if word.startswith("-") and word not in {*known, "-"}), None)


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_commands_in_the_documents_exist(page):
    problems = {" ".join(words): problem_with(words) for words in commands_in(page.read_text(encoding="utf-8"))}
    assert {line: problem for line, problem in problems.items() if problem is not None} == {}


def test_a_wrong_command_and_a_wrong_option_are_seen():
    text = "```sh\nFOO=1 auricle tga x.wav  # comment\nauricle tag x.wav --tip 3 | head\n```\nand `auricle data chekc`"
    assert [problem_with(words) for words in commands_in(text)] == [
        "no command 'tga'",
        "no option --tip",
        "no command 'chekc'",
    ]


@pytest.mark.parametrize("page", PAGES, ids=relative_name)
def test_links_between_pages_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert missing == []


def test_the_readme_is_short_and_names_only_make_targets_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    targets = set(re.findall(r"`(?:\S+=\S+ )?make ([a-z-]+)`", text)) | set(
        re.findall(r"^(?:\S+=\S+ )?make ([a-z-]+)", text, re.M)
    )
    assert {"demo", "test"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def test_decisions_are_numbered_once_and_their_headings_say_the_number():
    pages = sorted((ROOT / "docs/adr").glob("0*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert page.read_text(encoding="utf-8").startswith(f"# {int(page.name[:4])}. ")


def test_test_modules_have_names_of_their_own():
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, next_name in pairwise(names) if name == next_name] == []
