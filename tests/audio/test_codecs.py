# SPDX-License-Identifier: Apache-2.0
"""Codec round trips: the sound stays, at its length, and loses what the codec takes."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.audio.codecs import CODECS, pass_codec
from auricle.errors import UsageError

RATE = 16_000


def level_at(samples: np.ndarray, hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) / (len(samples) / 4)
    at = round(hz * len(samples) / RATE)
    return float(spectrum[at - 3 : at + 4].max())


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("compression", [0.0, 1.0])
def test_a_sound_passes(tone, name, compression):
    sound = tone(1.0, frequency=500) + tone(1.0, frequency=6_000)
    out = pass_codec(sound, RATE, name, compression)
    assert out.shape == sound.shape
    assert out.dtype == np.float32
    assert level_at(out, 500) == pytest.approx(0.3, rel=0.2)
    telephone = CODECS[name].rate == 8_000
    assert (level_at(out, 6_000) < 0.01) == telephone or compression == 1.0
    assert not np.array_equal(out, sound)


def test_what_is_too_loud_is_clipped_and_a_short_sound_keeps_its_length():
    loud = np.full(777, 3.0, np.float32)
    out = pass_codec(loud, 8_000, "mulaw")
    assert out.shape == loud.shape
    assert 0.9 < out[300:400].max() <= 1


def test_an_unknown_codec_names_the_nearest():
    with pytest.raises(UsageError, match=r"unknown codec 'opsu' \(did you mean 'opus'\?\); known: mulaw, "):
        pass_codec(np.zeros(10, np.float32), RATE, "opsu")
