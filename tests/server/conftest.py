# SPDX-License-Identifier: Apache-2.0
"""Servers that tests share, with a model whose scores can be worked out by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from helpers.serving import Running, running, wait_for
from helpers.tinybundle import RATE, make_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """A model folder: labels ``loud`` (mean of ``|x|`` in 0.1 s) and ``quiet``, at 1 kHz."""
    rates = {"rates": [0.1, 0.2], "thresholds": [0.99, 0.4], "coverage": [0.1, 0.9], "clips": 40, "others": 200}
    return make_bundle(tmp_path_factory.mktemp("models") / "tiny", abstention=rates)


@pytest.fixture(scope="session")
def tiny(bundle):
    """A server with that model, which most tests share."""
    with running([str(bundle.path)]) as found:
        wait_for(lambda: found.service.state is None)
        yield found


@pytest.fixture(scope="session")
def gate_only(bundle):
    """Make servers without workers: ``gate_only(**settings)``; whatever needs no score can be tested there."""

    @contextlib.contextmanager
    def make(**changes: Any) -> Iterator[Running]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("auricle.server.workers.WorkerPool.start", lambda pool: None)
            with running([str(bundle.path)], **changes) as found:
                wait_for(lambda: found.service.state is None)
                yield found

    return make


@pytest.fixture(scope="session")
def buzz() -> np.ndarray:
    """Two seconds at 1 kHz, loud from 0.5 s to 1 s; ``|x|`` is the level."""
    level = np.full(2 * RATE, 0.125, np.float32)
    level[RATE // 2 : RATE] = 0.75
    return level * np.tile(np.array([1, -1], np.float32), RATE)


@pytest.fixture(scope="session")
def wav(encode, buzz) -> bytes:
    """The same as a WAV file."""
    return encode(buzz, RATE, subtype="FLOAT")
