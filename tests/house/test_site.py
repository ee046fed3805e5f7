# SPDX-License-Identifier: Apache-2.0
"""The pages that scripts/make_site.py prepares: all in the navigation, links that lead somewhere, no warnings."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import make_site
import pytest


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "pages"
    make_site.prepare(folder)
    return folder


def toctree_entries(page: Path) -> list[str]:
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]


def test_every_page_is_in_the_navigation_once(site):
    placed = [
        posixpath.normpath(posixpath.join(page.parent.relative_to(site).as_posix(), entry)) + ".md"
        for page in site.rglob("*.md")
        for entry in toctree_entries(page)
    ]
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.md")} - {"index.md"}
    pages = {page for page in pages if not page.startswith("files/")}
    assert sorted(placed) == sorted(pages)


def test_links_lead_to_pages_and_files_of_the_site(site):
    missing = {}
    for page in site.rglob("*.md"):
        if "files" in page.relative_to(site).parts:
            continue
        targets = [match[2] for match in make_site.LINK.finditer(page.read_text(encoding="utf-8")) if match[2]]
        bad = [t for t in targets if "://" not in t and not t.startswith("mailto:") and not (page.parent / t).exists()]
        if bad:
            missing[page.name] = bad
    assert missing == {}


def test_links_are_rewritten_by_what_they_lead_to():
    text = "[a](sed.md#x) [b](../../README.md) [c](../results/) [d](../../examples/) [e](https://x.example) [f](#g)"
    turned, files = make_site.relinked(text, "docs/howto/archives.md")
    assert turned == (
        "[a](sed.md#x) [b](../files/README.md) [c](../results/README.md) d [e](https://x.example) [f](#g)"
    )
    assert files == {"README.md"}


def test_headings_become_sections_and_a_page_stands_in_the_first_that_names_it():
    readme = "# D\n\n## One\n[a](tutorial.md), [b](results/)\n\n## Two\n[a](tutorial.md), [c](cli.md#x)\n"
    assert list(make_site.sections(readme)) == [("One", ["tutorial.md", "results/README.md"]), ("Two", ["cli.md"])]


def test_entries_of_the_reference():
    assert make_site.entry("auricle.load") == ".. autofunction:: auricle.load"
    assert make_site.entry("auricle.Detector") == ".. autoclass:: auricle.Detector"
    assert make_site.entry("auricle.InputError").startswith(".. autoexception:: auricle.InputError")
    assert make_site.entry("auricle.__version__") == ".. autodata:: auricle.__version__"


def test_addresses_outside_are_listed():
    found = make_site.outside_addresses()
    assert "https://keepachangelog.com" in found
    assert all(address.startswith("http") for address in found)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("furo") is None, reason="needs the dependency group docs: make site installs it")
def test_the_site_builds_without_a_warning(tmp_path):
    make_site.prepare(tmp_path / "pages")
    command = make_site.sphinx_command(tmp_path / "pages", tmp_path / "html")
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=400, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "html" / "reference" / "detector.html").read_text(encoding="utf-8")
    assert 'id="auricle.Detector.tag"' in page
