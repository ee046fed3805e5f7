# SPDX-License-Identifier: Apache-2.0
"""Content by its first bytes."""

from __future__ import annotations

import pytest

from auricle.audio.headers.sniff import is_mpeg_frame, mismatched_extension, sniff
from auricle.audio.source import MemorySource

ID3 = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)  # sizes are digits to the base 128: 1, 0 is 128


@pytest.mark.parametrize(
    ("data", "name", "reader", "start"),
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "wav", "sndfile", 0),
        (b"RF64\xff\xff\xff\xffWAVE", "wav", "sndfile", 0),
        (b"RIFF\0\0\0\0AVI LIST", "avi", "codecs", 0),
        (b"FORM\0\0\0\0AIFC", "aiff", "sndfile", 0),
        (b"fLaC\0\0\0\x22", "flac", "sndfile", 0),
        (b"OggS\0\x02", "ogg", "sndfile", 0),
        (b"\xff\xfb\x90\x64", "mp3", "sndfile", 0),
        (b"\xff\xf1\x50\x80", "aac", "codecs", 0),
        (ID3 + b"\xff\xfb\x90\x64", "mp3", "sndfile", 138),
        (ID3 + b"fLaC", "flac", "sndfile", 138),
        (ID3, "id3", "none", 138),
        (ID3 + bytes(500), "id3", "none", 138),
        (b"\0\0\0\x18ftypM4A ", "mp4", "codecs", 0),
        (b"\x1a\x45\xdf\xa3\x01", "matroska", "codecs", 0),
        (b"  \n<!DOCTYPE HTML>", "html", "none", 0),
        (b"\xef\xbb\xbf<html>", "html", "none", 0),
        (b'{"error": 404}', "text", "none", 0),
        (b"\x93NUMPY\x01\0", "npy", "none", 0),
        (bytes(20), "zeros", "none", 0),
        (b"\x12\x34\x56\x00\x01", "unknown", "sndfile", 0),
    ],
)
def test_sniff(data, name, reader, start):
    kind = sniff(MemorySource(data))
    assert (kind.name, kind.reader, kind.start) == (name, reader, start)


@pytest.mark.parametrize(
    ("head", "valid"),
    [
        (b"\xff\xfb\x90\x64", True),
        (b"\xff\xf3\x88\xc4", True),
        (b"\xff\xfb\xf0\x64", False),  # bit rate 15
        (b"\xff\xfb\x9c\x64", False),  # sample rate 3
        (b"\xff\xeb\x90\x64", False),  # version 1
        (b"\xff\xf9\x90\x64", False),  # layer 0: AAC
        (b"\xff\xfb", False),
        (b"", False),
    ],
)
def test_mpeg_frame_header(head, valid):
    assert is_mpeg_frame(head) is valid


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("a.wav", b"fLaC", ".wav"),
        ("a.MP3", b"RIFF\0\0\0\0WAVE", ".mp3"),
        ("a.WAV", b"RIFF\0\0\0\0WAVE", None),
        ("a.opus", b"OggS", None),
        ("a.raw", b"fLaC", None),
        ("noextension", b"fLaC", None),
        ("a.wav", b"\x12\x34\x56\x00\x01", None),
    ],
)
def test_extension_against_content(path, data, expected):
    assert mismatched_extension(path, sniff(MemorySource(data))) == expected
