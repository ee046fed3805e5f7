# SPDX-License-Identifier: Apache-2.0
"""Fixtures for all tests: where the shared data is, and small sounds."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import numpy as np
import pytest

# Read when torch is loaded. Networks of tests are too small for more threads, and processes that tests fork cannot use
# the threads of the process they come from: groups of processes were seen to hang.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell that runs the tests in its background lets them ignore Ctrl-C, and the processes that they start inherit that:
# a test that presses it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def without_fsync():
    """Do not wait for the disk: that only a crash of the machine would show. The tests of faults do wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data: ``AURICLE_SHARED``, else ``shared`` beside the checkout, else the test is skipped."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("AURICLE_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set AURICLE_SHARED")
    return folder


@pytest.fixture(scope="session")
def tone():
    """Make a sine: ``tone(seconds, rate=16000, frequency=440, level=0.3) -> (time,) float32``."""

    def make(seconds: float = 1.0, rate: int = 16_000, frequency: float = 440.0, level: float = 0.3) -> np.ndarray:
        time = np.arange(round(seconds * rate)) / rate
        return (level * np.sin(2 * np.pi * frequency * time)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def encode():
    """Encode samples in memory: ``encode(samples, rate=16000, format="WAV", subtype=None) -> bytes``."""
    import soundfile

    def make(samples: np.ndarray, rate: int = 16_000, format: str = "WAV", subtype: str | None = None) -> bytes:
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate, format=format, subtype=subtype)
        return buffer.getvalue()

    return make
