# SPDX-License-Identifier: Apache-2.0
"""Samples that are narrower than their containers, at the high end of them and at the low one."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.oddfiles import (
    FRAMES,
    PCM16_LE,
    SOUND,
    aiff,
    assert_is_the_sound,
    caf,
    comm,
    extensible,
    fmt,
    read,
    riff,
    w64,
    wav,
)

from auricle.audio.headers.containers import container_bytes, justification_gain
from auricle.audio.source import MemorySource


def pack(bits: int, width: int, *, low: bool, order: str = "little") -> bytes:
    """Samples of ``bits`` in containers of ``width`` bytes, at the high end or the low one."""
    shift = 0 if low else 8 * width - bits
    values = np.round(SOUND.astype(np.float64) * (1 << bits - 1)).astype(np.int64)
    return b"".join((int(value) << shift).to_bytes(width, order, signed=True) for value in values)


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize(("bits", "width"), [(24, 4), (20, 3), (20, 4), (12, 2)])
def test_wav_and_w64(bits, width, low):
    data, form = pack(bits, width, low=low), fmt(bits, width)
    for file in (wav(data, form), w64([(b"fmt ", form), (b"data", data)], pad=True)):
        audio, codes = read(file)
        assert_is_the_sound(audio, tolerance=1e-3 if bits == 12 else 1e-4)
        assert codes == set()


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize(("bits", "valid"), [(32, 24), (24, 20), (32, 20), (16, 12)])
def test_an_extensible_format_says_the_valid_bits(bits, valid, low):
    audio, codes = read(wav(pack(valid, bits // 8, low=low), extensible(bits, valid)))
    assert_is_the_sound(audio, tolerance=1e-3 if valid == 12 else 1e-4)
    assert codes == set()


@pytest.mark.parametrize("valid", [0, 32, 99])
def test_valid_bits_that_say_nothing(valid):
    audio, codes = read(wav(pack(32, 4, low=False), extensible(32, valid)))
    assert_is_the_sound(audio)
    assert codes == set()


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize(("bits", "width"), [(24, 4), (20, 3), (12, 2)])
def test_caf(bits, width, low):
    audio, codes = read(caf(pack(bits, width, low=low, order="big"), bits=bits, width=width))
    assert_is_the_sound(audio, tolerance=1e-3 if bits == 12 else 1e-4)
    assert codes == set()
    audio, codes = read(caf(pack(bits, width, low=low), bits=bits, width=width, flags=2))
    assert_is_the_sound(audio, tolerance=1e-3 if bits == 12 else 1e-4)
    assert codes == set()


@pytest.mark.parametrize("low", [False, True])
@pytest.mark.parametrize(("bits", "width"), [(20, 3), (12, 2)])
def test_aiff(bits, width, low):
    audio, codes = read(aiff([(b"COMM", comm(bits)), (b"SSND", pack(bits, width, low=low, order="big"))], pad=True))
    assert_is_the_sound(audio, tolerance=1e-3 if bits == 12 else 1e-4)
    assert codes == set()


def test_more_bits_in_use_than_are_said_to_be():
    audio, codes = read(wav(pack(32, 4, low=False), extensible(32, 24)))
    assert_is_the_sound(audio)
    assert codes == {"header_conflict"}


def test_16_bits_in_a_frame_of_4_bytes_stay_a_conflict():
    """That may as well be a channel too few: nothing is guessed."""
    _, codes = read(riff([(b"fmt ", fmt(16, 4)), (b"data", PCM16_LE)], pad=True))
    assert codes == {"header_conflict"}


def test_silence_is_at_both_ends():
    assert justification_gain(MemorySource(bytes(400)), 0, 400, 4, 24, "<") == 1


@pytest.mark.parametrize(
    ("bits", "frame", "channels", "width"), [(24, 8, 2, 4), (24, 6, 2, 3), (20, 4, 1, 4), (16, 4, 1, 2), (12, 2, 1, 2)]
)
def test_container_bytes(bits, frame, channels, width):
    assert container_bytes(bits, frame, channels) == width


@pytest.mark.parametrize(("raw", "gain"), [(b"\0\0\x10\x20", 1), (b"\x10\x20\x30\0", 256), (b"\x10\x20\xf0\xff", 256)])
def test_gain_by_hand(raw, gain):
    assert justification_gain(MemorySource(raw * 9), 0, 36, 4, 24, "<") == gain


def test_the_part_of_a_recording_has_the_gain_too():
    import io

    from auricle.audio.decode import read_audio

    audio = read_audio(io.BytesIO(wav(pack(24, 4, low=True), fmt(24, 4))), offset_s=0.1)
    assert np.abs(audio.samples - SOUND[1_600:FRAMES]).max() < 1e-4
