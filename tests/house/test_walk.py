# SPDX-License-Identifier: Apache-2.0
"""A newcomer's walk: what README and tutorial print is typed, line by line, in a folder with small sounds.

Only the training is shortened, to one pass, by the program called ``auricle`` that is put in front of the real one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from auricle.nn.frontends.kaldi_mel import KaldiMelSpec
from auricle.nn.modules.efficientat import EfficientAt, to_checkpoint
from auricle.synth.toy import synthesise

ROOT = Path(__file__).parents[2]
#: Lines that need a network, other weights, or never end by themselves; that they parse is tested elsewhere.
ELSEWHERE = ("make ", "pip ", "auricle serve", "auricle listen", "auricle studio", "auricle teach", "TORCH_INDEX_URL=")
SHORT = {"train": "--epochs 1", "crossval": "--set optim.epochs=1"}


def lines_of(page: str) -> list[str]:
    """Return the lines of a page's shell blocks, without comments."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M) for line in block.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith(("#", *ELSEWHERE))]


def furnish(place: Path) -> None:
    """Make what the pages speak of: clips, test clips, new ones, a night, a street, an owl and a teacher."""
    torch.save(to_checkpoint(EfficientAt(KaldiMelSpec(), 527, width=0.4)), place / "mn04.pt")
    for name, seed, count in (("clips", 0, 6), ("test-clips", 1, 2)):
        synthesise(place / name, clips_per_class=count, clip_s=1.0, sample_rate=16_000, seed=seed)
    (place / "clips" / "_negative_").mkdir()
    noise = np.random.default_rng(0)
    for i in range(6):
        soundfile.write(place / "clips" / "_negative_" / f"{i}.wav", noise.uniform(-0.1, 0.1, 16_000), 16_000)
    for name in ("new", "archive"):
        shutil.copytree(place / "test-clips", place / name)
    parts = [soundfile.read(path)[0] for path in sorted((place / "test-clips").rglob("*.wav"))]
    for name in ("night.flac", "street.wav", "owl.wav"):
        soundfile.write(place / name, np.concatenate(parts), 16_000)


def shorten(place: Path) -> Path:
    """Write a program ``auricle`` that is the real one with short trainings; returns its folder."""
    cases = "".join(f'  {verb}) exec "{sys.executable}" -m auricle "$@" {words} ;;\n' for verb, words in SHORT.items())
    program = place / "bin" / "auricle"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncase "$1" in\n{cases}  *) exec "{sys.executable}" -m auricle "$@" ;;\nesac\n')
    program.chmod(0o755)
    return program.parent


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/tutorial.md"])
def test_what_is_printed_works_as_it_is_typed(page, tmp_path):
    furnish(tmp_path)
    path = f"{shorten(tmp_path)}:{os.environ['PATH']}"
    lines = lines_of(page)
    assert len(lines) >= 6
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stderr.decode()}"
