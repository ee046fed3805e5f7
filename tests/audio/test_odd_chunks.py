# SPDX-License-Identifier: Apache-2.0
"""Chunks without pad bytes and tags around files: the sound alone is heard, all of it, and no flag says otherwise."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from helpers.oddfiles import (
    FRAMES,
    PCM8,
    PCM16_BE,
    PCM16_LE,
    PCM24_BE,
    PCM24_LE,
    aiff,
    ape,
    assert_is_the_sound,
    au,
    caf,
    comm,
    encode,
    fmt,
    id3v1,
    id3v2,
    lyrics3,
    read,
    riff,
    w64,
    wav,
)

from auricle.audio.headers.chunks import RIFF, W64
from auricle.audio.source import MemorySource
from auricle.errors import InputError

ODD = b"an odd length"
assert len(ODD) % 2 == 1


@pytest.mark.parametrize("name", [b"LIST", b"bext", b"iXML", b"id3 ", b"JUNK", b"cart", b"_PMX", b"abcd"])
@pytest.mark.parametrize("place", [0, 1])
def test_an_odd_chunk_without_pad_before_the_data_of_a_wav(name, place):
    chunks = [(b"fmt ", fmt()), (b"data", PCM16_LE)]
    chunks.insert(place, (name, ODD))
    audio, codes = read(riff(chunks, pad=False))
    assert_is_the_sound(audio)
    assert codes == set()


@pytest.mark.parametrize("name", [b"LIST", b"ID3 ", b"smpl", b"wxyz"])
@pytest.mark.parametrize(("bits", "data"), [(24, PCM24_LE), (8, PCM8)])
@pytest.mark.parametrize("pad", [False, True])
def test_odd_data_before_another_chunk(name, bits, data, pad):
    audio, codes = read(riff([(b"fmt ", fmt(bits)), (b"data", data), (name, b"AAAA" * 500)], pad=pad))
    assert_is_the_sound(audio, tolerance=0.01 if bits == 8 else 1e-4)
    assert codes == set()


def test_several_chunks_in_turn_without_pad():
    chunks = [(b"LIST", ODD), (b"fmt ", fmt()), (b"note", ODD), (b"bext", b"x" * 603), (b"data", PCM16_LE)]
    audio, codes = read(riff([*chunks, (b"LIST", ODD), (b"id3 ", ODD)], pad=False))
    assert_is_the_sound(audio)
    assert codes == set()


def test_big_endian_wav_and_rf64_without_pad():
    chunks = [(b"fmt ", fmt(order=">")), (b"LIST", ODD), (b"data", PCM16_BE)]
    audio, codes = read(riff(chunks, pad=False, name=b"RIFX", order=">"))
    assert_is_the_sound(audio)
    assert codes == set()
    ds64 = struct.pack("<QQQI", 0, len(PCM16_LE), FRAMES, 0)
    data = riff([(b"ds64", ds64), (b"bext", ODD), (b"fmt ", fmt()), (b"data", PCM16_LE)], pad=False, name=b"RF64")
    at = data.index(b"data" + struct.pack("<I", len(PCM16_LE))) + 4
    audio, codes = read(data[:at] + b"\xff" * 4 + data[at + 4 :])
    assert_is_the_sound(audio)
    assert codes == set()


@pytest.mark.parametrize("name", [b"NAME", b"ANNO", b"ID3 ", b"qwer"])
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("pad", [False, True])
def test_odd_chunks_of_aiff(name, place, pad):
    chunks = [(b"COMM", comm(24)), (b"SSND", PCM24_BE)]
    chunks.insert(place, (name, ODD))
    audio, codes = read(aiff(chunks, pad=pad))
    assert_is_the_sound(audio)
    assert codes == set()


@pytest.mark.parametrize("name", [b"bext", b"junk"])
@pytest.mark.parametrize("pad", [False, True])
def test_chunks_of_w64_that_are_not_padded_to_8(name, pad):
    audio, codes = read(w64([(name, ODD), (b"fmt ", fmt()), (b"data", PCM16_LE), (b"levl", ODD)], pad=pad))
    assert_is_the_sound(audio)
    assert codes == set()


def test_a_second_data_chunk_is_not_left_out_in_silence():
    audio, codes = read(riff([(b"fmt ", fmt()), (b"data", PCM16_LE), (b"data", PCM16_LE)], pad=True))
    assert_is_the_sound(audio)
    assert codes == {"trailing_data"}


def test_where_the_next_chunk_is():
    data = MemorySource(b"LIST\x03\0\0\0abcdata\x04\0\0\0wxyz")
    assert RIFF.behind(data, 11) == 11
    assert RIFF.behind(MemorySource(b"LIST\x03\0\0\0abc\0data\x04\0\0\0wxyz"), 11) == 12
    assert [chunk.name for chunk in RIFF.walk(data, 0)] == [b"LIST", b"data"]
    assert W64.chunk_at(MemorySource(b"data" + bytes(20)), 0) is None, "a name alone is no W64 chunk"


FORMATS = {
    "wav": wav(),
    "aiff": aiff([(b"COMM", comm()), (b"SSND", PCM16_BE)], pad=True),
    "w64": w64([(b"fmt ", fmt()), (b"data", PCM16_LE)], pad=True),
    "caf": caf(),
    "au": au(),
    "flac": encode("FLAC"),
}
TAGS = {"id3v1": id3v1(), "ape": ape(), "ape without header": ape(header=False), "lyrics": lyrics3()}
TAGS["all"] = TAGS["ape"] + TAGS["lyrics"] + TAGS["id3v1"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tag", [id3v2(75), id3v2(20_001), id3v2(300) + bytes(700), ape(), id3v2(9) + id3v2(200)])
def test_a_tag_before_any_format(format, tag):
    audio, codes = read(tag + FORMATS[format])
    assert_is_the_sound(audio)
    assert codes == set()


@pytest.mark.parametrize("format", ["OGG", "MP3"])
@pytest.mark.parametrize("tag", [id3v2(75), id3v2(20_001)])
def test_a_tag_before_a_codec_changes_nothing(format, tag):
    plain, _ = read(encode(format))
    audio, codes = read(tag + encode(format))
    assert np.array_equal(audio.samples, plain.samples)
    assert codes == set()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_behind_any_format(format, tag):
    audio, codes = read(FORMATS[format] + TAGS[tag])
    assert_is_the_sound(audio)
    assert codes == set()


@pytest.mark.parametrize("format", ["OGG", "MP3"])
@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_behind_a_codec_changes_nothing(format, tag):
    plain, _ = read(encode(format))
    audio, codes = read(encode(format) + TAGS[tag])
    assert np.array_equal(audio.samples, plain.samples)
    assert codes == set()


@pytest.mark.parametrize("format", ["wav", "aiff", "w64", "caf", "au"])
@pytest.mark.parametrize("tag", [id3v2(300), id3v2(90) + id3v1()])
def test_a_tag_of_the_front_behind_the_audio(format, tag):
    """Its writer has counted it into the size of the file, where there is one."""
    data = FORMATS[format] + tag
    if format in {"wav", "aiff"}:
        data = data[:4] + struct.pack("<I" if format == "wav" else ">I", len(data) - 8) + data[8:]
    audio, codes = read(data)
    assert_is_the_sound(audio)
    assert codes == set()


@pytest.mark.parametrize("junk", [b"\xaa" * 700, b"no tag at all, just words" * 9])
def test_junk_behind_flac_is_said_and_no_sound_is_lost(junk):
    audio, codes = read(encode("FLAC") + junk)
    assert_is_the_sound(audio)
    assert codes == {"trailing_data"}


def test_samples_that_spell_a_tag_are_samples():
    data = bytearray(PCM16_LE)
    data[-128:-125] = b"TAG"  # the rest of the 128 bytes is sound, not text
    audio, codes = read(wav(bytes(data)))
    assert len(audio.samples) == FRAMES
    assert codes == set()


@pytest.mark.parametrize("tag", [id3v2(50), id3v2(50) + bytes(90), id3v2(50) + id3v1(), ape()])
def test_tags_alone_have_no_audio(tag):
    with pytest.raises(InputError) as caught:
        read(tag)
    assert caught.value.code == "no_audio"


def test_four_letters_alone_make_no_video():
    with pytest.raises(InputError) as caught:
        read(b"v=0\no=-\nAVI \nm=audio 4000 RTP/AVP 0\n")
    assert caught.value.code == "not_audio"
