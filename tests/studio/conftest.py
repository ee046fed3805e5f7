# SPDX-License-Identifier: Apache-2.0
"""A small folder of recordings, and servers on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from helpers.serving import wait_for
from helpers.studios import RATE, Client, beeps, serving

from auricle.studio.project import Studio


@pytest.fixture(scope="session")
def template(tmp_path_factory) -> Path:
    """Recordings: ``a.wav`` (12 s, beeps at 1, 5 and 9 s), ``b.wav`` (8 s, one at 3 s), ``deep/c.flac`` (6 s, none)."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "deep").mkdir()
    soundfile.write(folder / "a.wav", beeps(12, [1, 5, 9]), RATE)
    soundfile.write(folder / "b.wav", beeps(8, [3], seed=1), RATE)
    soundfile.write(folder / "deep" / "c.flac", beeps(6, [], seed=2), RATE)
    return folder


@pytest.fixture
def folder(template, tmp_path) -> Path:
    """A copy of them, to be changed."""
    return Path(shutil.copytree(template, tmp_path / "recordings"))


@pytest.fixture
def studio(folder) -> Iterator[Studio]:
    with Studio(folder, by="ann") as found:
        yield found


@pytest.fixture(scope="module")
def client(template, tmp_path_factory) -> Iterator[Client]:
    """A server that the tests of a module share; its project lies outside of the folder."""
    database = tmp_path_factory.mktemp("project") / "p.sqlite"
    with Studio(template, database=database, by="ann") as found, serving(found) as running:
        wait_for(lambda: found.state()["indexed"] == {"done": 26, "total": 26})
        yield running
