# SPDX-License-Identifier: Apache-2.0
"""The three tutorials do what they say, typed as they are printed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from type_tutorial import blocks_of, commands_for, fits, type_page

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))


def test_there_are_three():
    assert [page.stem for page in TUTORIALS] == ["backend", "research", "wildlife"]


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorial(page, tmp_path):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    assert type_page(page, tmp_path, {**os.environ, "PATH": path}, install=False) == []


def test_blocks_are_taken_apart():
    page = (
        "Save as `a.py`:\n\n```python\nx = 1\n```\n\n```sh\npip install auricle\npython a.py\n```\n\n```text\n1\n```\n"
    )
    first, second = blocks_of(page)
    assert (first.file, first.output, second.file, second.output) == ("a.py", None, None, "1\n")
    assert commands_for(first, 0, skipped=()) == "cat > a.py <<'END_OF_BLOCK'\nx = 1\nEND_OF_BLOCK\n"
    assert commands_for(second, 1, skipped=("pip install",)) == "python a.py\n"


def test_what_goes_wrong_is_reported(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```sh\nfalse\n```\n\n```sh\necho one two\n```\n\n```text\none three\n```\n\n```sh\nexit 3\n```\n")
    failed, printed, left = type_page(page, tmp_path, dict(os.environ), install=False)
    assert "block 0 ended with 1: false" in failed
    assert "printed:\none two\n" in printed
    assert "block 2 ended with the shell" in left


def test_dots_stand_for_anything():
    assert fits("a 1\nb\n", "a ...b")
    assert not fits("a 1\nc\n", "a ...b")
