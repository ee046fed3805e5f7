# SPDX-License-Identifier: Apache-2.0
"""Mutated files: a result or an ``InputError``, finite samples, and never a hang."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from helpers.badfiles import encode, tone

from auricle.audio.decode import Limits, read_audio
from auricle.errors import InputError

FORMATS = {
    "WAV": "PCM_16",
    "FLAC": "PCM_16",
    "OGG": "VORBIS",
    "MP3": "MPEG_LAYER_III",
    "CAF": "PCM_16",
    "W64": "PCM_16",
}
MUTANTS = 300
MAX_SECONDS = 5.0


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip, cut, insert, repeat or zero some bytes; half of the time in the header."""
    damaged = bytearray(data)
    reach = min(len(damaged), 120) if rng.random() < 0.5 else len(damaged)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(0, reach))
        kind = rng.integers(0, 5)
        if kind == 0:
            damaged[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            damaged[at : at + 4] = rng.bytes(4)
        elif kind == 2:
            damaged[at : at + 4] = rng.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"])
        elif kind == 3:
            damaged[at:at] = damaged[at : at + int(rng.integers(1, 200))]
        else:
            del damaged[at : at + int(rng.integers(1, 200))]
        reach = max(1, min(reach, len(damaged) - 1))
    return bytes(damaged)


@pytest.mark.parametrize("format", FORMATS)
def test_mutants(format):
    data = encode(tone(4_000), format, FORMATS[format])
    rng = np.random.default_rng(20)
    outcomes = set()
    for _ in range(MUTANTS // len(FORMATS) * 2):
        mutant = mutate(data, rng)
        begin = time.monotonic()
        try:
            audio = read_audio(io.BytesIO(mutant), sample_rate=16_000, limits=Limits(max_duration_s=600))
        except InputError as error:
            outcomes.add(error.code)
        else:
            outcomes.update(flag.code for flag in audio.flags)
            assert np.isfinite(audio.samples).all()
            assert len(audio.samples) > 0
        assert time.monotonic() - begin < MAX_SECONDS
    assert "internal" not in outcomes
    assert len(outcomes) >= 2, "mutations were noticed"
