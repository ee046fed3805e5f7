# SPDX-License-Identifier: Apache-2.0
"""Lengths that are left open, or wrong: the file says how much sound there is, and metadata behind it is none."""

from __future__ import annotations

import struct

import pytest
from helpers.badfiles import patch
from helpers.oddfiles import (
    FRAMES,
    PCM16_BE,
    PCM16_LE,
    PCM24_LE,
    aiff,
    assert_is_the_sound,
    au,
    caf,
    comm,
    encode,
    fmt,
    id3v1,
    read,
    riff,
    w64,
    wav,
)

from auricle.audio.headers.riff import is_open_length
from auricle.errors import InputError

LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT\x0d\0\0\0Lavf60.16.100\0"
#: What programs write where they do not know: FFmpeg, SoX and mplayer, arecord (twice), and others.
PLACEHOLDERS = (0xFFFFFFFF, 0x7FFFF000, 0x80000000, 0x7FFFFF00, 0x7FFFFFFF, 0x7FFFFFFE, 0xFFFFFFFC, 0xFFFFFFDB)


@pytest.mark.parametrize("declared", PLACEHOLDERS)
@pytest.mark.parametrize("tail", [b"", LIST, id3v1()])
def test_a_wav_of_open_length(declared, tail):
    data = patch(patch(wav(), 40, "<I", declared), 4, "<I", (declared + 36) % 2**32) + tail
    audio, codes = read(data)
    assert_is_the_sound(audio)
    assert codes == {"stream_header"}


@pytest.mark.parametrize("declared", [0xFFFFFFFF, 0x80000000])
def test_an_open_length_of_24_bits(declared):
    audio, codes = read(patch(wav(PCM24_LE, fmt(24)), 40, "<I", declared))
    assert_is_the_sound(audio)
    assert codes == {"stream_header"}


@pytest.mark.parametrize(("length", "is_open"), [(0x80000000, True), (0x7FFF0000, False), (0, False), (1 << 31, True)])
def test_which_lengths_are_open(length, is_open):
    assert is_open_length(length) is is_open


@pytest.mark.parametrize("tail", [b"", LIST])
def test_a_length_of_zero_with_sound_behind_it(tail):
    audio, codes = read(patch(wav(), 40, "<I", 0) + tail)
    assert_is_the_sound(audio)
    assert codes == {"length_conflict"}


def test_a_length_of_zero_before_a_chunk_is_no_sound():
    with pytest.raises(InputError) as caught:
        read(riff([(b"fmt ", fmt()), (b"data", b""), (b"LIST", b"INFO")], pad=True))
    assert caught.value.code == "no_audio"


@pytest.mark.parametrize("long_size", [(1 << 64) - 1, 1 << 63])
def test_rf64_of_open_length(long_size):
    ds64 = struct.pack("<QQQI", long_size, long_size, 0, 0)
    data = riff([(b"ds64", ds64), (b"fmt ", fmt()), (b"data", PCM16_LE)], pad=True, name=b"RF64")
    at = data.index(b"data" + struct.pack("<I", len(PCM16_LE))) + 4
    audio, codes = read(data[:at] + b"\xff" * 4 + data[at + 4 :])
    assert_is_the_sound(audio)
    assert codes == {"stream_header"}


@pytest.mark.parametrize("declared", [-1, (1 << 63) - 1])
def test_a_caf_of_open_length(declared):
    audio, codes = read(caf(declared=declared))
    assert_is_the_sound(audio)
    assert codes == {"stream_header"}


@pytest.mark.parametrize(
    ("declared", "code"), [(0, "length_conflict"), (4, "length_conflict"), (2_000, "length_conflict")]
)
def test_a_caf_whose_length_is_too_short(declared, code):
    audio, codes = read(caf(declared=declared))
    assert_is_the_sound(audio)
    assert codes == {code}


def test_chunks_behind_the_data_of_a_caf_are_no_sound():
    info = b"info" + struct.pack(">q", 12) + b"\0\0\0\1key\0pond"
    for data in (caf(tail=info), caf(tail=info + b"free" + struct.pack(">q", 90) + bytes(90))):
        audio, codes = read(data)
        assert_is_the_sound(audio)
        assert codes == set()


@pytest.mark.parametrize("declared", [(1 << 63) - 1, (1 << 64) - 1])
def test_a_w64_of_open_length(declared):
    data = w64([(b"fmt ", fmt()), (b"data", PCM16_LE)], pad=False)
    at = data.index(b"data") + 16
    audio, codes = read(patch(data, at, "<Q", declared))
    assert_is_the_sound(audio)
    assert codes == {"stream_header"}


@pytest.mark.parametrize("declared", [0, 24, 1_024])
def test_a_w64_whose_length_is_too_short(declared):
    data = w64([(b"fmt ", fmt()), (b"data", PCM16_LE)], pad=False)
    audio, codes = read(patch(data, data.index(b"data") + 16, "<Q", declared))
    assert_is_the_sound(audio)
    assert codes == {"length_conflict"}


@pytest.mark.parametrize("declared", [0xFFFFFFFF, 0x7F000008, 0x7FFFFFFF])
def test_an_aiff_of_open_length(declared):
    data = aiff([(b"COMM", comm(frames=0x7F000000 // 2)), (b"SSND", PCM16_BE)], pad=True)
    audio, codes = read(patch(data, data.index(b"SSND") + 4, ">I", declared))
    assert_is_the_sound(audio)
    assert codes == {"stream_header"}


@pytest.mark.parametrize("frames", [0, 100, 70_000])
def test_an_aiff_whose_number_of_samples_is_wrong(frames):
    audio, codes = read(aiff([(b"COMM", comm(frames=frames)), (b"SSND", PCM16_BE)], pad=True))
    assert_is_the_sound(audio)
    assert codes == {"length_conflict"}


@pytest.mark.parametrize(("declared", "code"), [(0xFFFFFFFF, "stream_header"), (0x7FFFFFFF, "stream_header")])
def test_an_au_of_open_length(declared, code):
    audio, codes = read(au(declared=declared))
    assert_is_the_sound(audio)
    assert codes == {code}


@pytest.mark.parametrize(("declared", "code"), [(0, "length_conflict"), (100, "length_conflict"), (9_000, "truncated")])
def test_an_au_of_a_wrong_length(declared, code):
    audio, codes = read(au(declared=declared))
    assert_is_the_sound(audio)
    assert codes == {code}


@pytest.mark.parametrize(("field", "value"), [(12, 0), (12, 70_000), (4, 8)])
def test_an_au_header_that_lies_about_its_own_length(field, value):
    with pytest.raises(InputError, match="an AU header says that its audio begins at byte") as caught:
        read(patch(au(), 4, ">I", 8 if field == 4 else value + 100_000))
    assert caught.value.code == "bad_header"


@pytest.mark.parametrize("tail", [b"", b"\0" * 90])
def test_flac_of_unknown_length(tail):
    data = encode("FLAC")
    fields = int.from_bytes(data[18:26], "big") >> 36 << 36
    audio, codes = read(data[:18] + fields.to_bytes(8, "big") + data[26:])
    assert_is_the_sound(audio, FRAMES)
    assert codes == set()
