# SPDX-License-Identifier: Apache-2.0
"""Copies that broke off: said in every format that declares what it holds, and never called an unknown codec."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from helpers.badfiles import encode, tone
from helpers.oddfiles import aiff, comm, read, riff

from auricle.audio.headers.ac3 import inspect_ac3
from auricle.audio.headers.sniff import Kind
from auricle.audio.source import MemorySource
from auricle.errors import InputError

SAYING = {"truncated", "decode_gap", "length_conflict"}
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "adpcm": ("WAV", "MS_ADPCM"),
    "w64": ("W64", "PCM_24"),
    "w64 adpcm": ("W64", "IMA_ADPCM"),
    "caf": ("CAF", "PCM_16"),
    "alac": ("CAF", "ALAC_16"),
    "aiff": ("AIFF", "PCM_24"),
    "aifc": ("AIFF", "ULAW"),
    "au": ("AU", "PCM_16"),
    "8svx": ("SVX", "PCM_S8"),
    "16sv": ("SVX", "PCM_16"),
    "voc": ("VOC", "PCM_16"),
    "voc mulaw": ("VOC", "ULAW"),
    "nist": ("NIST", "PCM_16"),
    "avr": ("AVR", "PCM_16"),
    "sds": ("SDS", "PCM_16"),
    "sds 24": ("SDS", "PCM_24"),
    "mat5": ("MAT5", "PCM_16"),
    "mat5 float": ("MAT5", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
FILES = {name: encode(tone(16_000), *kind) for name, kind in KINDS.items()}


def outcome(data: bytes) -> tuple[int, set[str]]:
    """Return how many samples a file yields, and its flags or the code of its failure."""
    try:
        audio, codes = read(data)
    except InputError as error:
        return 0, {error.code}
    return len(audio.samples), codes


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("share", [0.35, 0.6, 0.9, 0.99])
def test_a_cut_is_a_flag_or_a_failure(kind, share):
    frames, codes = outcome(FILES[kind][: int(share * len(FILES[kind])) | 1])
    assert codes & (SAYING if frames else {"corrupt", "no_audio", "bad_header"})
    assert frames <= len(read(FILES[kind])[0].samples)


@pytest.mark.parametrize("kind", FILES)
def test_a_whole_file_has_no_flag(kind):
    audio, codes = read(FILES[kind])
    assert codes == set()
    assert abs(len(audio.samples) - 16_000) <= 600  # codecs fill up their last block


@pytest.mark.parametrize("kind", FILES)
def test_a_copy_that_broke_off_in_its_header_is_not_called_foreign(kind):
    for count in (*range(5, 100, 7), 150, 300):
        frames, codes = outcome(FILES[kind][:count])
        assert codes & (SAYING if frames else {"bad_header", "no_audio", "corrupt", "not_audio"}), count


@pytest.mark.parametrize("count", [27, 36, 50, 85])
def test_flac_cut_in_its_header(count):
    with pytest.raises(InputError, match=f"a FLAC file cut in its header, after {count} bytes") as caught:
        read(FILES["flac"][:count])
    assert caught.value.code == "bad_header"


def block(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + len(content).to_bytes(3, "little") + content


VOC_HEAD = b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x0114, 0x111F)
LOW, HIGH = b"\x40" * 400, b"\xc0" * 400


def test_voc_of_several_blocks_is_heard_whole():
    """8 bits at 1,000,000 / (256 - 131) = 8,000 Hz; -0.5, then 0.5; libsndfile reads the first block alone."""
    sound = block(1, b"\x83\0" + LOW) + block(5, b"a remark\0") + block(2, HIGH) + block(3, b"\x63\0\x83")
    audio, codes = read(VOC_HEAD + sound + block(1, b"\x83\0" + LOW) + b"\0")
    assert audio.sample_rate == 8_000
    assert np.array_equal(np.unique(audio.samples), [-0.5, 0, 0.5])
    assert np.array_equal(audio.samples, np.repeat([-0.5, 0.5, 0, -0.5], [400, 400, 100, 400]).astype(np.float32))
    assert codes == set()


def test_the_end_mark_of_voc_is_no_sound():
    samples = np.full(500, 0.25)
    assert len(read(encode(samples, "VOC", "ULAW"))[0].samples) == 500
    form = struct.pack("<IBBHI", 16_000, 16, 1, 4, 0)
    assert len(read(VOC_HEAD + block(9, form + b"\0\x20" * 70) + b"\0" + b"junk" * 9)[0].samples) == 70


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (VOC_HEAD[:20], "bad_header", "a VOC header cut or damaged"),
        (VOC_HEAD + block(5, b"a remark\0"), "bad_header", "a VOC file without a block of sound"),
        (VOC_HEAD + block(1, b"\x83\0"), "no_audio", "a VOC header, and no audio behind it"),
        (VOC_HEAD + block(1, b"\x83\0" + LOW) + block(1, b"\xa0\0" + LOW), "rate_change", "change inside the VOC file"),
        (VOC_HEAD + block(9, struct.pack("<IBBHI", 8_000, 12, 1, 4, 0) + LOW), "bad_header", "a VOC block of 12 bits"),
        (VOC_HEAD + block(9, b"\0\0"), "bad_header", "a VOC file cut in the header of its sound"),
        (b"NIST_1A\n   1024\nchannel_count -i 1\n", "bad_header", "a NIST SPHERE header cut after 35 bytes"),
        (aiff([(b"COMM", comm())], pad=True), "bad_header", "an AIFF file without a 'SSND' chunk"),
        (aiff([(b"COMM", comm(bits=99)), (b"SSND", bytes(9))], pad=True), "bad_header", "1 channels of 99 bits"),
        (b"FORM\0\0\0\x048SVX", "bad_header", "an 8SVX file without a 'BODY' chunk"),
        (b"fLaC" + b"\0\0\0\x22" + b"\x10\0" * 17, "bad_header", "a FLAC file cut in its header"),
    ],
)
def test_messages(data, code, text):
    with pytest.raises(InputError, match=text) as caught:
        read(data)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("head", "size"), [(b"\x0b\x77\0\0\x14\x40", 768), (b"\x0b\x77\0\0\x54\x40", 834), (b"\x0b\x77\0\xff\0\x80", 512)]
)
def test_ac3_frames_by_hand(head, size):
    """192 kbit/s for 1,536 samples: 768 bytes at 48 kHz, 417 words at 44.1 kHz; (255 + 1) words of E-AC-3."""
    frame = head.ljust(size, b"\1")
    kind = Kind("ac3", "an AC-3 file", "codecs")
    assert inspect_ac3(MemorySource(frame * 3), kind).flags == ()
    (flag,) = inspect_ac3(MemorySource(frame * 3 + frame[:-9]), kind).flags
    assert (flag.code, flag.details["declared"], flag.details["found"]) == ("truncated", size, size - 9)


def test_a_wav_of_blocks_needs_bits_that_a_block_has():
    form = struct.pack("<HHIIHH", 0x11, 1, 16_000, 32_000, 2, 16)
    with pytest.raises(InputError, match="format tag 0x0011 and 16 bits, where the bits can be 4") as caught:
        read(riff([(b"fmt ", form), (b"data", bytes(400))], pad=True))
    assert caught.value.code == "unsupported_codec"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_wve_that_was_cut(share):
    data = encode(tone(8_000, rate=8_000), "WVE", "ALAW", rate=8_000)
    assert read(data)[1] == set()
    assert read(data[: int(share * len(data))])[1] == {"truncated"}
