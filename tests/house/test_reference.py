# SPDX-License-Identifier: Apache-2.0
"""Every public name has an entry with an example in docs/reference, and every example gives what it says."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

import auricle

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
#: These train, or load what trains: many seconds.
SLOW = {"blocks.md", "functions.md", "results.md"}
PAGES = sorted(path.name for path in REFERENCE.glob("*.md") if path.name != "README.md")
ENTRY = re.compile(r"^## `(auricle\.[\w.]+)`\n(.*?)(?=^## |\Z)", re.M | re.S)


def entries(page: str) -> list[tuple[str, str]]:
    """Return the names that a page describes, with the text of their sections."""
    return ENTRY.findall((REFERENCE / page).read_text(encoding="utf-8"))


def examples(page: str) -> doctest.DocTest:
    """Return the examples of a page; the fence behind an output is no part of it."""
    text = re.sub(r"^```\w*$", "", (REFERENCE / page).read_text(encoding="utf-8"), flags=re.M)
    return doctest.DocTestParser().get_doctest(text, {}, page, str(REFERENCE / page), 0)


def test_every_public_name_has_one_entry():
    names = [name for page in PAGES if page != "blocks.md" for name, _ in entries(page)]
    assert sorted(names) == [f"auricle.{name}" for name in auricle.__all__]


def test_every_entry_has_an_example():
    assert [name for page in PAGES for name, text in entries(page) if "\n>>> " not in text] == []


def test_blocks_are_where_the_page_says():
    for name, _ in entries("blocks.md"):
        home, _, last = name.rpartition(".")
        assert getattr(importlib.import_module(home), last).__doc__, name


def test_modules_that_documents_import_from_have_an_entry():
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md")]
    named = {name.rpartition(".")[0] for name, _ in entries("blocks.md")}
    used = set(re.findall(r"^from (auricle\.[\w.]+) import", "\n".join(texts), re.M))
    assert used - named == {"auricle.data.read_options"}  # what Format's functions are given; draft.md has it


@pytest.mark.parametrize("page", [pytest.param(page, marks=pytest.mark.slow if page in SLOW else []) for page in PAGES])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_examples(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    globals_: dict[str, object] = {"__name__": "__main__"}
    for name in ("README.md", page):
        test = examples(name)
        assert test.examples
        test.globs = globals_
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
        said: list[str] = []
        runner.run(test, out=said.append, clear_globs=False)
        assert runner.failures == 0, "".join(said)
