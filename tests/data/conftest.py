# SPDX-License-Identifier: Apache-2.0
"""Small data sets on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def write():
    """Write a file, making its folders: ``write(path, text_or_bytes) -> path``."""

    def make(path: Path, content: str | bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make


@pytest.fixture
def wav():
    """Write a WAV of noise that no other call makes: ``wav(path, seconds=0.1, rate=8000) -> path``."""
    generator = np.random.default_rng(1)

    def make(path: Path, seconds: float = 0.1, rate: int = 8_000) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Named by content: some tests want endings that soundfile does not know.
        with path.open("wb") as file:
            samples = generator.uniform(-0.5, 0.5, round(seconds * rate))
            soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
        return path

    return make


@pytest.fixture
def table(tmp_path, wav, write):
    """Write a table, and a WAV for each file in its first column: ``table(text) -> path of data.csv``."""

    def make(text: str, name: str = "data.csv", audio: bool = True) -> Path:
        rows = text.strip("\n").splitlines()[1:]
        for listed in dict.fromkeys(row.split(",")[0] for row in rows):
            if audio and listed and not (tmp_path / listed).exists():
                wav(tmp_path / listed)
        return write(tmp_path / name, text)

    return make
