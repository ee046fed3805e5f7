# SPDX-License-Identifier: Apache-2.0
"""The Python in the documents runs, on a model and a recording of the names it uses."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "runtime"))

from tinybundle import RATE, make_bundle

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", ROOT / "docs" / "tutorial.md")
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S))
]


def test_there_is_code():
    assert len(BLOCKS) >= 2


@pytest.mark.parametrize("block", BLOCKS)
def test_code_runs_and_prints_events(block, tmp_path, monkeypatch, capsys):
    make_bundle(tmp_path / "models" / "yard")
    noise = np.random.default_rng(0).uniform(-0.2, 0.2, 3 * RATE).astype(np.float32)
    soundfile.write(tmp_path / "night.flac", noise, RATE)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "the document", "exec"), {})
    assert "quiet" in capsys.readouterr().out
