# SPDX-License-Identifier: Apache-2.0
"""Header inspection: what each family's damage is called, and the header that replaces a lie."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from helpers.badfiles import cut, encode, mp4, tone, wav

from auricle.audio.headers.inspection import inspect_header
from auricle.audio.headers.layout import Layout, Part
from auricle.audio.headers.sniff import sniff
from auricle.audio.source import MemorySource
from auricle.errors import InputError

SHORT = np.zeros(100, np.float32)


def inspect(data: bytes) -> Layout:
    source = MemorySource(data)
    return inspect_header(source, sniff(source))


def without(data: bytes, name: bytes) -> bytes:
    """Rename a chunk, so that nobody finds it."""
    return data.replace(name, b"xxxx", 1)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"RIFF\0\0\0\0WAV", "a RIFF header cut after 11 bytes"),
        (without(wav(SHORT), b"fmt "), r"without a format \('fmt '\) before its data"),
        (wav(SHORT)[:16] + b"\x08\0\0\0" + wav(SHORT)[20:], "a format chunk of 8 bytes where 16 are the least"),
        (without(wav(SHORT), b"data"), "without a 'data' chunk"),
        (wav(SHORT)[:24] + bytes(4) + wav(SHORT)[28:], "the header says a sample rate of 0 Hz"),
        (wav(SHORT)[:22] + bytes(2) + wav(SHORT)[24:], "the header says 0 channels"),
        (b"fLaC\0\0\0\x22", "a FLAC file without stream information"),
        (b"fLaC\x04" + bytes(40), "a FLAC file without stream information"),
        (b"fLaC\0\0\0\x22" + bytes(34), "the FLAC header says a sample rate of 0 Hz"),
        (without(encode(SHORT, "AIFF"), b"COMM"), "an AIFF file without a 'COMM' chunk"),
        (encode(SHORT, "W64")[:100], "a W64 file without a 'data' chunk"),
        (encode(SHORT, "W64")[:56] + b"\xff" * 8 + bytes(60), r"a W64 chunk claims 18446744073709551615 bytes, 84 are"),
        (encode(SHORT, "CAF")[:500], r"CAF chunk b'free' claims 4016 bytes, 436 are left"),
        (encode(SHORT, "CAF")[:52], "a CAF file without a 'data' chunk"),
        (encode(SHORT, "AU")[:20], "an AU header cut after 20 bytes"),
        (b"OggS\0\x02" + bytes(20), "an Ogg file without one whole page"),
    ],
)
def test_damaged_headers(data, text):
    with pytest.raises(InputError, match=text) as caught:
        inspect(data)
    assert caught.value.code == "bad_header"


def test_good_wav_is_passed_on_untouched():
    layout = inspect(wav(SHORT))
    assert (layout.parts, layout.frames, layout.flags) == ((Part(),), 100, ())


def test_replaced_wav_header_declares_what_is_there():
    data = wav(SHORT)
    (part,) = inspect(data[:40] + bytes(4) + data[44:]).parts
    assert part == Part(data[:44], 44, 244), "the header as it should have been"


def test_wav_over_4_gib_gets_an_rf64_header():
    class Huge(MemorySource):
        size = 44 + 5 * 2**30

    data = wav(SHORT)[:40] + struct.pack("<I", 5 * 2**30 % 2**32)
    source = Huge(data)
    source.size = Huge.size
    (part,) = inspect_header(source, sniff(source)).parts
    assert part.header[:4] == b"RF64"
    assert struct.unpack("<Q", part.header[28:36])[0] == 5 * 2**30
    assert (part.start, part.stop) == (44, 44 + 5 * 2**30)


def test_flac_total_is_hidden_from_the_decoder():
    data = encode(SHORT, "FLAC")
    layout = inspect(data)
    (part,) = layout.parts
    assert layout.frames == 100
    assert len(part.header) == part.start == 26
    assert int.from_bytes(part.header[18:26], "big") & (2**36 - 1) == 0
    assert part.header[:18] == data[:18]


def test_ogg_chain_is_cut_at_its_links():
    data = encode(tone(8_000), "OGG")
    layout = inspect(data + data)
    assert layout.parts == (Part(b"", 0, len(data)), Part(b"", len(data), 2 * len(data)))


def test_ogg_cut_within_a_page():
    assert [flag.code for flag in inspect(cut(encode(tone(80_000), "OGG"))).flags] == ["truncated"]


def test_foreign_ogg_streams_need_codecs():
    page = b"OggS\0\x02" + bytes(20) + b"\x01\x08"
    assert inspect(page + b"\x80theora\0").needs_codecs
    assert not inspect(encode(SHORT, "OGG", "OPUS")).needs_codecs


def test_caf_length_not_known():
    data = encode(SHORT, "CAF")
    at = data.index(b"data") + 4
    layout = inspect(data[:at] + b"\xff" * 8 + data[at + 8 :])
    assert [flag.code for flag in layout.flags] == ["stream_header"]


def test_au_length_not_known():
    data = encode(SHORT, "AU")
    layout = inspect(data[:8] + b"\xff" * 4 + data[12:])
    assert ([flag.code for flag in layout.flags], layout.frames) == (["stream_header"], 100)


def test_mp3_with_xing_is_passed_on_and_without_gets_one():
    data = encode(tone(8_000), "MP3")
    assert inspect(data).parts == (Part(),)
    second = data.find(data[:2], 4)
    layout = inspect(data[second:])
    assert layout.length_hidden
    assert b"Xing" in layout.parts[0].header


def test_encrypted_mp4():
    pytest.importorskip("av")
    assert inspect(mp4()).flags == ()
    with pytest.raises(InputError, match="with encrypted sound; get it without protection") as caught:
        inspect(mp4().replace(b"mp4a", b"enca"))
    assert caught.value.code == "unsupported_codec"
