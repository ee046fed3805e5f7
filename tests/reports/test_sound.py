# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import soundfile

from auricle.reports.sound import audio_uri


def decode(uri: str) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(base64.b64decode(uri.partition(",")[2])), dtype="float32")


def test_a_recording_comes_back_as_it_was(tone):
    samples = tone(0.5, 11_025)
    uri = audio_uri(samples, 11_025)
    assert uri is not None
    assert uri.startswith("data:audio/wav;base64,")
    back, rate = decode(uri)
    assert rate == 11_025
    assert np.abs(back - samples).max() < 1 / 32_000


def test_what_is_too_loud_is_clipped_and_does_not_wrap():
    back, _ = decode(audio_uri(np.array([2.0, -3.0], np.float32), 8_000))
    assert back == pytest.approx([1, -1], abs=1e-4)


def test_a_long_recording_is_compressed_and_keeps_its_length(tone):
    samples = tone(10.0)
    uri = audio_uri(samples, 16_000, largest_wav=100_000)
    assert uri.startswith("data:audio/ogg;base64,")
    assert len(uri) < 100_000
    back, rate = decode(uri)
    assert (len(back), rate) == (len(samples), 16_000)
    assert np.corrcoef(back, samples)[0, 1] > 0.99


@pytest.mark.parametrize("largest_ogg", [1_000, 25_000])
def test_what_no_page_can_hold_is_left_out(largest_ogg):
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000).astype(np.float32)
    assert audio_uri(noise, 16_000, largest_wav=1_000, largest_ogg=largest_ogg) is None
