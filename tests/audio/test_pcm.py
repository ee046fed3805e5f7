# SPDX-License-Identifier: Apache-2.0
"""Samples out of a pipe: cut anywhere, with or without a header."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from auricle.audio.pcm import PcmReader
from auricle.errors import InputError, UsageError


class Pipe:
    """Gives at most ``most`` bytes at a time."""

    def __init__(self, data: bytes, most: int = 65_536) -> None:
        self.data, self.most, self.asked = data, most, 0

    def read1(self, size: int = -1) -> bytes:
        self.asked += 1
        head, self.data = self.data[: self.most], self.data[self.most :]
        return head


SAMPLES = np.array([0, 0.5, -1, 0.25, -0.125, 0.75], np.float32)


def wav(samples: np.ndarray = SAMPLES, *, subtype: str = "PCM_16", rate: int = 8_000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, subtype=subtype, format="WAV")
    return buffer.getvalue()


def heard(reader: PcmReader) -> np.ndarray:
    return np.concatenate([np.zeros((0, reader.channels), np.float32), *reader])


@pytest.mark.parametrize("most", [1, 3, 7, 65_536])
@pytest.mark.parametrize(
    ("form", "data"),
    [
        ("s16le", (SAMPLES * 32_768).astype("<i2").tobytes()),
        ("f32le", SAMPLES.astype("<f4").tobytes()),
        ("s32le", (SAMPLES.astype(np.float64) * 2**31).astype("<i4").tobytes()),
    ],
)
def test_s17_plain_samples_may_be_cut_anywhere(form, data, most):
    reader = PcmReader(Pipe(data, most), sample_rate=8_000, format=form)
    np.testing.assert_array_equal(heard(reader)[:, 0], SAMPLES)


def test_samples_are_16_bits_and_one_channel_unless_told():
    reader = PcmReader(Pipe(b"\x00\x40" * 4), sample_rate=8_000)
    assert (reader.format, reader.channels) == ("s16le", 1)
    np.testing.assert_array_equal(heard(reader)[:, 0], [0.5] * 4)


def test_channels_come_side_by_side_and_a_torn_last_one_is_dropped():
    reader = PcmReader(Pipe(b"\x00\x40\x00\xc0" * 2 + b"\x00\x40"), sample_rate=8_000, channels=2)
    np.testing.assert_array_equal(heard(reader), [[0.5, -0.5]] * 2)


@pytest.mark.parametrize("most", [1, 5, 65_536])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_32", "FLOAT"])
def test_a_wav_says_what_it_is(subtype, most):
    stereo = np.stack([SAMPLES, -SAMPLES], axis=1) * 0.5
    reader = PcmReader(Pipe(wav(stereo, subtype=subtype, rate=44_100), most))
    assert (reader.sample_rate, reader.channels) == (44_100, 2)
    np.testing.assert_array_equal(heard(reader), stereo)


def test_what_follows_the_audio_of_a_wav_is_no_sound():
    reader = PcmReader(Pipe(wav() + b"LIST\x04\x00\x00\x00abcd"))
    assert len(heard(reader)) == len(SAMPLES)


@pytest.mark.parametrize("declared", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FFFFF00, 0x7FFFF000])
def test_a6_a_header_that_was_streamed_leaves_the_length_open(declared):
    data = wav()
    place = data.index(b"data") + 4
    reader = PcmReader(Pipe(data[:place] + struct.pack("<I", declared) + data[place + 4 :]))
    assert len(heard(reader)) == len(SAMPLES)


def test_blocks_come_before_the_pipe_ends():
    pipe = Pipe(wav(np.zeros(1_000, np.float32)), 300)
    first = next(iter(PcmReader(pipe)))
    assert 0 < len(first) <= 150
    assert pipe.data != b""


def test_an_empty_pipe_has_no_sound():
    assert len(heard(PcmReader(Pipe(b""), sample_rate=8_000))) == 0


def test_plain_samples_need_a_rate():
    expected = (
        r"stdin has no WAV header, so its rate is not known: give --rate HZ \(and --sample-format, if the samples are "
        r"not s16le\)"
    )
    with pytest.raises(UsageError, match=expected):
        PcmReader(Pipe(bytes(100)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sample_rate": 16_000}, "--rate 16000 contradicts the WAV header on stdin, which says 8000; leave it out"),
        ({"format": "f32le"}, "--sample-format f32le contradicts the WAV header on stdin, which says s16le; leave it"),
        ({"channels": 2}, "--channels 2 contradicts the WAV header on stdin, which says 1; leave it out"),
    ],
)
def test_options_that_contradict_the_header_are_refused(options, expected):
    with pytest.raises(UsageError, match=expected):
        PcmReader(Pipe(wav()), **options)


@pytest.mark.parametrize(
    ("data", "code", "expected"),
    [
        (b"fLaC" + bytes(50), "unsupported_codec", "stdin is FLAC, which cannot be read as it comes; decode it: ffm"),
        (b"OggS" + bytes(50), "unsupported_codec", "stdin is Ogg, which"),
        (b"ID3\x04" + bytes(50), "unsupported_codec", "stdin is MP3, which"),
        (2 * b"\xff\xf3\x88\xc4".ljust(288, b"\0"), "unsupported_codec", "stdin is MP3, which"),
        (2 * b"\xff\xfa\x90\x64".ljust(417, b"\0"), "unsupported_codec", "stdin is MP3, which"),
        (b"\xff\xe3\x88\xc4".ljust(576, b"\0"), "unsupported_codec", "stdin is MP3, which"),
        (2 * b"\xff\xf1\x50\x80\x02\x00".ljust(16, b"\0"), "unsupported_codec", "stdin is AAC, which"),
        (b"\0\0\0\x20ftypM4A " + bytes(50), "unsupported_codec", "stdin is MP4, which"),
        (b"FORM\0\0\0\x20AIFF", "unsupported_codec", "stdin is AIFF, which"),
        (b"caff\0\1\0\0", "unsupported_codec", "stdin is CAF, which"),
        (b".snd\0\0\0\x18", "unsupported_codec", "stdin is AU, which"),
        (b"riff\x2e\x91\xcf\x11" + bytes(50), "unsupported_codec", "stdin is W64, which"),
        (b"RF64\xff\xff\xff\xffWAVE", "unsupported_codec", "stdin is a WAV of the RF64 format, which"),
        (b"\x1aE\xdf\xa3" + bytes(50), "unsupported_codec", "stdin is WebM or Matroska, which"),
        (b"RIFF\x00\x00\x00\x00AVI ", "bad_header", "stdin begins with RIFF and is no WAV; send WAV or plain samples"),
        (wav()[:20], "bad_header", "stdin ends inside a WAV header; send the recording again"),
        (wav()[:30], "bad_header", "stdin ends inside a WAV header"),
        (wav()[:12] + wav()[36:], "bad_header", "a WAV header without its format; send the recording again"),
        (
            wav()[:12] + b"junk\xff\xff\xff\x7f",
            "bad_header",
            "a WAV header with a chunk of 2147483647 bytes before the audio",
        ),
        (
            wav(subtype="PCM_24"),
            "unsupported_codec",
            r"format tag 0x0001, 24 bits, 1 channels; 16 or 32 bits are read: convert it with `ffmpeg -i - -c:a pcm",
        ),
    ],
)
def test_what_cannot_be_heard_is_said(data, code, expected):
    with pytest.raises(InputError, match=expected) as caught:
        PcmReader(Pipe(data))
    assert caught.value.code == code


@pytest.mark.parametrize("samples", [[-1, 0, 1, 2], [-3_073, -13_176, 7, 9], [-1, -1], [-241, 90, 1]])
def test_samples_that_begin_as_a_frame_of_mp3_or_aac_are_samples(samples):
    """A header alone proves nothing: quiet samples look like one."""
    data = np.array([*samples, *range(1_600)], "<i2").tobytes()
    assert len(heard(PcmReader(Pipe(data, 7), sample_rate=8_000))) == 1_600 + len(samples)


@pytest.mark.parametrize("pad", [b"", b"\0"])
@pytest.mark.parametrize("name", [b"LIST", b"bext"])
def test_a_chunk_of_odd_length_with_and_without_its_pad_byte(name, pad):
    chunk = name + struct.pack("<I", 5) + b"hello" + pad
    data = wav()
    for at in (12, 36):
        reader = PcmReader(Pipe(data[:at] + chunk + data[at:], 5))
        np.testing.assert_array_equal(heard(reader)[:, 0], SAMPLES)
