# SPDX-License-Identifier: Apache-2.0
"""A tiny model, a few recordings, and ways to run the command line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import soundfile

from auricle.cli.main import main
from helpers.tinybundle import RATE, make_bundle


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model folder: labels ``loud`` (mean of ``|x|`` in 0.1 s) and ``quiet`` (one minus that), at 1 kHz."""
    return str(make_bundle(tmp_path_factory.mktemp("models") / "tiny").path)


@pytest.fixture
def recordings(tmp_path):
    """A folder with ``a.wav`` (2 s, loud from 0.5 s to 1 s), ``deep/b.wav`` (1 s, quiet) and ``broken.wav``."""
    folder = tmp_path / "recordings"
    (folder / "deep").mkdir(parents=True)
    loud = np.full(2 * RATE, 0.125, np.float32)
    loud[RATE // 2 : RATE] = 0.75
    buzz = np.tile(np.array([1, -1], np.float32), RATE)  # the highest sound there is, so that ``|x|`` is the level
    soundfile.write(folder / "a.wav", loud * buzz, RATE, subtype="FLOAT")
    soundfile.write(folder / "deep" / "b.wav", 0.25 * buzz[:RATE], RATE, subtype="FLOAT")
    (folder / "broken.wav").write_text("<html>404</html>")
    return folder


@dataclass(frozen=True)
class Done:
    """What a command line left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def auricle(capsys):
    """Run a command line in this process: ``auricle("tag", "x.wav") -> Done``."""

    def run(*words: object) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        code = caught.value.code
        return Done(code if isinstance(code, int) else 0, printed.out, printed.err)

    return run


@pytest.fixture(scope="session")
def process():
    """Run a command line in a process of its own: ``process("tag", "-", input=b"...") -> CompletedProcess``."""

    def run(*words: object, **options: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "auricle", *(word if isinstance(word, bytes) else str(word) for word in words)]
        return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)

    return run
