# SPDX-License-Identifier: Apache-2.0
"""Ogg: FLAC out of its pages, checksums, chains, gaps."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
import pytest
from helpers.badfiles import encode, tone
from helpers.oddfiles import FRAMES, assert_is_the_sound, id3v2, read

from auricle.audio.headers.ogg_pages import _sum, pages
from auricle.audio.source import MemorySource
from auricle.errors import InputError

SOUND = tone(40_000)


def page(body: list[bytes], *, flags: int, position: int, serial: int, number: int) -> bytes:
    """A page of whole packets."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in body)
    head = struct.pack("<4sBBqIIIB", b"OggS", 0, flags, position, serial, number, 0, len(lacing))
    raw = head + lacing + b"".join(body)
    return raw[:22] + _sum(raw).to_bytes(4, "little") + raw[26:]


def flac_frames(data: bytes) -> tuple[bytes, list[bytes]]:
    """The stream information, and frames found by their sync code and number."""
    at = 4
    while not data[at] & 0x80:
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    numbered: list[int] = []
    for i in range(at, len(data) - 6):
        is_next = data[i : i + 2] == data[at : at + 2] and data[i + 4] == len(numbered)
        if is_next and (not numbered or i - numbered[-1] > 1_000):
            numbered.append(i)
    return data[8:42], [data[a:b] for a, b in zip(numbered, [*numbered[1:], len(data)], strict=True)]


def ogg_flac(samples: np.ndarray, *, total: int | None = None, comment: int = 20, serial: int = 7) -> bytes:
    """FLAC in Ogg as FFmpeg writes it: a mapping packet, a comment, then one frame a page."""
    info, frames = flac_frames(encode(samples, "FLAC"))
    if total is not None:
        fields = int.from_bytes(info[10:18], "big") >> 36 << 36 | total
        info = info[:10] + fields.to_bytes(8, "big") + info[18:]
    first = b"\x7fFLAC\x01\0\0\x01fLaC\0\0\0\x22" + info
    vendor = b"\x84" + (8 + comment).to_bytes(3, "big") + struct.pack("<I", comment) + b"x" * comment + bytes(4)
    out = page([first], flags=2, position=0, serial=serial, number=0)
    out += page([vendor], flags=0, position=0, serial=serial, number=1)
    for number, frame in enumerate(frames):
        last = number == len(frames) - 1
        out += page([frame], flags=4 if last else 0, position=(number + 1) * 4096, serial=serial, number=number + 2)
    return out


def test_the_checksum_is_that_of_the_encoder():
    data = encode(SOUND, "OGG")
    found = list(pages(MemorySource(data)))
    assert found[0].start == 0
    assert all(a.stop == b.start for a, b in pairwise(found))
    assert found[-1].stop == len(data)
    assert _sum(data[: found[0].stop]) == int.from_bytes(data[22:26], "little")


@pytest.mark.parametrize("total", [None, 0])
@pytest.mark.parametrize("comment", [20, 5_000])
def test_flac_in_ogg_is_read_whole(total, comment):
    audio, codes = read(ogg_flac(SOUND, total=total, comment=comment))
    assert np.abs(audio.samples - SOUND).max() < 1e-4
    assert len(audio.samples) == len(SOUND)
    assert codes == set()


def test_flac_in_ogg_is_called_ogg_and_may_have_a_tag_before_it():
    import io

    from auricle.audio.decode import probe

    assert probe(io.BytesIO(ogg_flac(SOUND))).format == "OGG"
    audio, codes = read(id3v2(70) + ogg_flac(tone(FRAMES)))
    assert_is_the_sound(audio)
    assert codes == set()


def test_a_chain_of_flac():
    audio, codes = read(ogg_flac(SOUND) + ogg_flac(SOUND, serial=8))
    assert np.abs(audio.samples - np.tile(SOUND, 2)).max() < 1e-4
    assert codes == set()


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_flac_in_ogg_that_was_cut(share):
    data = ogg_flac(SOUND)
    audio, codes = read(data[: int(share * len(data))])
    assert "truncated" in codes
    assert 0 < len(audio.samples) < len(SOUND)


def test_flac_in_ogg_without_audio():
    data = ogg_flac(SOUND)
    second = list(pages(MemorySource(data)))[1].stop
    with pytest.raises(InputError, match="a FLAC header in Ogg, and no audio behind it") as caught:
        read(data[:second])
    assert caught.value.code == "no_audio"


@pytest.mark.parametrize("format", ["VORBIS", "OPUS"])
def test_a_damaged_page_is_a_gap(format):
    data = bytearray(encode(tone(200_000), "OGG", format))
    middle = list(pages(MemorySource(bytes(data))))[-2]
    data[(middle.body + middle.stop) // 2] ^= 0x10
    assert "decode_gap" in read(bytes(data))[1]


@pytest.mark.parametrize("junk", [b"\xaa" * 400, b"a remark at the end " * 9])
def test_junk_behind_the_last_page_is_said(junk):
    assert read(encode(SOUND, "OGG") + junk)[1] == {"trailing_data"}
    assert read(encode(SOUND, "OGG") + bytes(400))[1] == set()
